"""The end of a run: figures of the kept epoch in float32, dev predictions, and the model in its place."""

from pathlib import Path
from typing import Any

from whet.artifact import save_model
from whet.card import model_card
from whet.data.writing import open_writer
from whet.evaluation import Evaluation, evaluate_store
from whet.model import TextModel
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
    progress = state.progress
    results: dict[str, Any] = {
        "best_epoch": progress.best_epoch,
        "steps": progress.step,
        "training_tokens": progress.n_tokens,
        "training_seconds": progress.seconds,
    }
    figures, sums = score_and_save(base, prepared, state.model, folder, "The epoch was chosen by these rows.")
    return {"results": results | figures, "sha256": sums}


def score_and_save(
    base: str, prepared: Prepared, model: TextModel, folder: RunFolder, choice: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Figures on dev and test, dev's predictions as a file, and the model with its card.

    choice says for the card what dev was used for; -> figures by split, and sha256 of the model's files."""
    data = prepared.data
    predictor = Predictor(model.eval())
    figures: dict[str, Any] = {}
    dev = _score_dev(predictor, prepared, folder)
    if dev is not None:
        figures["dev"] = dev.metrics
    if data.test is not None:
        test = examples(data.test, data.columns, prepared.tokeniser, prepared.rules)
        evaluation, _ = evaluate_store(
            predictor, prepared.task, test.store, test.targets, data.test.table.source
        )
        figures["test"] = evaluation.metrics
    source = Path(data.train.table.source).name
    dev_name = "held out" if data.dev_is_held_out else "dev"
    card = model_card(base, data.labels, source, None if dev is None else dev.metrics, dev_name, choice)
    return figures, save_model(model, folder.model, card)


def _score_dev(predictor: Predictor, prepared: Prepared, folder: RunFolder) -> Evaluation | None:
    """Figures of dev, and its predictions as a file."""
    part, dev = prepared.data.dev, prepared.dev
    if part is None or dev is None:
        return None
    evaluation, logits = evaluate_store(predictor, prepared.task, dev.store, dev.targets, part.table.source)
    with open_writer(folder.dev_predictions, prepared.data.labels) as write:
        write(part.table.take(part.rows).columns.to_pylist(), prepared.task.decode(logits))
    return evaluation
