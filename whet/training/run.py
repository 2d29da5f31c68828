"""One training run from data to run folder: the order of things, and nothing else."""

import datetime
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from whet.artifact import load_model, save_model
from whet.card import model_card
from whet.checkpoints.loading import open_checkpoint
from whet.checkpoints.locate import locate
from whet.config import TrainConfig
from whet.data.writing import open_writer
from whet.encoder.device import resolve_device, resolve_precision
from whet.encoder.memory import keep_freed_memory
from whet.errors import CheckpointError, TrainingError
from whet.evaluation import Evaluation, evaluate_store
from whet.model import TextModel, TextRules, start_model
from whet.predictor import Predictor
from whet.runs import RunFolder, check_out, create_run_folder, versions
from whet.tasks.classification import Classification
from whet.text.tokens import Tokeniser
from whet.training.data import Named, Part, TrainingData, examples, read_training_data
from whet.training.events import Event, Listener, Note, TrainingDone
from whet.training.listeners import MetricsLog
from whet.training.loop import Examples, NonFiniteLoss, fit

_SAMPLE = 5000  # texts that are looked at to say how many will be cut


@final
@dataclass(frozen=True)
class Request:
    """Everything that a user can ask of a training run."""

    named: Named
    config: TrainConfig
    model: str = "mini"
    out: str | None = None
    overwrite: bool = False


def run_training(request: Request, listen: Listener) -> RunFolder:
    """Train and write the run folder. Raises WhetError; data and checkpoint are read before the folder is
    made, so a mistake in either leaves nothing behind."""
    config = request.config
    check_out(request.out, request.overwrite)

    def say(text: str) -> None:
        listen(Note(text))

    keep_freed_memory()
    if config.threads:
        torch.set_num_threads(config.threads)
    device = resolve_device(config.device)
    precision = resolve_precision(config.precision, device)
    data = read_training_data(request.named, config, say)
    location = locate(request.model)
    checkpoint = open_checkpoint(location.folder)
    tokeniser = Tokeniser.load(checkpoint.folder)
    if tokeniser.vocab_size > checkpoint.spec.vocab_size:
        raise CheckpointError(
            f"{location.folder}: the tokeniser has {tokeniser.vocab_size} words and the encoder "
            f"{checkpoint.spec.vocab_size}; they do not belong together."
        )
    columns = data.columns
    rules = TextRules(config.max_length, config.cut, columns.text, columns.pair, columns.label)
    task = Classification(data.labels, config.positive_label)
    start = start_model(checkpoint, task, tokeniser, rules, config.seed, config.dropout)
    say(f"Encoder: {location.name} ({_millions(start.model)} M parameters).")
    for note in start.notes:
        say(note)
    train = examples(data.train, columns, tokeniser, rules)
    dev = None if data.dev is None else examples(data.dev, columns, tokeniser, rules)
    _say_cut(train, rules, say)

    folder = create_run_folder(request.out, _stem(request.named.data), request.overwrite)
    say(
        f"Run folder: {folder.path}. Computing in {precision} on {device}, {torch.get_num_threads()} threads."
    )
    manifest = _manifest(request, data, location.name, device, precision)
    folder.write(manifest | {"status": "running"})
    log = MetricsLog(folder.metrics)

    def emit(event: Event) -> None:
        log(event)
        listen(event)

    model = start.model.to(device)
    if precision == "float64":
        model = model.double()
    try:
        done = fit(model, start.new, train, dev, config, precision, emit, lambda: _keep(model, folder))
        finished = _finish(request, data, dev, folder, done)
    except NonFiniteLoss as error:
        folder.write(manifest | {"status": "failed"})
        raise TrainingError(_non_finite_message(error, data.train, config, folder)) from None
    except BaseException:
        folder.write(manifest | {"status": "stopped"})
        kept = f"the last kept epoch is in {folder.best}" if folder.best.exists() else "no epoch was done yet"
        say(f"Stopped; {kept}.")
        raise
    folder.write(manifest | {"status": "finished"} | finished)
    shutil.rmtree(folder.best.parent)
    return folder


def _keep(model: TextModel, folder: RunFolder) -> None:
    save_model(model, folder.best)


def _finish(
    request: Request, data: TrainingData, dev: Examples | None, folder: RunFolder, done: TrainingDone
) -> dict[str, Any]:
    """Score the kept epoch and put the model in place; -> what the manifest gains."""
    best = load_model(folder.best).to(resolve_device(request.config.device))
    results, dev_evaluation = _results(best, data, dev, folder, done)
    metrics = None if dev_evaluation is None else dev_evaluation.metrics
    source = Path(data.train.table.source).name
    dev_name = "held out" if data.dev_is_held_out else "dev"
    card = model_card(request.model, data.labels, source, metrics, dev_name)
    return {"results": results, "sha256": save_model(best, folder.model, card)}


def _results(
    model: TextModel, data: TrainingData, dev: Examples | None, folder: RunFolder, done: TrainingDone
) -> tuple[dict[str, Any], Evaluation | None]:
    """Final figures, in float32 as they will be reproduced, and the dev predictions."""
    predictor = Predictor(model)
    results: dict[str, Any] = {
        "best_epoch": done.best_epoch,
        "steps": done.n_steps,
        "training_tokens": done.n_tokens,
        "training_seconds": done.seconds,
    }
    dev_evaluation = None
    if dev is not None and data.dev is not None:
        dev_evaluation, logits = evaluate_store(
            predictor, model.task, dev.store, dev.targets, data.dev.table.source
        )
        with open_writer(folder.dev_predictions, data.labels) as write:
            write(data.dev.table.take(data.dev.rows).columns.to_pylist(), model.task.decode(logits))
        results["dev"] = dev_evaluation.metrics
    if data.test is not None:
        test = examples(data.test, data.columns, model.tokeniser, model.rules)
        results["test"] = evaluate_store(
            predictor, model.task, test.store, test.targets, data.test.table.source
        )[0].metrics
    return results, dev_evaluation


def _manifest(
    request: Request, data: TrainingData, model: str, device: torch.device, precision: str
) -> dict[str, Any]:
    parts = {"train": data.train, "dev": data.dev, "test": data.test}
    columns = data.columns
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "task": columns.task,
        "columns": {"text": columns.text, "pair": columns.pair, "label": columns.label},
        "labels": list(data.labels),
        "model": model,
        "data": {name: part.record() for name, part in parts.items() if part is not None},
        "dev_is_held_out": data.dev_is_held_out,
        "config": asdict(request.config),
        "seed": request.config.seed,
        "device": str(device),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }


def _non_finite_message(error: NonFiniteLoss, train: Part, config: TrainConfig, folder: RunFolder) -> str:
    places = [train.table.place(int(train.rows[text])) for text in error.texts]
    shown = ", ".join(places[:8]) + (f" and {len(places) - 8} more" if len(places) > 8 else "")
    kept = f" The best epoch so far is in {folder.best}." if folder.best.exists() else ""
    return (
        f"Step {error.step}: the loss is not finite. Rows: {shown}. Look at these rows; where they are "
        f"sound, lower the rate (--lr, now {config.learning_rate:g}) or use --precision float32.{kept}"
    )


def _say_cut(train: Examples, rules: TextRules, say: Any) -> None:
    n_texts = len(train.store)
    looked_at = np.arange(n_texts)
    if n_texts > _SAMPLE:
        looked_at = np.random.default_rng(0).choice(n_texts, _SAMPLE, replace=False)
    train.store.ensure(looked_at)
    n_cut = int((train.store.full_lengths > train.store.lengths)[looked_at].sum())
    if n_cut:
        of = "the" if n_texts <= _SAMPLE else f"a sample of {_SAMPLE:,}"
        say(
            f"{n_cut:,} of {of} training texts ({n_cut / len(looked_at):.1%}) are longer than max_length="
            f"{rules.max_length} tokens and lose their {rules.cut}."
        )


def _millions(model: TextModel) -> str:
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.1f}"


def _stem(data: Any) -> str:
    if isinstance(data, str | os.PathLike):
        name = str(data)
        if name.startswith("hf:"):
            return name.removeprefix("hf:").replace("/", "-").replace(":", "-")
        return Path(name).resolve().stem or "run"
    return "run"
