"""Seconds inside functions of a library that is not changed for it."""

import functools
import time
from collections import defaultdict
from typing import Any


class Stopwatch:
    """Functions are wrapped where they are looked up. A wrapped function's seconds are its own: those of the
    wrapped functions that it calls count for them."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inside: list[float] = []  # of each wrapped call that is not over: seconds of others within it

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """From now on `owner.attribute`, a module's or a class's, is timed under this name."""
        function = getattr(owner, attribute)

        @functools.wraps(function)
        def timed(*given: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            began = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                took = time.perf_counter() - began
                self.seconds[name] += took - self._inside.pop()
                if self._inside:
                    self._inside[-1] += took

        setattr(owner, attribute, timed)
