"""A time limit on a real run; by a clock that the test turns, see tests/training/test_timing.py."""

from pathlib import Path


def test_a_limit_that_is_wide_changes_no_bit(train, reviews):
    """Proof that it can fail: where the steps that were timed leave their word rows in the model, it ends
    with an IndexError."""
    train(reviews, "--out", "free").ok()
    train(reviews, "--out", "limited", "--time-limit", "1h").ok()
    free, limited = (Path(run, "model", "model.safetensors").read_bytes() for run in ("free", "limited"))
    assert free == limited
