"""Ctrl-C and SIGTERM while training: remembered until the state is whole, then the run ends."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, final

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@final
class Interruptions:
    """While this lasts, a first signal is remembered; a second one acts at once, as it would without us.

    Only the main thread may have signal handlers; in another nothing is changed."""

    def __init__(self) -> None:
        self.arrived: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruptions":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    def act(self) -> None:
        """Do what the signal that arrived does without us: KeyboardInterrupt, or whatever the program has
        chosen for SIGTERM."""
        assert self.arrived is not None
        self._give_back()
        signal.raise_signal(self.arrived)
        raise KeyboardInterrupt

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.arrived = number
        self._give_back()

    def _give_back(self) -> None:
        before, self._before = self._before, {}  # a signal may come in between, and give back too
        for number, handler in before.items():
            signal.signal(number, handler)
