"""The end of a run: decision rules fitted on dev, figures in float32, dev predictions, the model in place."""

from pathlib import Path
from typing import Any

import numpy as np

from whet.artifact import save_model
from whet.card import encoder_card, model_card
from whet.config import TrainConfig
from whet.data.writing import open_writer
from whet.evaluation import evaluate_logits, evaluate_store
from whet.ledger import Ledger
from whet.model import TextModel
from whet.predictor import Predictor
from whet.runs import RunFolder
from whet.training.data import examples
from whet.training.lora import merge_lora
from whet.training.prepare import Prepared
from whet.training.state import TrainingState


def finish(
    base: str, prepared: Prepared, state: TrainingState, folder: RunFolder, config: TrainConfig
) -> dict[str, Any]:
    """Score the kept epoch and write the model; -> what the manifest gains. No step can follow: the kept
    weights stand in the model from here on."""
    assert state.best is not None
    merge_lora(state.model)
    state.model.load_state_dict(state.best)
    progress = state.progress
    results: dict[str, Any] = {
        "best_epoch": progress.best_epoch,
        "steps": progress.step,
        "training_tokens": progress.n_tokens,
        "training_seconds": progress.seconds,
    }
    choice = "The epoch was chosen by these rows."
    figures, sums = score_and_save(base, prepared, state.model, folder, config, choice)
    return {"results": results | figures, "sha256": sums}


def score_and_save(
    base: str, prepared: Prepared, model: TextModel, folder: RunFolder, config: TrainConfig, choice: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Decision rules fitted on dev, figures on dev and test, dev's predictions, and the model with its card.

    choice says for the card what dev was used for; -> figures by split with the rules, and sha256 of the
    model's files."""
    data = prepared.data
    predictor = Predictor(model.eval())
    part, dev = data.dev, prepared.dev
    logits, targets = np.empty((0, prepared.task.n_outputs)), prepared.train.targets[:0]
    if dev is not None:
        logits, targets = predictor.logits(dev.store), dev.targets
    task = prepared.task.fitted(logits, targets, config)
    model.task = task
    figures: dict[str, Any] = {"decision": task.to_json()["decision"]}
    if part is not None:
        figures["dev"] = evaluate_logits(task, logits, targets, part.table.source).metrics
        assert dev is not None
        probed = task.probed(dev.store, targets, predictor.logits)
        intervals = figures["dev"]["intervals"] | probed.pop("intervals", {})
        figures["dev"] = figures["dev"] | probed | {"intervals": intervals}
    if part is not None and task.has_answers:
        with open_writer(folder.dev_predictions) as write:
            texts: Any = task.texts(part.table, data.columns, prepared.rules, part.rows)
            found = task.decode(logits, rows=texts.some(np.arange(len(texts))))
            write(part.table.take(part.rows).columns.to_pylist(), found)
    if data.test is not None:
        test = examples(data.test, data.columns, task, prepared.tokeniser, prepared.rules)
        test_table = data.test.table
        evaluation, _ = evaluate_store(predictor, task, test.store, test.targets, test_table.source)
        figures["test"], n_tested = evaluation.metrics, evaluation.n_rows
    source = Path(data.train.table.source).name
    dev_name = "held out" if data.dev_is_held_out else "dev"
    of_dev = figures.get("dev")
    if task.has_answers:
        card = model_card(base, task, source, of_dev, dev_name, choice, model.rules.pooling)
    else:
        card = encoder_card(base, task, source, of_dev, dev_name)
    sums = save_model(model, folder.model, card)
    if data.test is not None:  # last: a run that is stopped before this looks once more
        table, metrics = data.test.table, figures["test"]
        Ledger(folder.path).record("train --test", table.source, table.fingerprint(), n_tested, metrics)
    return figures, sums
