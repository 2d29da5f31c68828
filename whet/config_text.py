"""Settings as people write them, `--set key=value`, as typed values."""

import re
from collections.abc import Mapping
from typing import Any

from whet.config import KINDS, meant
from whet.errors import ConfigError

_DURATION = re.compile(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?")


def parse_settings(pairs: list[str], options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`["epochs=5", "cut=head"]` -> typed values, on top of options that came typed.

    Raises ConfigError, which lists every bad key (with the nearest right one) and every bad value at once.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in (options or {}).items():
        try:
            values[key] = KINDS[key].checked(value)
        except ConfigError as error:
            problems.append(str(error))
    for pair in pairs:
        key, sign, text = pair.partition("=")
        key = key.strip()
        if not sign:
            problems.append(f"--set {pair}: write it as key=value.")
        elif key not in KINDS:
            problems.append(f"--set {pair}: there is no setting '{key}'.{meant(key)}")
        else:
            try:
                values[key] = KINDS[key].checked(_parsed(key, text))
            except ConfigError as error:
                problems.append(str(error))
    if problems:
        if any("there is no setting" in problem for problem in problems):
            problems.append(f"The settings are: {', '.join(KINDS)}.")
        raise ConfigError("\n".join(problems))
    return values


def parse_seconds(text: str) -> float:
    """Seconds from "90", "90s", "10m" or "1h30m". Raises ValueError for anything else."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None or not any(found.groups()):
        return float(text)
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


def _parsed(name: str, text: str) -> Any:
    kind = KINDS[name]
    if name != "label_separator" or not text.isspace():  # a blank may stand between labels
        text = text.strip()
    if kind.is_optional and text.lower() in ("", "none"):
        return None
    try:
        return parse_seconds(text) if name == "time_limit" else kind.base(text)
    except ValueError:
        raise ConfigError(f"{name}={text}: must be {kind.accepted}.") from None
