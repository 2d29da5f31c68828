"""A small GLUE folder: every file with the columns, quoting and byte order marks of the published one.

Columns are those of GLUE's download (MNLI, QQP and QNLI as transformers' and jiant's readers index them).
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.acceptance import house

MNLI = """index promptID pairID genre
    sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse"""
ROWS = {"train": 48, "dev": 16, "test": 9}
NLI = ("entailment", "neutral", "contradiction")


def glue_folder(folder: Path) -> Path:
    """All nine tasks and the diagnostic set, with and without its labels."""
    for number, (name, rows) in enumerate(_TASKS.items()):
        for split, count in ROWS.items():
            first, second, _ = house.pairs(count, seed=10 * number + list(ROWS).index(split))
            first[1], second[2] = f'" {first[1]}', f'{second[2]} "'  # quotes are text, and open
            for file, lines in rows(split, first, second).items():
                _write(folder / name / file, lines, mark=name == "MRPC" and split != "test")
    first, second, _ = house.pairs(12, seed=99)
    rows = [[str(i), a, b] for i, (a, b) in enumerate(zip(first, second, strict=True))]
    _write(folder / "diagnostic/diagnostic.tsv", [["index", "sentence1", "sentence2"], *rows])
    return folder


def label_diagnostic(folder: Path) -> list[str]:
    """Add the form that has labels; -> the labels."""
    first, second, _ = house.pairs(12, seed=99)
    labels = _labels(12, NLI)
    head = ["Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge", "Domain"]
    rows = [["", "", "Negation", "", "Artificial", *row] for row in zip(first, second, labels, strict=True)]
    lines = [[*head, "Premise", "Hypothesis", "Label"], *rows]
    _write(folder / "diagnostic/diagnostic-full.tsv", lines)
    return labels


Files = dict[str, list[list[str]]]


def _cola(split: str, first: list[str], second: list[str]) -> Files:
    labels = _labels(len(first), ("0", "1"))
    if split == "test":
        return _numbered(split, ["sentence"], [first])
    return {
        f"{split}.tsv": [["gj04", y, "" if y == "1" else "*", t] for t, y in zip(first, labels, strict=True)]
    }


def _sst(split: str, first: list[str], second: list[str]) -> Files:
    if split == "test":
        return _numbered(split, ["sentence"], [first])
    rows = [[f"{text} ", y] for text, y in zip(first, _labels(len(first), ("0", "1")), strict=True)]
    return {f"{split}.tsv": [["sentence", "label"], *rows]}


def _mrpc(split: str, first: list[str], second: list[str]) -> Files:
    lead = "index" if split == "test" else "Quality"
    leads = [str(i) for i in range(len(first))] if split == "test" else _labels(len(first), ("0", "1"))
    rows = [[a, "12", "13", b, c] for a, b, c in zip(leads, first, second, strict=True)]
    return {f"{split}.tsv": [[lead, "#1 ID", "#2 ID", "#1 String", "#2 String"], *rows]}


def _sts(split: str, first: list[str], second: list[str]) -> Files:
    names = ["genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2"]
    n = len(first)
    plain = [[word] * n for word in ("main-captions", "MSRvid", "2012test", "0001", "none", "none")]
    scores = [f"{random.Random(i).uniform(0, 5):.3f}" for i in range(n)]
    return _numbered(split, names, [*plain, first, second], ("score", scores))


def _qqp(split: str, first: list[str], second: list[str]) -> Files:
    ids = [str(i) for i in range(len(first))]
    if split == "test":
        return {
            "test.tsv": [["id", "question1", "question2"], *map(list, zip(ids, first, second, strict=True))]
        }
    labels = _labels(len(first), ("0", "1"))
    rows = [[i, i + "1", i + "2", a, b, y] for i, a, b, y in zip(ids, first, second, labels, strict=True)]
    return {f"{split}.tsv": [["id", "qid1", "qid2", "question1", "question2", "is_duplicate"], *rows]}


def _mnli(split: str, first: list[str], second: list[str]) -> Files:
    names = [*MNLI.split()[1:], "sentence1", "sentence2"]
    n = len(first)
    plain = [
        ["31193"] * n,
        ["31193n"] * n,
        ["government"] * n,
        *([f"( ( {t} ) . )" for t in first] for _ in range(4)),
    ]
    labels = _labels(n, NLI)
    files: Files = {}
    for part in ("",) if split == "train" else ("_matched", "_mismatched"):
        texts = [first, second] if part != "_mismatched" else [second, first]
        votes = 0 if split == "test" else 1 if split == "train" else 5
        columns = [*plain, *texts, *[labels] * votes]
        titles = [*names, *(f"label{i + 1}" for i in range(votes))]
        files |= _numbered(split, titles, columns, ("gold_label", labels), part)
    return files


def _nli(columns: Sequence[str], labels: Sequence[str]) -> Callable[[str, list[str], list[str]], Files]:
    return lambda split, first, second: _numbered(
        split, columns, [first, second], ("label", _labels(len(first), labels))
    )


_TASKS: dict[str, Callable[[str, list[str], list[str]], Files]] = {
    "CoLA": _cola,
    "SST-2": _sst,
    "MRPC": _mrpc,
    "STS-B": _sts,
    "QQP": _qqp,
    "MNLI": _mnli,
    "QNLI": _nli(("question", "sentence"), ("entailment", "not_entailment")),
    "RTE": _nli(("sentence1", "sentence2"), ("entailment", "not_entailment")),
    "WNLI": _nli(("sentence1", "sentence2"), ("0", "1")),
}


def _numbered(
    split: str,
    names: Sequence[str],
    columns: Sequence[Sequence[str]],
    label: tuple[str, Sequence[str]] | None = None,
    part: str = "",
) -> Files:
    """index, the columns and, but for test, the label."""
    if label is not None and split != "test":
        names, columns = [*names, label[0]], [*columns, label[1]]
    rows = [[str(i), *row] for i, row in enumerate(zip(*columns, strict=True))]
    return {f"{split}{part}.tsv": [["index", *names], *rows]}


def _labels(count: int, names: Sequence[str]) -> list[str]:
    """As many of each, in an order without pattern."""
    found = [names[i % len(names)] for i in range(count)]
    random.Random(count).shuffle(found)
    return found


def _write(path: Path, rows: Sequence[Sequence[str]], mark: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join("\t".join(row) for row in rows) + "\n"
    path.write_text(("\ufeff" if mark else "") + text, encoding="utf-8")
