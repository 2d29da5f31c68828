"""Runs `whet` again and again in forks of one process that has everything imported, and kills it on purpose.

    python -m tests.acceptance.faults   reads one JSON case a line, answers with one JSON line

A case is {"arguments": [...], "at": n, "how": "kill", "tear", "signal" or "full", "signal": n}. Moments are
every write, fsync and rename (`whet.files.moment`), every step (between the gradient and the optimiser),
every pack of an evaluation, and loading. At moment n (from 1; 0 is never) the process is killed as by
kill -9; "tear" first cuts the file in hand to half, as a power loss may; "signal" sends a signal to itself;
"full" fills the disk and lives on.
"""

import contextlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any


def main() -> None:
    import torch  # noqa: F401, imported once for all forks; no operation may run before a fork

    import whet.cli.main
    import whet.training.run  # noqa: F401

    for line in sys.stdin:
        case = json.loads(line)
        Path(case["trace"]).unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            _live(case)
        _, status = os.waitpid(child, 0)
        trace = Path(case["trace"])
        moments = trace.read_text().splitlines() if trace.exists() else []
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"status": code, "moments": moments}), flush=True)


def _live(case: dict[str, Any]) -> None:
    """The child: never returns."""
    status = 70
    try:
        output = os.open(case["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(case["folder"])
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has it ignored
        _plant(case)
        from whet.cli.main import main as whet_main

        sys.argv = ["whet", *case["arguments"]]
        whet_main()
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def _plant(case: dict[str, Any]) -> None:
    import whet.artifact
    import whet.files
    from whet.predictor import Predictor
    from whet.training import loop, prepare, resume

    trace = Path(case["trace"]).open("w")  # noqa: SIM115, open until the process dies
    passed = 0

    def moment(name: str) -> None:
        nonlocal passed
        passed += 1
        print(name, file=trace, flush=True)
        if passed != case["at"]:
            return
        if case["how"] == "signal":
            os.kill(os.getpid(), case["signal"])
            return
        if case["how"] == "full":
            _fill(Path(case["folder"]) / "filler")
            return
        if case["how"] == "tear" and name.startswith("wrote "):
            for path in Path(case["folder"]).rglob(f"*{name.removeprefix('wrote ')}*"):
                if any(part.startswith(".") for part in path.parts[-2:]):
                    os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    whet.files.moment = whet.artifact.moment = moment  # type: ignore[attr-defined]
    resume._LEAST, resume._SHARE = 0.0, float("inf")  # a checkpoint wherever one may be written
    clip, logits, load = loop._clip, Predictor.logits, prepare.Tokeniser.load

    def clip_then(*given: Any) -> Any:
        found = clip(*given)
        moment("step")
        return found

    def look(predictor: Any, store: Any, between: Any = lambda: None, features: Any = None) -> Any:
        def both() -> None:
            moment("evaluate")
            between()

        return logits(predictor, store, both, features)

    def loading(*given: Any) -> Any:
        moment("load")
        return load(*given)

    loop._clip = clip_then
    Predictor.logits = look  # type: ignore[method-assign]
    prepare.Tokeniser.load = loading  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    main()
