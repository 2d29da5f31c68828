"""The command that a search ends with."""

import shlex

from whet.training.train_line import train_line

NAMED = {"data": "my reviews.csv", "dev": None, "test": None, "task": None, "text": "body", "pair": None,
         "label": None, "group": None}  # fmt: skip


def test_the_line_is_one_for_a_shell():
    line = train_line(NAMED, "mini", "lora", {"epochs": None, "learning_rate": 3.14e-05})
    assert shlex.split(line) == [
        "whet", "train", "my reviews.csv", "--text", "body", "--recipe", "lora", "--set", "epochs=none",
        "--set", "learning_rate=3.14e-05",
    ]  # fmt: skip


def test_several_label_columns_are_named_each():
    line = train_line(NAMED | {"label": ["rude", "threat"]}, "a/b", "default", {})
    assert line.endswith("--model a/b --label rude --label threat")


def test_data_in_memory_gives_a_line_of_python():
    line = train_line(NAMED | {"data": None}, "mini", "default", {"cut": "head"})
    assert line == "whet.train(data, text='body', cut='head')"
