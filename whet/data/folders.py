"""Folders that hold splits: GLUE tasks as they are published, and train, dev and test files of any format."""

from collections.abc import Mapping
from pathlib import Path

from whet.data.table import Columns

# Names a split's file may have, in the order they are looked for
STEMS: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("dev", "validation", "valid", "val", "dev_matched"),
    "test": ("test", "test_matched"),
}
SUFFIXES = (".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".parquet")

# The layouts of GLUE's files by their columns (lower case): name, task, text, pair, label.
GLUE_LAYOUTS: tuple[tuple[str, str, str, str | None, str], ...] = (
    ("CoLA", "classification", "sentence", None, "label"),
    ("MRPC", "classification", "#1 String", "#2 String", "Quality"),
    ("MNLI", "classification", "sentence1", "sentence2", "gold_label"),
    ("QQP", "classification", "question1", "question2", "is_duplicate"),
    ("QNLI", "classification", "question", "sentence", "label"),
    ("STS-B", "regression", "sentence1", "sentence2", "score"),
    ("RTE or WNLI", "classification", "sentence1", "sentence2", "label"),
    ("SST-2", "classification", "sentence", None, "label"),
)


def split_files(folder: Path) -> dict[str, Path]:
    """The files of train, dev and test in a folder; empty where it is no such folder."""
    found = {}
    for split, stems in STEMS.items():
        candidates = [folder / f"{stem}{suffix}" for suffix in SUFFIXES for stem in stems]
        existing = next((path for path in candidates if path.is_file()), None)
        if existing is not None:
            found[split] = existing
    return found


def is_saved_dataset(folder: Path) -> bool:
    """Whether `datasets` wrote this folder with save_to_disk."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def glue_columns(names: tuple[str, ...], train_names: tuple[str, ...]) -> Columns | None:
    """What the columns of a GLUE file are, by the header of the folder's train file.

    A test file may lack the label."""
    for task_name, task, text, pair, label in GLUE_LAYOUTS:
        needed = {text, label} | ({pair} if pair else set())
        if task_name == "CoLA" and "mark" not in train_names:
            continue
        if not needed <= set(train_names) or not {text, pair or text} <= set(names):
            continue
        texts = f"'{text}' and '{pair}'" if pair else f"'{text}'"
        note = f"{task}, texts in {texts}, labels in '{label}': the columns are those of GLUE's {task_name}"
        return Columns(task, text, pair, (label,) if label in names else (), (note,))
    return None
