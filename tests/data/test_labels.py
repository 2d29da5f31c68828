"""Labels: their order, their spelling, and the error for one that a model does not know."""

import numpy as np
import pytest

from whet.data.labels import encode_labels, label_names
from whet.data.readers import read_table
from whet.data.table import Table
from whet.errors import DataError


def table(labels, **fields) -> Table:
    made = read_table({"text": ["a"] * len(labels), "label": labels})
    return Table("reviews.csv", made.columns, np.arange(2, len(labels) + 2), **fields)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["pos", "neg", "pos"], ("neg", "pos")),
        (["10", "9", "-1"], ("-1", "9", "10")),
        ([10, 9, 9], ("9", "10")),
        ([1.0, 0.0, None], ("0", "1")),
        ([True, False], ("false", "true")),
        (["b", "10", "9"], ("10", "9", "b")),
        ([" x ", "x", "y\n"], ("x", "y")),
        (["x", "", "  ", None, "y"], ("x", "y")),
        (["01", "1", "0"], ("0", "01", "1")),
        ([1.5, 2.5], ("1.5", "2.5")),
    ],
)
def test_names_in_order(labels, names):
    data = table(labels)
    assert label_names([data], "label") == names
    numbers = encode_labels(data, "label", names)
    assert numbers.dtype == np.int64
    spelled = [None if number < 0 else names[number] for number in numbers]
    assert len(spelled) == len(labels)
    assert all(
        (name is None) == (label is None or not str(label).strip())
        for name, label in zip(spelled, labels, strict=True)
    )


def test_several_tables():
    assert label_names([table(["b"]), table(["a"])], "label") == ("a", "b")


def test_order_of_class_names_wins():
    data = table(["pos", None, "neg"], class_names={"label": ("pos", "neg", "never")})
    assert label_names([data], "label") == ("pos", "neg", "never")
    assert encode_labels(data, "label", ("pos", "neg", "never")).tolist() == [0, -1, 1]


def test_minus_one():
    assert label_names([table(["-1", "0", "1"])], "label") == ("-1", "0", "1")
    unlabelled = table(["-1", "0", "1"], minus_one_is_unlabelled=True)
    assert label_names([unlabelled], "label") == ("0", "1")
    assert encode_labels(unlabelled, "label", ("0", "1")).tolist() == [-1, 0, 1]


def error(call, *arguments):
    with pytest.raises(DataError) as caught:
        call(*arguments)
    return str(caught.value)


def test_one_class():
    assert error(label_names, [table(["pos", "pos", ""])], "label") == (
        "reviews.csv: column 'label' holds one class only ('pos'); a classifier needs at least two. "
        "Add rows of another class, or name another column with --label."
    )


def test_no_label():
    assert error(label_names, [table(["", None])], "label") == (
        "reviews.csv: column 'label' holds no label. Name another column with --label."
    )


def test_unknown_label():
    data = table(["positive", "negative", "postive", "postive", "neutral"])
    assert error(encode_labels, data, "label", ("positive", "negative")) == (
        "reviews.csv:4: label 'postive' is not one of the 2 labels this model knows (positive, negative). "
        "2 more rows have an unknown label.\n"
        "Did you mean 'positive'? Fix the row, or train again with the new label in the data."
    )
    assert error(encode_labels, table(["zzz"]), "label", [str(n) for n in range(11)]) == (
        "reviews.csv:2: label 'zzz' is not one of the 11 labels this model knows (0, 1, 2, 3, 4, 5, "
        "6, 7, 8, 9, ...).\n"
        "Fix the row, or train again with the new label in the data."
    )
