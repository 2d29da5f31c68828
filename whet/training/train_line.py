"""The command that trains once more as a search did."""

import shlex
from collections.abc import Mapping
from typing import Any

from whet.recipes import DEFAULT


def train_line(named: Mapping[str, Any], model: str, recipe: str, settings: Mapping[str, Any]) -> str:
    """named are data and columns as in a manifest; without a data path it is a line of Python."""
    options = {name: named.get(name) for name in ("dev", "test", "task", "text", "pair", "group")}
    labels = named.get("label")
    label_list = [] if labels is None else [labels] if isinstance(labels, str) else list(labels)
    given = {name: value for name, value in options.items() if value is not None}
    given |= {} if model == "mini" else {"model": model}
    given |= {} if recipe == DEFAULT else {"recipe": recipe}
    if named.get("data") is None:
        given |= {"label": labels} if labels is not None else {}
        words = [f"{name}={value!r}" for name, value in {**given, **settings}.items()]
        return f"whet.train({', '.join(['data', *words])})"
    words = ["whet", "train", str(named["data"])]
    for name, value in given.items():
        words += [f"--{name}", str(value)]
    for label in label_list:
        words += ["--label", label]
    for name, value in settings.items():
        words += ["--set", f"{name}={'none' if value is None else value}"]
    return shlex.join(words)
