"""Writes docs/reference.md from the code: commands, settings, public names, predictions and figures.

    python docs/generate.py

`reference()` gives the text; tests/test_docs.py compares it with the file.
"""

import contextlib
import dataclasses
import importlib
import inspect
import io
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import typer

import whet
from whet.cli.main import app
from whet.config import KINDS, SETTINGS

PAGE = Path(__file__).with_name("reference.md")
COMMAND = "python docs/generate.py"
WIDTH = 100  # columns of --help


def reference() -> str:
    """The whole page."""
    parts = [
        "# Reference",
        f"Made by `{COMMAND}` from the code; changes made here by hand are lost.",
        "- [Commands](#commands)\n- [Settings](#settings)\n- [Predictions](#predictions)\n"
        "- [Figures](#figures)\n- [Public names](#public-names)\n"
        "- [What the verbs give back](#what-the-verbs-give-back)",
        "## Commands",
        *_commands(),
        "## Settings",
        "Keys of `--set`, and keyword arguments of `whet.train`.",
        _settings(),
        "## Predictions",
        *_predictions(),
        "## Figures",
        *_figures(),
        "## Public names",
        "What `import whet` hands out; all of it is loaded on first use.",
        *_public_names(),
    ]
    return "\n\n".join(parts) + "\n"


def commands() -> dict[str, Any]:
    """Command line -> the click command behind it; "whet" itself first."""
    root: Any = typer.main.get_command(app)
    return {"whet": root} | {f"whet {name}": command for name, command in root.commands.items()}


def _commands() -> Iterator[str]:
    for line, command in commands().items():
        yield f"### {line}"
        yield f"```console\n{_help(line, command)}\n```"


def _help(line: str, command: Any) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        command.main(["--help"], prog_name=line, standalone_mode=False, terminal_width=WIDTH)
    return "\n".join(row.rstrip() for row in out.getvalue().strip().splitlines())


def _settings() -> str:
    rows = ["| name | default | accepted | meaning |", "| --- | --- | --- | --- |"]
    for name, setting in SETTINGS.items():
        default = "none" if setting.default is None else setting.default
        rows.append(f"| `{name}` | {default} | {KINDS[name].accepted} | {setting.metadata['meaning']} |")
    return "\n".join(rows)


def _predictions() -> Iterator[str]:
    from whet.data.writing import open_writer
    from whet.examples import (
        Answer,
        AnswerPrediction,
        Entity,
        LabelPrediction,
        MultilabelPrediction,
        TagsPrediction,
        ValuePrediction,
    )

    rows = [{"id": 7, "text": "A joy.", "label": "positive"}]
    found = [LabelPrediction("positive", 0.875, {"negative": 0.125, "positive": 0.875}, (-0.5, 1.5))]
    with contextlib.redirect_stdout(io.StringIO()) as lines, open_writer(None) as write:
        write(rows, [dataclasses.replace(found[0], logits=None)])
    with contextlib.redirect_stdout(io.StringIO()) as with_logits, open_writer(None) as write:
        write([], found)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "predictions.csv")
        with open_writer(table) as write:
            write(rows, found)
        comma_separated = table.read_text(encoding="utf-8")
    yield (
        "One line for each row, in order. The input's columns come first; one that is called like an answer "
        "is renamed `input_...`. JSON lines, on standard output or with `--to FILE.jsonl`:"
    )
    yield f"```json\n{lines.getvalue()}```"
    yield "With `--no-input --logits`:"
    yield f"```json\n{with_logits.getvalue()}```"
    yield "With `--logits --to FILE.csv`:"
    yield f"```console\n{comma_separated}```"
    others = {
        "Where a text has [several labels](guide.md#several-labels-for-each-text)": MultilabelPrediction(
            ("joy", "love"), {"anger": 0.0625, "joy": 0.875, "love": 0.75}
        ),
        "[A number](guide.md#a-number-for-each-text)": ValuePrediction(3.5, (2.25, 4.75)),
        "[Entities](guide.md#entities-in-texts)": TagsPrediction(
            ("Emma", "Clark", "left"), ("B-PER", "I-PER", "O"), (Entity("PER", 0, 10, "Emma Clark", 0.875),)
        ),
        "[An answer](guide.md#questions-about-a-text)": AnswerPrediction(
            "Emma", 0, 4, 0.875, 0.0625, (Answer("Emma", 0, 4, 0.875), Answer("Emma left", 0, 9, 0.0625))
        ),
    }
    for what, prediction in others.items():
        with contextlib.redirect_stdout(io.StringIO()) as lines, open_writer(None) as write:
            write([], [prediction])
        yield f"{what}:"
        yield f"```json\n{lines.getvalue()}```"


def _figures() -> Iterator[str]:
    from whet.evaluation import evaluate_logits
    from whet.slices import cut_by_length, slice_rows
    from whet.tasks.classification import Classification
    from whet.tasks.decision import Decision

    rules = Decision(temperature=1.5, abstain_below=0.6, quantiles=(0.4, 0.5, 1.0), n_rows=20)
    task = Classification(("negative", "positive"), "positive", decision=rules)
    chances = np.array([[0.75, 0.25], [0.5625, 0.4375], [0.25, 0.75], [0.625, 0.375]])
    logits = rules.temperature * np.log(chances)
    found = evaluate_logits(task, logits, np.array([0, 0, 1, 1]), "test.csv")
    lengths, is_right = np.repeat([5, 9, 11, 16, 28], 20), np.arange(100) < 80
    slices = slice_rows([cut_by_length(lengths)], is_right)[:1]
    whole = dataclasses.replace(found, slices=slices, look=1).to_json()
    whole["metrics"]["selective"]["curve"][1:-1] = ["..."]
    yield (
        "`whet eval --json` prints, on one line, what follows; `Evaluation.metrics` is its `metrics`. `nll` "
        "is the mean loss in nats a text. `precision`, `recall` and `f1` are there where `positive_label` is "
        "set. In `confusion`, rows are true labels, columns predicted ones. An undefined ROC AUC is null. "
        "`calibration`: at temperature 1 and as fitted; `ece_if_calibrated` is the mean and the 95th "
        "percentile of the error that true probabilities would show. `selective`: the surest rows `at` each "
        "coverage and their least `confidence`, the risk-coverage `curve` as [coverage, accuracy], and what "
        "abstaining does. `label_sets` is empty where none were fitted. "
        "`slices` has every slice, worst first (here one, of another file); `kind` is length, label or "
        "column. `look` is null where no look is counted."
    )
    text = json.dumps(_rounded(whole), indent=2)
    number = r"(-?\d[\d.e-]*)"
    rows = re.sub(rf"\[\s+{number},\s+{number}\s+\]", r"[\1, \2]", text)  # a pair of numbers on one line
    yield f"```json\n{rows}\n```"
    yield (
        "Of several labels the figures are micro, macro and samples (a mean over texts) `_precision`, "
        "`_recall` and `_f1`, `micro_pr_auc`, `macro_pr_auc`, `subset_accuracy`, `hamming_loss`, and `bce`, "
        "the mean binary cross-entropy in nats a decision; `per_class` has `pr_auc`, and in `predicted` how "
        "often a label is given. `decisions`, in place of `calibration`: how true the probabilities of all "
        "labels are."
    )


def _rounded(value: Any) -> Any:
    """Four places, for the eye."""
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 4) if isinstance(value, float) else value


RESULTS = (
    "examples.LabelPrediction",
    "examples.MultilabelPrediction",
    "examples.ValuePrediction",
    "examples.AnswerPrediction",
    "examples.Answer",
    "examples.TagsPrediction",
    "examples.Entity",
    "comparison.Comparison",
    "known_models.PackedFamily",
    "known_models.Description",
    "labelling.Selection",
    "glue_suite.GlueResults",
    "slices.Slice",
    "searching.Search",
    "searching.Helped",
    "training.estimate.Estimate",
    "data.findings.Report",
    "data.findings.Finding",
)
"""What verbs give back and nobody has to import; a name of `whet` each would leave too few for verbs."""


def _public_names() -> Iterator[str]:
    yield from _names(whet, whet.__all__)
    yield "## What the verbs give back"
    for path in RESULTS:
        module, _, name = path.rpartition(".")
        yield from _names(importlib.import_module(f"whet.{module}"), [name])


def _names(home: ModuleType, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        value = getattr(home, name)
        if not callable(value):
            yield f"### {home.__name__}.{name}\n\nText: `{value}`."
            continue
        yield f"### {home.__name__}.{name}"
        if inspect.isclass(value):
            yield from _class(name, value)
        else:
            yield _code(name, value)
            yield _first_line(value)


def _class(name: str, value: type) -> Iterator[str]:
    is_error = issubclass(value, Exception)
    if not is_error:
        yield "Its fields are the [settings](#settings)." if name == "TrainConfig" else _code(name, value)
    yield _first_line(value)
    rows = []
    for member, found in vars(value).items():
        if member.startswith("_"):
            continue
        if isinstance(found, property):
            rows.append(f"- `{member}`: {_first_line(found)}")
        elif inspect.isfunction(found):
            words = _first_line(found)
            rows.append(f"- `{member}{_signature(found)}`" + (f": {words}" if words else ""))
    if rows:
        yield "\n".join(rows)


def _code(name: str, value: Any) -> str:
    text = f"{name}{_signature(value)}"
    if len(text) > WIDTH:
        parameters = [_plain(str(part)) for part in inspect.signature(value).parameters.values()]
        inner = ",\n    ".join(_with_star(value, parameters))
        text = f"{name}(\n    {inner},\n){_returns(value)}"
    return f"```console\n{text}\n```"


def _with_star(value: Any, parameters: list[str]) -> list[str]:
    """The lone * before the first keyword-only parameter."""
    kinds = [part.kind for part in inspect.signature(value).parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds:
        parameters.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    return parameters


def _signature(value: Any) -> str:
    parameters = [
        _plain(str(part)) for name, part in inspect.signature(value).parameters.items() if name != "self"
    ]
    kinds = [part.kind for name, part in inspect.signature(value).parameters.items() if name != "self"]
    if inspect.Parameter.KEYWORD_ONLY in kinds:
        parameters.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    return f"({', '.join(parameters)}){_returns(value)}"


def _returns(value: Any) -> str:
    returns = inspect.signature(value).return_annotation
    if inspect.isclass(value) or returns is inspect.Signature.empty or returns is None:
        return ""
    return f" -> {_plain(inspect.formatannotation(returns))}"


def _plain(text: str) -> str:
    """Without module names, and without what differs between Python versions."""
    text = re.sub(r"\b(?:whet|collections|pathlib|typing)(?:\.[a-z_]+)*\.(?=[A-Z])", "", text)
    return text.replace("os.PathLike", "PathLike")


def _first_line(value: Any) -> str:
    words = inspect.getdoc(value)
    if not words:
        return ""
    first = words.split("\n\n")[0].replace("\n", " ")
    return first.split(" Raises ")[0]


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8", newline="\n")
    print(f"wrote {PAGE.name}")
