"""Texts of a loss that is not finite, where losses are not of texts."""

from pathlib import Path

import numpy as np

from tests.acceptance import house
from whet.checkpoints.loading import open_checkpoint
from whet.config import make_config
from whet.model import start_model
from whet.tasks.answer_windows import Asked
from whet.tasks.question_answering import QuestionAnswering
from whet.text.questions import Question, QuestionWindows
from whet.text.rules import TextRules
from whet.text.store import store_of
from whet.text.tokens import Tokeniser
from whet.training.gradient import Examples, guilty


def test_a_loss_that_is_not_finite_names_its_question(tmp_path: Path) -> None:
    """Losses are of windows here, of which the second question has several; what is bad stands in its last.

    Proof that it can fail: without the look at each text alone all three are named."""
    folder = house.make_checkpoint(tmp_path / "tiny")
    checkpoint = open_checkpoint(folder)
    tokeniser = Tokeniser.load(folder, checkpoint.spec.n_types)
    task = QuestionAnswering()
    rules = TextRules(40, "tail", "cut", "sentence", 0, "question", None, ("answers",), "own")
    model = start_model(checkpoint, task, tokeniser, rules, seed=1).model.train()
    texts, _ = house.sentences(40, 3)
    common, rare = texts[0].split()[:2]
    rows = [Question(common, common), Question(common, f"{common} " * 90 + rare), Question(common, common)]
    store = store_of(rows, QuestionWindows(tokeniser, 40, 8)).ensure()
    assert store.n_windows is not None
    assert store.n_windows.tolist()[1] > 1
    first, second = ({*np.concatenate(store.sequences(np.array([i])).ids).tolist()} for i in (0, 1))
    (word,) = second - first
    model.encoder.embeddings.parts["words"].table.weight.data[word] = float("nan")
    targets = np.empty(3, object)
    targets[:] = [Asked(row.context, (), 0) for row in rows]
    config = make_config({})
    found = guilty(model, Examples(store, targets), np.array([2, 0, 1]), 1, config, "float32")
    assert found == [1]
