"""The end of a run: decision rules fitted on dev, figures in float32, dev predictions, the model in place."""

from pathlib import Path
from typing import Any

import numpy as np

from whet.artifact import save_model
from whet.card import model_card
from whet.config import TrainConfig
from whet.data.writing import open_writer
from whet.evaluation import evaluate_logits, evaluate_store
from whet.predictor import Predictor
from whet.runs import RunFolder
from whet.training.data import examples
from whet.training.prepare import Prepared
from whet.training.state import TrainingState


def finish(
    base: str, prepared: Prepared, state: TrainingState, folder: RunFolder, config: TrainConfig
) -> dict[str, Any]:
    """Fit the decision rules on dev, score the kept epoch and write the model; -> what the manifest gains. No
    step can follow: the kept weights stand in the model from here on."""
    assert state.best is not None
    state.model.load_state_dict(state.best)
    data, progress, dev = prepared.data, state.progress, prepared.dev
    predictor = Predictor(state.model.eval())
    results: dict[str, Any] = {
        "best_epoch": progress.best_epoch,
        "steps": progress.step,
        "training_tokens": progress.n_tokens,
        "training_seconds": progress.seconds,
    }
    if data.dev is None or dev is None:
        task = prepared.task.fitted(np.empty((0, prepared.task.n_outputs)), np.empty(0, np.int64), config)
    else:
        logits, labelled = predictor.logits(dev.store), dev.targets >= 0
        task = prepared.task.fitted(logits[labelled], dev.targets[labelled], config)
        results["dev"] = evaluate_logits(task, logits, dev.targets, data.dev.table.source).metrics
        with open_writer(folder.dev_predictions, data.labels) as write:
            write(data.dev.table.take(data.dev.rows).columns.to_pylist(), task.decode(logits))
    state.model.task = task
    results["decision"] = task.to_json()["decision"]
    if data.test is not None:
        test = examples(data.test, data.columns, prepared.tokeniser, prepared.rules)
        evaluation, _ = evaluate_store(predictor, task, test.store, test.targets, data.test.table.source)
        results["test"] = evaluation.metrics
    source = Path(data.train.table.source).name
    dev_name = "held out" if data.dev_is_held_out else "dev"
    card = model_card(base, data.labels, source, results.get("dev"), dev_name)
    return {"results": results, "sha256": save_model(state.model, folder.model, card)}
