"""Data that a Python program holds already: DataFrames and lists."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from whet.data.table import Table, check_names, check_values
from whet.data.values import check_name, typed_array
from whet.data.wording import shortened
from whet.errors import DataError, UsageError

LISTS = "<lists>"
FRAME = "<DataFrame>"


def is_frame(source: object) -> bool:
    """Whether this is a pandas DataFrame, asked without importing pandas."""
    kind = type(source)
    return kind.__name__ == "DataFrame" and kind.__module__.split(".")[0] == "pandas"


def table_of_frame(frame: Any) -> Table:
    """A DataFrame without its index; rows are counted from 1, whatever the index says."""
    names = [str(name) for name in frame.columns]
    _check_shape(FRAME, names, len(frame))
    columns = {}
    for place, name in enumerate(names):
        series = frame.iloc[:, place]
        try:
            columns[name] = pa.Array.from_pandas(series)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeEncodeError):
            gone = series.isna().tolist()
            values = [None if out else value for value, out in zip(series.tolist(), gone, strict=True)]
            columns[name] = typed_array(FRAME, name, values, pa.null(), None)
    table = pa.table(columns)
    check_values(FRAME, table)
    return Table(FRAME, table)


def table_of_lists(source: Mapping[str, Sequence[object]] | tuple[Any, ...] | list[Any]) -> Table:
    """{"text": [...], "label": [...]}, (texts, labels) or a list of texts; a text may be a pair."""
    if isinstance(source, Mapping):
        check_names(LISTS, [str(name) for name in source])
        lists = {str(name): _values(str(name), values) for name, values in source.items()}
    elif isinstance(source, tuple) and len(source) == 2 and not all(isinstance(part, str) for part in source):
        lists = {**_texts(_values("text", source[0])), "label": _values("label", source[1])}
    elif isinstance(source, list):
        lists = _texts(source)
    else:
        raise UsageError("data in memory is (texts, labels), a dict of lists, or a DataFrame.")
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"'{name}' has {length:,}" for name, length in lengths.items())
        raise DataError(f"{LISTS}: the lists differ in length: {found}. Give every row a value in each.")
    _check_shape(LISTS, list(lists), max(lengths.values(), default=0))
    return Table(
        LISTS, pa.table({n: typed_array(LISTS, n, values, pa.null(), None) for n, values in lists.items()})
    )


def _texts(texts: list[Any]) -> dict[str, list[Any]]:
    paired = [isinstance(text, list | tuple) and len(text) == 2 for text in texts]
    if texts and all(paired):
        return {"text": [text[0] for text in texts], "pair": [text[1] for text in texts]}
    for row, text in enumerate(texts):
        if text is not None and not isinstance(text, str):
            raise DataError(
                f"{LISTS}, row {row + 1}: this text is a value of type {type(text).__name__}. "
                f"Give a string, or only pairs."
            )
    return {"text": texts}


def _values(name: str, values: Any) -> list[Any]:
    found = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(found, str | bytes) or not hasattr(found, "__len__"):
        raise DataError(
            f"{LISTS}: '{shortened(name)}' is a value of type {type(values).__name__}. Give a list instead."
        )
    return list(found)


def _check_shape(source: str, names: list[str], n_rows: int) -> None:
    for name in names:
        check_name(source, name)
    check_names(source, names)
    if not names or not n_rows:
        raise DataError(f"{source}: there are no rows. Give at least one.")
