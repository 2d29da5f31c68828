"""Fixtures of the acceptance tests: tiny checkpoints, small data sets, one trained run, and the command."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import house


@pytest.fixture(autouse=True)
def _offline_libraries_and_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test starts in an empty folder of its own, where an unnamed run would show as runs/."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def whet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> house.Command:
    return house.Command(monkeypatch, capsys)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint without a classifier's head. Read only."""
    return house.make_checkpoint(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a head of delivery, praise and refund, in that order. Read only."""
    return house.make_checkpoint(tmp_path_factory.mktemp("classifier") / "tiny", list(house.CLASSES))


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    texts, labels = house.sentences(48)
    return house.write_csv(tmp_path / "reviews.csv", {"text": texts, "label": labels})


@pytest.fixture
def train(whet: house.Command, encoder: Path) -> Callable[..., house.Outcome]:
    """`whet train DATA` with the tiny encoder, one epoch, one thread, float32; later options win."""

    def run(
        data: object, *options: object, model: object = encoder, out: str | None = "run"
    ) -> house.Outcome:
        where: tuple[Any, ...] = () if out is None else ("--out", out)
        return whet("train", data, "--model", model, *house.FAST, *where, *options)

    return run
