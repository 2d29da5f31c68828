"""The end of a run: figures of the kept epoch in float32, dev predictions, and the model in its place."""

from pathlib import Path
from typing import Any

from whet.artifact import save_model
from whet.card import model_card
from whet.data.writing import open_writer
from whet.evaluation import Evaluation, evaluate_store
from whet.predictor import Predictor
from whet.runs import RunFolder
from whet.training.data import examples
from whet.training.prepare import Prepared
from whet.training.state import TrainingState


def finish(base: str, prepared: Prepared, state: TrainingState, folder: RunFolder) -> dict[str, Any]:
    """Score the kept epoch and write the model; -> what the manifest gains. No step can follow: the kept
    weights stand in the model from here on."""
    assert state.best is not None
    state.model.load_state_dict(state.best)
    data, progress = prepared.data, state.progress
    predictor = Predictor(state.model.eval())
    results: dict[str, Any] = {
        "best_epoch": progress.best_epoch,
        "steps": progress.step,
        "training_tokens": progress.n_tokens,
        "training_seconds": progress.seconds,
    }
    dev = _score_dev(predictor, prepared, folder)
    if dev is not None:
        results["dev"] = dev.metrics
    if data.test is not None:
        test = examples(data.test, data.columns, prepared.tokeniser, prepared.rules)
        evaluation, _ = evaluate_store(
            predictor, prepared.task, test.store, test.targets, data.test.table.source
        )
        results["test"] = evaluation.metrics
    source = Path(data.train.table.source).name
    dev_name = "held out" if data.dev_is_held_out else "dev"
    card = model_card(base, data.labels, source, None if dev is None else dev.metrics, dev_name)
    return {"results": results, "sha256": save_model(state.model, folder.model, card)}


def _score_dev(predictor: Predictor, prepared: Prepared, folder: RunFolder) -> Evaluation | None:
    """Figures of dev, and its predictions as a file."""
    part, dev = prepared.data.dev, prepared.dev
    if part is None or dev is None:
        return None
    evaluation, logits = evaluate_store(predictor, prepared.task, dev.store, dev.targets, part.table.source)
    with open_writer(folder.dev_predictions, prepared.data.labels) as write:
        write(part.table.take(part.rows).columns.to_pylist(), prepared.task.decode(logits))
    return evaluation
