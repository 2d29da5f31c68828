"""Data that a Python program holds already: DataFrames and lists."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from whet.data.jsonlines import check_name, typed_array
from whet.data.table import Table
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
            values = [None if value is None or value != value else value for value in series.tolist()]
            columns[name] = typed_array(FRAME, name, values, pa.null(), None)
    return Table(FRAME, pa.table(columns))


def table_of_lists(source: Mapping[str, Sequence[object]] | tuple[Any, ...] | list[Any]) -> Table:
    """{"text": [...], "label": [...]}, (texts, labels) or a list of texts; a text may be a pair."""
    if isinstance(source, Mapping):
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
        raise DataError(f"{LISTS}: the lists differ in length: {found}. Every row needs a value in each.")
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
                f"{LISTS}, row {row + 1}: a text must be a string (or every text a pair of two), "
                f"not a value of type {type(text).__name__}."
            )
    return {"text": texts}


def _values(name: str, values: Any) -> list[Any]:
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise DataError(f"{LISTS}: '{name}' must be a list, not a value of type {type(values).__name__}.")
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _check_shape(source: str, names: list[str], n_rows: int) -> None:
    for name in names:
        check_name(source, name)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{source}: several columns are named '{twice}'. Give every column its own name.")
    if not names or not n_rows:
        raise DataError(f"{source}: there are no rows.")
