"""Rows that a group column keeps together, and those that it says nothing of."""

import pytest

from whet.data.folds import row_groups
from whet.data.readers import read_table
from whet.data.table import Columns


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_rows_without_a_group_are_no_group(tmp_path, suffix):
    """Otherwise all rows whose cell is empty would be one group, and fall into one fold."""
    path = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        path.write_text("text,label,author\none,a,\ntwo,b,\nthree,a, \nfour,b,Ann\nfive,a,Ann \n")
    else:
        path.write_text(
            '{"text": "one", "label": "a", "author": null}\n{"text": "two", "label": "b", "author": ""}\n'
            '{"text": "three", "label": "a", "author": " "}\n'
            '{"text": "four", "label": "b", "author": "Ann"}\n'
            '{"text": "five", "label": "a", "author": "Ann "}\n'
        )
    groups = row_groups(read_table(path), Columns("classification", "text", None, ("label",), ()), "author")
    assert len(set(groups[:4].tolist())) == 4
    assert groups[3] == groups[4]
