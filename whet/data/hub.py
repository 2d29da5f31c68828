"""`datasets`: folders it saved, data sets of the hub, and class labels, also those kept in a Parquet file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from whet.data.delimited import Batch
from whet.data.table import Table, check_names, check_values
from whet.data.wording import listed, shortened
from whet.errors import DataError, UsageError

SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("validation", "dev", "valid", "validation_matched"),
    "test": ("test", "test_matched"),
}
LONGEST_REASON = 300  # characters of another library's message
ANSWER_SECONDS = 5.0  # the hub has this long for its first answer
ClassNames = dict[str, tuple[str, ...]]
UNREADABLE = (pa.ArrowException, OSError, ValueError)  # what pyarrow raises over damaged bytes


def parquet_batches(source: str, path: Path, n_rows: int) -> tuple[Iterator[Batch], ClassNames]:
    """A Parquet file as batches, and the class names that `datasets` left in its schema."""
    try:
        file = pq.ParquetFile(path)
        names = _class_names_of_schema(file.schema_arrow)
        columns = file.schema_arrow.names
        n_found = file.metadata.num_rows
    except UNREADABLE as error:
        raise DataError(
            f"{source}: this is not a Parquet file that can be read: {_first_line(error)}. Save it again."
        ) from None
    check_names(source, columns)
    if not n_found:
        raise DataError(_no_rows(source, columns))
    return _parquet_batches(source, file, n_rows, names), names


def _decoded(table: pa.Table) -> pa.Table:
    """Categories as what they stand for: each row group has its own, and a spool takes one for all."""
    for i, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            plain = table.column(i).cast(field.type.value_type)
            table = table.set_column(i, field.name, plain)
    return table


def _parquet_batches(source: str, file: pq.ParquetFile, n_rows: int, names: ClassNames) -> Iterator[Batch]:
    start = 0
    try:
        for batch in file.iter_batches(batch_size=n_rows):
            table = _decoded(pa.Table.from_batches([batch]).replace_schema_metadata(None))
            check_values(source, table, start)
            yield with_class_names(source, table, names, start), None
            start += table.num_rows
    except UNREADABLE as error:
        raise DataError(
            f"{source}: the file breaks off behind row {start}: {_first_line(error)}. Save it again."
        ) from None
    if not start:
        raise DataError(_no_rows(source, file.schema_arrow.names))


def _no_rows(source: str, columns: Sequence[str]) -> str:
    return f"{source}: there are columns ({listed(columns)}) but no rows. Add rows, or name another file."


def _class_names_of_schema(schema: pa.Schema) -> ClassNames:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        inner = {name: feature.get("feature", feature) for name, feature in features.items()}  # of lists
        return {
            name: tuple(str(n) for n in feature["names"])
            for name, feature in inner.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and "names" in feature
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}  # metadata of another writer is no concern of ours


def with_class_names(source: str, table: pa.Table, names: ClassNames, start: int = 0) -> pa.Table:
    """The table with class ids replaced by names; -1, which is unlabelled in `datasets`, becomes null.

    Lists of ids stay as they are: whoever reads them finds their names in `Table.class_names`."""
    for column, classes in names.items():
        if column not in table.column_names or not pa.types.is_integer(table.column(column).type):
            continue
        ids = table.column(column).cast(pa.int64())
        ids = pc.if_else(pc.equal(ids, -1), pa.scalar(None, pa.int64()), ids)
        odd = pc.fill_null(pc.or_(pc.less(ids, 0), pc.greater_equal(ids, len(classes))), False)
        if pc.any(odd).as_py():
            row = int(np.flatnonzero(odd.to_numpy())[0])
            raise DataError(
                f"{source}, row {start + row + 1}: class {ids[row]} of '{shortened(column)}' has no name: "
                f"the data set names {len(classes)} classes, from 0 on. Mend the row, or add the name."
            )
        named = pa.chunked_array(
            [pa.array(classes, pa.string()).take(chunk) for chunk in ids.chunks], pa.string()
        )
        table = table.set_column(table.column_names.index(column), column, named)
    return table


def table_of_dataset(source: str, dataset: Any) -> Table:
    """A `datasets.Dataset` as a table; the rows stay where they are, memory-mapped."""
    import datasets

    if not isinstance(dataset, datasets.Dataset):
        raise UsageError(f"{source}: a {type(dataset).__name__} cannot be read. Load it without streaming.")
    inner = {name: getattr(feature, "feature", feature) for name, feature in dataset.features.items()}
    names: ClassNames = {
        name: tuple(map(str, feature.names))
        for name, feature in inner.items()
        if isinstance(feature, datasets.ClassLabel) and feature.names
    }
    rows = dataset.with_format("arrow")[:].replace_schema_metadata(None)
    check_names(source, rows.column_names)
    if not rows.num_rows:
        raise DataError(_no_rows(source, rows.column_names))
    check_values(source, rows)
    return Table(source, with_class_names(source, rows, names), class_names=names)


def saved_splits(source: str, folder: Path) -> dict[str, Table]:
    """The splits of a folder that `datasets` saved; a single data set counts as train."""
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # whatever a damaged folder raises, the user's next step is the same
        raise DataError(
            f"{source}: `datasets` cannot load this saved data set: {_first_line(error)}. Save it again."
        ) from None
    return splits_of(source, loaded)


def splits_of(source: str, loaded: Any) -> dict[str, Table]:
    """train, dev and test of a `Dataset` or `DatasetDict`; an error where it has none of them."""
    if not isinstance(loaded, dict):
        return {"train": table_of_dataset(source, loaded)}
    found = {}
    for split, aliases in SPLITS.items():
        name = next((alias for alias in aliases if alias in loaded), None)
        if name is not None:
            found[split] = table_of_dataset(f"{source} [{name}]", loaded[name])
    if not found:
        raise DataError(
            f"{source}: no split is called train, validation or test; there are: "
            f"{listed([str(name) for name in loaded]) or 'none'}. Rename one, or save it as a file."
        )
    return found


def hub_splits(source: str) -> dict[str, Table]:
    """train, dev and test of "hf:owner/name[:config]"."""
    name, _, config = source.removeprefix("hf:").partition(":")
    if not name:
        raise DataError(f"{source}: a data set of the hub is written hf:owner/name, or hf:owner/name:config.")
    import datasets
    import huggingface_hub

    offline = bool(huggingface_hub.constants.HF_HUB_OFFLINE)
    unreachable = None if offline else _unreachable(name)
    had_bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with _offline(bool(unreachable)):
            loaded = datasets.load_dataset(name, config or None)
    except Exception as error:  # `datasets` raises many kinds; each is one plain line for the user
        raise DataError(_hub_error(source, name, error, offline, unreachable)) from None
    finally:
        if had_bars:
            datasets.enable_progress_bars()
    return splits_of(source, loaded)


def _unreachable(name: str) -> str | None:
    """Why the hub does not answer, None if it does. `datasets` would try five times, for half a minute."""
    import huggingface_hub

    try:
        huggingface_hub.HfApi().dataset_info(name, timeout=ANSWER_SECONDS)
    except huggingface_hub.errors.HfHubHTTPError:
        return None  # it answered; what it said is load_dataset's to report
    except huggingface_hub.errors.HFValidationError as error:
        raise DataError(f"hf:{name}: no data set can have this name: {_first_line(error)}.") from None
    except Exception as error:
        return f"{type(error).__name__}: {_first_line(error)}"
    return None


@contextmanager
def _offline(on: bool) -> Iterator[None]:
    """Cache only, for as long as it lasts."""
    import datasets
    import huggingface_hub

    places = (datasets.config, huggingface_hub.constants)
    before = [place.HF_HUB_OFFLINE for place in places]
    try:
        for place, was in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = on or was
        yield
    finally:
        for place, was in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = was


def _hub_error(source: str, name: str, error: Exception, offline: bool, unreachable: str | None) -> str:
    kind = type(error).__name__
    if "Config name is missing" in str(error) or "BuilderConfig" in str(error):
        return f"{source}: name one of its configurations, as in hf:{name}:CONFIG. {str(error).strip()}"
    if offline:
        return (
            f"{source}: this data set is not in the local cache, and HF_HUB_OFFLINE keeps the network out. "
            f"Unset it, or name a file."
        )
    if unreachable:
        return (
            f"{source}: this data set is not in the local cache, and the hub gives no answer "
            f"({unreachable}). Name a file, or try again with a network."
        )
    if kind == "DatasetNotFoundError":
        return f"{source}: the hub has no data set '{name}' that you may read. Is the name right?"
    return (
        f"{source}: this data set could not be loaded ({kind}: {_first_line(error)}). "
        f"Save its rows as a file, and name that."
    )


def _first_line(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."
