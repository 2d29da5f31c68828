"""The errors that a user can act on.

    WhetError                 exit status 1: one plain message, no traceback
    ├── UsageError            exit status 2: the command was put together wrongly
    ├── ConfigError           a key or a value of the configuration
    ├── DataError             a file, a row, a column or a label
    ├── CheckpointError       a model folder, its weights or its tokeniser
    ├── RunError              a run folder: it exists already, or is not one
    └── TrainingError         training could not go on (a loss that is not finite)

A message names the place, the value, the rule and the next step. Anything that is not a WhetError is a
bug of ours.
"""

import difflib
from collections.abc import Iterable


class WhetError(Exception):
    """Something that the user can act on; the message is the whole story."""


class UsageError(WhetError):
    """The command or the call was put together wrongly."""


class ConfigError(WhetError):
    """Keys or values of the configuration; all of them are named at once."""


class DataError(WhetError):
    """A file, a row, a column or a label."""


class CheckpointError(WhetError):
    """A model folder, its weights or its tokeniser."""


class RunError(WhetError):
    """A run folder that exists already, or that is not a run."""


class TrainingError(WhetError):
    """Training could not go on."""


def nearest(word: str, known: Iterable[str]) -> str:
    """ " Did you mean 'x'?" with a leading space, or "" where nothing known is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
