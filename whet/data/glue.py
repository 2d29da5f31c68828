"""GLUE's nine tasks as they are published: names, columns, files, and the figures they are judged by.

From Wang et al., "GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding"
(ICLR 2019), its download script and its leaderboard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from whet.errors import UsageError, nearest


@final
@dataclass(frozen=True)
class GlueTask:
    """One of the nine: how it is laid out, and what it is judged by."""

    name: str  # as GLUE writes it
    kind: str  # a name of `whet.tasks.TASKS`
    text: str  # columns, as `pair` and `label`
    pair: str | None
    label: str
    labels: tuple[str, ...]  # GLUE's names, which the leaderboard wants back; none of a regression
    figures: tuple[str, ...]  # keys of the task's metrics; its score is their mean
    positive_label: str | None = None  # what F1 is about
    parts: tuple[str, ...] = ("",)  # of dev and test: "dev" + part + ".tsv"
    submissions: tuple[str, ...] = ()  # the files that the leaderboard takes, one a part; none is the name
    marked_by: str | None = None  # a column that tells its rows from those of another task

    @property
    def columns(self) -> frozenset[str]:
        """What train and dev files must have."""
        return frozenset(name for name in (self.text, self.pair, self.label, self.marked_by) if name)

    @property
    def names(self) -> dict[str, Any]:
        """Of its columns, as `train` and `evaluate` take them."""
        return {"text": self.text, "pair": self.pair, "label": self.label}

    @property
    def tests(self) -> tuple[tuple[str, str], ...]:
        """The name of a submission file and the test file it is about."""
        names = self.submissions or (self.name,)
        return tuple((name, f"test{part}.tsv") for name, part in zip(names, self.parts, strict=True))


PAIR = ("sentence1", "sentence2")
ENTAILMENT = ("entailment", "not_entailment")
BINARY = ("0", "1")
SPAN = (0.0, 5.0)  # of STS-B's scores
NINE: Final = (
    GlueTask("CoLA", "classification", "sentence", None, "label", BINARY, ("mcc",), marked_by="mark"),
    GlueTask("SST-2", "classification", "sentence", None, "label", BINARY, ("accuracy",)),
    GlueTask("MRPC", "classification", "#1 String", "#2 String", "Quality", BINARY, ("f1", "accuracy"), "1"),
    GlueTask("STS-B", "regression", *PAIR, "score", (), ("pearson", "spearman")),
    GlueTask(
        "QQP", "classification", "question1", "question2", "is_duplicate", BINARY, ("f1", "accuracy"), "1"
    ),
    GlueTask(
        "MNLI",
        "classification",
        *PAIR,
        "gold_label",
        ("entailment", "neutral", "contradiction"),
        ("accuracy",),
        parts=("_matched", "_mismatched"),
        submissions=("MNLI-m", "MNLI-mm"),
    ),
    GlueTask("QNLI", "classification", "question", "sentence", "label", ENTAILMENT, ("accuracy",)),
    GlueTask("RTE", "classification", *PAIR, "label", ENTAILMENT, ("accuracy",)),
    GlueTask("WNLI", "classification", *PAIR, "label", BINARY, ("accuracy",)),
)
BY_NAME: Final[Mapping[str, GlueTask]] = {task.name: task for task in NINE}
DIAGNOSTIC: Final = "AX"  # its submission file; the model of MNLI answers it
SUBMISSIONS: Final = (*(name for task in NINE for name, _ in task.tests), DIAGNOSTIC)
FROM_MNLI: Final = ("RTE", "MRPC", "STS-B")  # what `--transfer mnli` starts from the model of MNLI


def named_tasks(names: Sequence[str]) -> tuple[str, ...]:
    """GLUE's names of what a user calls cola, sst2, "STS-B" ...; in GLUE's order. Raises UsageError."""
    found, problems = set(), []
    for name in names:
        known = spelled_task(name)
        if known is None:
            problems.append(f"there is no GLUE task '{name}'.{nearest(_key(name), _SPELLED)}")
        else:
            found.add(known)
    if problems or not found:
        told = " ".join(problems) or "no task is named."
        raise UsageError(f"--tasks: {told} The tasks are: {', '.join(BY_NAME)}.")
    return tuple(name for name in BY_NAME if name in found)


def spelled_task(name: str) -> str | None:
    """GLUE's name of a task or its folder, however it is spelled; None for what is none."""
    return _SPELLED.get(_key(name))


def _key(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


_SPELLED = {"sst": "SST-2", "sts": "STS-B"} | {_key(name): name for name in BY_NAME}
