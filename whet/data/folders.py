"""Folders that hold splits: GLUE tasks as they are published, and train, dev and test files of any format."""

from collections.abc import Mapping
from pathlib import Path

from whet.data.glue import NINE
from whet.data.table import Columns

# Names a split's file may have, in the order they are looked for
STEMS: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("dev", "validation", "valid", "val", "dev_matched"),
    "test": ("test", "test_matched"),
}
CONLL = (".conll", ".iob", ".iob2", ".bio", ".iobes")
SUFFIXES = (
    *(".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq"),
    *CONLL,
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
    fitting = [task for task in NINE if task.columns <= set(train_names)]
    if not fitting:
        return None
    first = max(fitting, key=lambda task: len(task.columns))  # QNLI has the columns of SST-2 too
    if not {first.text, first.pair or first.text} <= set(names):
        return None
    alike = " or ".join(task.name for task in fitting if task.columns == first.columns)
    texts = f"'{first.text}' and '{first.pair}'" if first.pair else f"'{first.text}'"
    note = (
        f"{first.kind}, texts in {texts}, labels in '{first.label}': the columns are those of GLUE's {alike}"
    )
    labels = (first.label,) if first.label in names else ()
    return Columns(first.kind, first.text, first.pair, labels, (note,))
