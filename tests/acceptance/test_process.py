"""What needs a process of its own: start-up, signals, pipes, and a network that never answers."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.acceptance import house

NO_TORCH = """
import sys
try:
    {code}
except SystemExit as leaving:
    assert not leaving.code, leaving.code
heavy = {{"torch", "transformers", "datasets", "tokenizers", "numpy", "pyarrow"}} & set(sys.modules)
print("LOADED", sorted(heavy), file=sys.stderr)
"""


@pytest.fixture
def plenty(tmp_path):
    texts, labels = house.sentences(400)
    return house.write_csv(tmp_path / "plenty.csv", {"text": texts, "label": labels})


def test_starting_up_loads_no_torch():
    """Proof that it can fail: `import whet.api` in the list below is seen to load torch."""
    codes = {
        "import whet": False,
        "import whet; dir(whet); whet.__version__": False,
        "sys.argv = ['whet', '--help']; from whet.cli.main import main; main()": False,
        "sys.argv = ['whet', 'train', '--help']; from whet.cli.main import main; main()": False,
        "import whet.api": True,
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", NO_TORCH.format(code=code)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for code in codes
    ]
    for (code, expected), process in zip(codes.items(), processes, strict=True):
        error = process.communicate(timeout=60)[1].decode()
        assert process.returncode == 0, error
        loaded = error[error.index("LOADED") :]
        assert ("torch" in loaded) == expected, f"{code}: {loaded}"
        assert expected or "transformers" not in loaded, f"{code}: {loaded}"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "ctrl-c"])
def test_a_stopped_run_says_so_and_leaves_what_can_be_read(number, status, encoder, plenty, tmp_path):
    run = tmp_path / "stopped"
    options = ("--model", encoder, "--epochs", "1000", "--threads", "1", "--out", run)
    process = house.spawn("train", plenty, *options, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        metrics = run / "metrics.jsonl"
        while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.05)
        process.send_signal(number)
        out, error = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == status, error.decode()
    assert "Traceback" not in error.decode()
    assert "stopped" in error.decode().lower()
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["status"] != "finished"
    assert not (run / "model").exists() or json.loads((run / "model/config.json").read_text())
    assert house.read_jsonl(metrics)
    left = [path.name for path in tmp_path.rglob("*") if "tmp" in path.name.lower() and path != tmp_path]
    assert left == []


def test_endless_input_and_a_reader_that_leaves(classifier):
    """`yes | whet predict - | head`: rows come out while rows go in, and a closed pipe is no error.

    Proof that it can fail: a predict that read all its input first would never end (the time limit), and
    one that let BrokenPipeError through would print a traceback."""
    command = (
        f"yes 'good parcel' | {house.WHET} predict '{classifier}' - 2>error.txt | head -n 3; "
        'echo "${PIPESTATUS[1]}"'
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    *lines, status = done.stdout.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["good parcel"] * 3
    assert status == "0"
    assert Path("error.txt").read_text() == ""


class _BlackHole:
    """A server on this machine that accepts and never answers (or, with `drip`, a byte a second)."""

    def __init__(self, drip: bool) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.connections: list[socket.socket] = []
        self.first: float | None = None
        self.drip = drip
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def _accept(self) -> None:
        try:
            while True:
                connection, _ = self.socket.accept()
                self.first = self.first or time.monotonic()
                self.connections.append(connection)
                if self.drip:
                    threading.Thread(target=self._feed, args=(connection,), daemon=True).start()
        except OSError:
            return

    def _feed(self, connection: socket.socket) -> None:
        try:
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"z" * 100:
                connection.send(bytes([byte]))
                time.sleep(0.5)
        except OSError:
            return

    def close(self) -> None:
        for open_socket in (self.socket, *self.connections):
            open_socket.close()


def test_a_network_that_never_answers_is_given_up_within_ten_seconds(reviews, tmp_path, encoder):
    """A model's name and a data set's name, against a server that accepts and is silent, one that answers a
    byte at a time, and one that refuses: an error within 10 seconds of the first attempt. And offline mode
    asks nobody. All at once, because waiting is most of it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
    silent, drip, asked = _BlackHole(False), _BlackHole(True), _BlackHole(False)
    model = ("train", reviews, "--model", "nobody/nothing")
    data = ("train", "hf:nobody/nothing", "--model", encoder)
    cases = {
        "silent": (model, silent.address, "0"),
        "drip": (model, drip.address, "0"),
        "refused": (model, closed, "0"),
        "offline": (model, asked.address, "1"),
        "data, silent": (data, silent.address, "0"),
        "data, offline": (data, asked.address, "1"),
    }
    began = time.monotonic()
    processes = {}
    for name, (arguments, address, offline) in cases.items():
        environment = {
            "HF_ENDPOINT": address,
            "HF_HUB_OFFLINE": offline,
            "HF_HOME": str(tmp_path / "home"),
            "NO_PROXY": "127.0.0.1",
        }
        processes[name] = house.spawn(
            *arguments, "--out", tmp_path / f"run-{len(processes)}", cwd=tmp_path, env=environment
        )
    results = {}
    try:
        while len(results) < len(processes) and time.monotonic() - began < 45:
            for name, process in processes.items():
                if name not in results and process.poll() is not None:
                    results[name] = time.monotonic()
            time.sleep(0.05)
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.kill()
    errors = {name: process.communicate()[1].decode() for name, process in processes.items()}
    firsts = {"silent": silent.first, "drip": drip.first, "data, silent": silent.first}
    for server in (silent, drip, asked):
        server.close()
    problems = []
    for name, process in processes.items():
        error = errors[name]
        if name not in results:
            problems.append(f"{name}: still waiting after 45 s")
        elif process.returncode != 1 or "Traceback" in error or error.count("Error:") != 1:
            problems.append(f"{name}: status {process.returncode}: {error[-1500:]}")
        elif "nobody/nothing" not in error or (("offline" in name) and "HF_HUB_OFFLINE" not in error):
            problems.append(f"{name}: {error}")
        elif firsts.get(name) and results[name] - firsts[name] > 10:
            problems.append(f"{name}: {results[name] - firsts[name]:.1f} s after the first attempt")
    assert not problems, "\n".join(problems)
    assert silent.first, "the test's own server was never asked"
    assert drip.first
    assert asked.first is None, "offline mode asked the network"
    assert not list(tmp_path.glob("run-*"))
