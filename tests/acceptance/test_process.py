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


class _Asking:
    """A whet process that asks a network, and the moment at which its message came."""

    def __init__(
        self, server: _BlackHole, home: Path, *arguments: object, offline: str = "0", out: bool = True
    ) -> None:
        self.server = server
        environment = {
            "HF_ENDPOINT": server.address,
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(home),
            "NO_PROXY": "127.0.0.1",
        }
        self.process = house.spawn(*arguments, "--out", home / "run", env=environment, text=True)
        self.error = ""
        self.answered = float("inf")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self.process.stderr:
            if line.startswith("Error:"):
                self.answered = time.monotonic()
            self.error += line

    def problem(self, seconds: float) -> str | None:
        """Wait up to `seconds` for its end; what is wrong with what it said."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return "it does not end"
        self._thread.join(5)
        first, error = self.server.first, self.error
        if status != 1 or "Traceback" in error or error.count("Error:") != 1 or "nobody/nothing" not in error:
            return f"status {status}: {error}"
        if not first:
            return "the server was never asked"
        if self.answered - first > 10:
            return f"{self.answered - first:.1f} s from the first attempt to the message"
        return None


@pytest.fixture(scope="module", autouse=True)
def asking(tmp_path_factory, encoder):
    """Started before this file's other tests, because waiting is most of it."""
    folder = tmp_path_factory.mktemp("asking")
    reviews = house.write_csv(
        folder / "r.csv", dict(zip(["text", "label"], house.sentences(12), strict=True))
    )
    model = ("train", reviews, "--model", "nobody/nothing")
    data = ("train", "hf:nobody/nothing", "--model", encoder)
    started = {
        "silent": _Asking(_BlackHole(False), folder / "silent", *model),
        "drip": _Asking(_BlackHole(True), folder / "drip", *model),
        "data": _Asking(_BlackHole(False), folder / "data", *data),
    }
    yield started
    for one in started.values():
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        one.process.stdout.close()
        one.process.stderr.close()
        one.server.close()


@pytest.fixture
def plenty(tmp_path):
    texts, labels = house.sentences(400)
    return house.write_csv(tmp_path / "plenty.csv", {"text": texts, "label": labels})


def test_starting_up_loads_no_torch():
    """Proof that it can fail: `import whet.api` put into the list was seen to load torch."""
    codes = [
        "import whet; dir(whet); whet.__version__",
        "sys.argv = ['whet', '--help']; from whet.cli.main import main; main()",
        "sys.argv = ['whet', 'train', '--help']; from whet.cli.main import main; main()",
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", NO_TORCH.format(code=code)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for code in codes
    ]
    for code, process in zip(codes, processes, strict=True):
        error = process.communicate(timeout=60)[1].decode()
        assert process.returncode == 0, error
        loaded = error[error.index("LOADED") :]
        assert "torch" not in loaded, f"{code}: {loaded}"
        assert "transformers" not in loaded, f"{code}: {loaded}"


def test_training_does_not_load_torchs_compiler(encoder, plenty, tmp_path):
    """A second of every start. Proof that it can fail: so it was with torch's own class of AdamW."""
    code = (
        "import sys; from whet import api\n"
        "api.train(sys.argv[1], model=sys.argv[2], out=sys.argv[3], epochs=1)\n"
        "sys.exit('torch._dynamo' in sys.modules and 'it was loaded')"
    )
    asked = [sys.executable, "-c", code, plenty, encoder, tmp_path / "run"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def test_a_stopped_run_says_so_and_leaves_what_can_be_read(encoder, plenty, tmp_path):
    """SIGTERM to one run and Ctrl-C to another, both in the midst of their training."""
    statuses = {signal.SIGTERM: 143, signal.SIGINT: 130}
    options = ("--model", encoder, "--epochs", "1000", "--threads", "1", "--out")
    runs = {number: tmp_path / f"stopped-{number}" for number in statuses}
    processes = {number: house.spawn("train", plenty, *options, run) for number, run in runs.items()}
    ended = {}
    try:
        deadline = time.monotonic() + 240
        while len(ended) < 2 and time.monotonic() < deadline:
            for number, process in processes.items():
                metrics = runs[number] / "metrics.jsonl"
                if number not in ended and metrics.exists() and metrics.stat().st_size:
                    process.send_signal(number)
                    error = process.communicate(timeout=60)[1].decode()
                    ended[number] = (process.returncode, error)
            time.sleep(0.05)
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.kill()
    for number, status in statuses.items():
        returned, error = ended[number]
        assert returned == status, error
        assert "Traceback" not in error
        assert "stopped" in error.lower()
        manifest = json.loads((runs[number] / "run.json").read_text())
        assert manifest["status"] != "finished"
        assert house.read_jsonl(runs[number] / "metrics.jsonl")


def test_endless_input_and_a_reader_that_leaves(classifier):
    """`yes | whet predict - | head`: rows come out while rows go in, and a closed pipe is no error.

    Proof that it can fail: a predict that labelled all its input first would take far longer than the time
    limit; and on the first day of this test the status was 1 (typer turns a broken pipe into that)."""
    command = (
        f"yes 'good parcel' | head -n 3000000 | "
        f"{house.WHET} predict '{classifier}' - 2>error.txt | head -n 3; "
        'echo "${PIPESTATUS[2]}"'
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    *lines, status = done.stdout.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["good parcel"] * 3
    assert status == "0"
    assert Path("error.txt").read_text() == ""


def test_a_reader_that_has_gone_is_no_error(classifier, plenty):
    """`| true` leaves at once; what was asked for is done all the same, so the status is 0 and stderr has no
    word of it."""
    commands = {
        "help": f"{house.WHET} --help",
        "eval": f"{house.WHET} eval '{classifier}' '{plenty}'",
    }
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    processes = {
        name: subprocess.Popen(
            ["bash", "-c", f'{command} | true; exit "${{PIPESTATUS[0]}}"'],
            stderr=subprocess.PIPE,
            env=environment,
        )
        for name, command in commands.items()
    }
    results = {}
    for name, process in processes.items():
        error = process.communicate(timeout=60)[1].decode()
        assert "Traceback" not in error
        assert "Error" not in error
        assert "Broken" not in error
        results[name] = process.returncode
    assert results == dict.fromkeys(commands, 0)


@pytest.mark.parametrize("case", ["silent", "drip", "data"])
def test_a_network_that_never_answers_is_given_up_within_ten_seconds(case, asking):
    """A model's name and a data set's name, against a server that accepts and is silent, and one that
    answers a byte at a time: an error within 10 seconds of the first attempt (the start of the program, which
    on a busy machine takes seconds, is left out).

    Proof that it can fail: a server of the test's own that was never asked is a problem too."""
    assert asking[case].problem(45) is None
