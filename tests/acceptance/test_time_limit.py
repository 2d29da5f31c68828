"""A time limit on a real run; by a clock that the test turns, see tests/training/test_timing.py."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest


def test_a_limit_that_is_wide_changes_no_bit(train, reviews):
    """Proof that it can fail: where the steps that were timed leave their word rows in the model, it ends
    with an IndexError."""
    train(reviews, "--out", "free").ok()
    train(reviews, "--out", "limited", "--time-limit", "1h").ok()
    free, limited = (Path(run, "model", "model.safetensors").read_bytes() for run in ("free", "limited"))
    assert free == limited


def test_a_limit_that_binds_holds_over_sittings_too(reviews, encoder):
    """A hundred thousand steps do not fit into seconds; the time before a stop counts, and what the limit was
    planned with is found again."""
    import whet
    from whet.training.events import StepDone

    def interrupt(event: Any) -> None:
        if isinstance(event, StepDone) and event.step == 20:
            signal.raise_signal(signal.SIGINT)

    settings: dict[str, Any] = {"epochs": 1000, "batch_size": 1, "threads": 1, "precision": "float32"}
    settings |= {"model": encoder, "quiet": True, "head_first": 0, "time_limit": 5.0}
    with pytest.raises(KeyboardInterrupt):
        whet.train(reviews, out="run", listeners=[interrupt], **settings)
    saved = json.loads(Path("run/checkpoints/last/training.json").read_text())
    assert saved["progress"]["step"] == 20
    assert saved["beside"]["costs"]["step"] > 0
    run = whet.train(out="run", resume=True, quiet=True)
    assert 20 <= run.manifest["results"]["steps"] < 43_000
