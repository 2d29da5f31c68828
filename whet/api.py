"""The library's verbs: what `import whet` hands out and what the commands are thin words for."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from whet.artifact import load_model
from whet.checkpoints.loading import encoder_from, open_checkpoint
from whet.checkpoints.locate import locate
from whet.comparison import Comparison, compare_answers
from whet.config import Cut, TrainConfig, check_values, make_config
from whet.contenders import contenders, read_answers
from whet.data.corpus import TASK as MASKED_LM
from whet.data.findings import Report
from whet.data.table import LabelColumns, one_or_several
from whet.encoder.device import resolve_device, resolve_precision
from whet.encoder.memory import give_back_memory
from whet.errors import ConfigError, UsageError
from whet.evaluation import Evaluation
from whet.ledger import look_together
from whet.model import TextEncoder, TextModel, start_model
from whet.paired import METRICS
from whet.pretraining import refuse_idle, with_defaults
from whet.recipes import DEFAULT, with_recipe
from whet.runs import read_manifest
from whet.tasks.classification import Classification
from whet.text.rules import TextRules
from whet.text.tokens import Tokeniser
from whet.training.check import check_data
from whet.training.data import Named
from whet.training.estimate import Estimate, estimate_training
from whet.training.events import Listener
from whet.training.listeners import progress
from whet.training.prepare import Request
from whet.training.run import resume_training, run_training
from whet.user_model import Model

_DEFAULT_MODEL = "mini"


@final
@dataclass(frozen=True)
class Run:
    """A finished training run."""

    folder: Path
    manifest: dict[str, Any]  # run.json

    @property
    def metrics(self) -> dict[str, Any]:
        """Dev figures of the kept epoch; empty where there was no dev set."""
        found: dict[str, Any] = self.manifest["results"].get("dev", {})
        return found

    def model(self) -> Model:
        """The kept model, ready to predict."""
        return load(self.folder)


def check(
    data: Any,
    *more: Any,
    dev: Any = None,
    test: Any = None,
    task: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: LabelColumns = None,
    model: str | os.PathLike[str] = "mini",
    **settings: Any,
) -> Report:
    """Say what is wrong with labelled data, by file and row, before any training.

    data is train; a second and a third are dev and test, unless they are named. All take what `train` takes.
    settings are the fields of `whet.config.TrainConfig`, of which `max_length` and `cut` matter here.
    What is wrong with data or model is a finding of the report, not an exception; raises UsageError and
    ConfigError for a call that was put together wrongly."""
    names = ("dev", "test")
    given = {"dev": dev, "test": test}
    if len(more) > len(names):
        raise UsageError(f"check takes train, dev and test, and these are {len(more) + 1}. Check them apart.")
    for name, source in zip(names, more, strict=False):
        if given[name] is not None:
            raise UsageError(f"{name} is named twice, as {given[name]} and as {source}. Name it once.")
        given[name] = source
    named = Named(data, given["dev"], given["test"], task, text, pair, one_or_several(label))
    return check_data(named, os.fspath(model), make_config(settings))


def train(
    data: Any = None,
    *,
    dev: Any = None,
    test: Any = None,
    task: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: LabelColumns = None,
    group: str | None = None,
    model: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    seeds: int | None = None,
    folds: int | None = None,
    recipe: str | None = None,
    quiet: bool = False,
    listeners: Sequence[Listener] = (),
    began: float | None = None,
    **settings: Any,
) -> Run:
    """Fine-tune an encoder on labelled rows and write a run folder.

    data, dev, test: a file (CSV, TSV, JSON lines, Parquet), a GLUE task folder, a saved `datasets` folder,
    "hf:owner/name[:config]", a pandas DataFrame, a dictionary of lists, or (texts, labels).
    settings are the fields of `whet.config.TrainConfig`: `epochs=5`, `learning_rate=3e-5`, `seed=1` ...
    recipe is a named set of settings (`whet.recipes.RECIPES`); those that are given win over it.
    seeds trains so often, from `seed` on, each a full run in `out`/seeds; the best on dev is the model.
    folds cross-validates first: for each fold a full run in `out`/folds that is tested on it. group is a
    column whose rows of one value stay together, in folds and where dev is held out.
    resume goes on with the run in `out` (or the newest of this data), with the settings it was begun with;
    data may then be None where it came from files. began is when the time limit began to run, as of
    `time.monotonic`, where that is earlier than this call.
    Raises WhetError for whatever the caller can mend.
    """
    if task == MASKED_LM:
        raise UsageError(f"task={task}: that is not learnt from labelled rows. Use whet pretrain.")
    request = Request(
        named=Named(data, dev, test, task, text, pair, one_or_several(label), group),
        config=_config(with_recipe(recipe, settings), settings, resume),
        model=_DEFAULT_MODEL if model is None else os.fspath(model),
        out=None if out is None else os.fspath(out),
        overwrite=overwrite,
        recipe=recipe or DEFAULT,
        **several(seeds, folds),
        began=time.monotonic() if began is None else began,
    )
    if resume and overwrite:
        raise UsageError("resume goes on with a run and overwrite replaces it. Choose one of the two.")
    named: dict[str, Any] = {"task": task, "text": text, "pair": pair, "group": group}
    named |= {
        "label": one_or_several(label),
        "model": None if model is None else os.fspath(model),
        "seeds": seeds,
        "folds": folds,
        "recipe": recipe,
    }
    return _trained(request, resume, settings, named, quiet, listeners)


def pretrain(
    *texts: Any,
    dev: Any = None,
    text: str | None = None,
    pair: str | None = None,
    model: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    quiet: bool = False,
    listeners: Sequence[Listener] = (),
    began: float | None = None,
    **settings: Any,
) -> Run:
    """Train an encoder on hidden words of texts without labels, and write a run folder whose model is one for
    `train(..., model=FOLDER)`.

    texts: text files, folders of .txt files, whatever `train` reads (of rows the text column), or a list of
    strings. model is gone on with; new="tiny" and so on (a setting) makes an encoder and its tokeniser from
    nothing. settings are as of `train`, with the defaults of `whet.pretraining`; so are the others.
    Raises WhetError for whatever the caller can mend."""
    if model is not None and settings.get("new", "none") != "none":
        raise UsageError(f"model={model} with new={settings['new']}: go on with one, or begin a new one.")
    if resume and overwrite:
        raise UsageError("resume goes on with a run and overwrite replaces it. Choose one of the two.")
    if not texts and not resume:
        raise UsageError("Name the texts.")
    if not resume:
        refuse_idle(settings)
    request = Request(
        named=Named(_corpus(texts), dev, None, MASKED_LM, text, pair),
        config=_config(with_defaults(settings), settings, resume),
        model=_DEFAULT_MODEL if model is None else os.fspath(model),
        out=None if out is None else os.fspath(out),
        overwrite=overwrite,
        began=time.monotonic() if began is None else began,
        command="pretrain",
    )
    named = {"task": MASKED_LM, "text": text, "pair": pair, "model": None if model is None else request.model}
    return _trained(request, resume, settings, named, quiet, listeners)


def _config(whole: Mapping[str, Any], given: Mapping[str, Any], resume: bool) -> TrainConfig:
    """Of a run that is begun; one that is gone on with has its own, which what is given is compared with.
    Raises ConfigError."""
    if not resume:
        return make_config(whole)
    check_values(given)
    return TrainConfig()


def _trained(
    request: Request,
    resume: bool,
    settings: Mapping[str, Any],
    named: Mapping[str, Any],
    quiet: bool,
    listeners: Sequence[Listener],
) -> Run:
    """Begun, or gone on with as what the caller gave of settings and names asks for."""
    with listening(quiet, listeners) as listen:
        if resume:
            given = {**settings, **{name: value for name, value in named.items() if value is not None}}
            folder = resume_training(request, given, listen)
        else:
            folder = run_training(request, listen)
    give_back_memory()
    return Run(folder.path, read_manifest(folder.path))


def _corpus(texts: tuple[Any, ...]) -> Any:
    """As `Named` has it: nothing, one source, or several."""
    return texts if len(texts) > 1 else texts[0] if texts else None


def estimate(
    data: Any,
    *,
    dev: Any = None,
    test: Any = None,
    task: str | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: LabelColumns = None,
    group: str | None = None,
    model: str | os.PathLike[str] | None = None,
    seeds: int | None = None,
    folds: int | None = None,
    recipe: str | None = None,
    quiet: bool = False,
    began: float | None = None,
    **settings: Any,
) -> Estimate:
    """What `train` with the same arguments would take: steps, tokens, minutes, memory, disk; with
    task="masked-lm" what `pretrain` would, of which data is a text or a tuple of several.

    A few steps are timed at rate 0; nothing is written. Raises WhetError, as `train` would."""
    if task == MASKED_LM:
        refuse_idle(settings)
    request = Request(
        named=Named(data, dev, test, task, text, pair, one_or_several(label), group),
        config=make_config(with_defaults(settings) if task == MASKED_LM else with_recipe(recipe, settings)),
        model=_DEFAULT_MODEL if model is None else os.fspath(model),
        recipe=recipe or DEFAULT,
        **several(seeds, folds),
        began=time.monotonic() if began is None else began,
    )
    with listening(quiet, ()) as listen:
        return estimate_training(request, listen)


def several(seeds: int | None, folds: int | None) -> dict[str, Any]:
    """What a request says of them. Raises ConfigError, UsageError."""
    problems = []
    if seeds is not None and not (type(seeds) is int and seeds >= 1):
        problems.append(f"seeds={seeds}: must be a whole number from 1 up.")
    if folds is not None and not (type(folds) is int and folds >= 2):
        problems.append(f"folds={folds}: must be a whole number from 2 up.")
    if problems:
        raise ConfigError("\n".join(problems))
    if folds is not None and seeds is not None and seeds > 1:
        raise UsageError("folds and seeds are two ways of training several times. Choose one of the two.")
    return {"seeds": 1 if seeds is None else seeds, "folds": folds}


@contextmanager
def listening(quiet: bool, listeners: Sequence[Listener]) -> Iterator[Listener]:
    """One listener that tells all of them, and the progress bar unless it is quiet."""
    shown = None if quiet else progress()
    subscribers = [*([] if shown is None else [shown]), *listeners]

    def listen(event: Any) -> None:
        for subscriber in subscribers:
            subscriber(event)

    try:
        yield listen
    finally:
        if shown is not None:
            shown.close()


def load(path: str | os.PathLike[str], *, device: str = "auto", precision: str = "float32") -> Model:
    """Open a run folder, a model folder, or a classifier fine-tuned elsewhere (a folder or a hub name).

    precision is float32, or auto or bf16 where speed matters more than the last digits, or float64.
    Raises CheckpointError, and ConfigError for a device or precision that there is not."""
    place = resolve_device(device)
    computing_in = resolve_precision(precision, place)
    location = locate(os.fspath(path))
    module = load_model(location.folder, location.name).to(place)
    module = module.double() if computing_in == "float64" else module
    return Model(module, computing_in, os.fspath(path), location.folder)


def evaluate(
    model: str | os.PathLike[str] | Model,
    data: Any,
    *,
    slices: Sequence[str] = (),
    abstain_below: float | None = None,
    **columns: Any,
) -> Evaluation:
    """`Model.evaluate` of a model, or of the folder of one."""
    opened = model if isinstance(model, Model) else load(model)
    return opened.evaluate(data, slices=slices, abstain_below=abstain_below, **columns)


def compare(
    *models_and_data: Any,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    metric: str = "accuracy",
    device: str = "auto",
    precision: str = "float32",
) -> Comparison:
    """Say whether one model, or one way of training, is really better than another: compare(a, b, ..., data).

    Two or more models (a `Model`, or the folder or name of one), then labelled rows as `evaluate` takes them.
    A run with several finished seeds stands for its way of training: the mean over the seeds is compared,
    over texts and seeds. metric is accuracy, macro_f1 or mcc. One model is in memory at a time. Raises what
    `evaluate` raises; UsageError for a call that was put together wrongly; DataError for models of different
    labels."""
    *models, data = models_and_data or (None,)
    sides = contenders(models)
    if metric not in METRICS:
        raise UsageError(f"there is no metric '{metric}' to compare by; there are: {', '.join(METRICS)}.")
    if isinstance(data, Iterator):
        data = list(data)
    found = read_answers(
        sides,
        lambda model: model.labelled(data, text, pair, label),
        lambda path: load(path, device=device, precision=precision),
    )
    comparison = compare_answers(found.source, found.true, found.answers, len(found.labels), metric)
    values = {score.model: {metric: score.value} for score in comparison.models}
    looks = look_together(found.ledgers, "compare", found.source, found.fingerprint, len(found.true), values)
    return replace(comparison, notes=(*found.notes, *looks))


def load_encoder(
    checkpoint: str | os.PathLike[str] = "mini", *, max_length: int = 256, dropout: float | None = None
) -> TextEncoder:
    """An encoder as an ordinary `nn.Module`, in evaluation mode: texts in, hidden states out.

    Raises CheckpointError, and ConfigError for a max_length beyond the encoder's positions."""
    import torch

    opened = open_checkpoint(locate(os.fspath(checkpoint)).folder)
    encoder, _ = encoder_from(opened, dropout, torch.Generator().manual_seed(0))
    tokeniser = Tokeniser.load(opened.folder, opened.spec.n_types)
    tokeniser.check_fits(opened.spec.vocab_size)
    return TextEncoder(encoder, tokeniser, TextRules(max_length)).eval()


def load_module(
    checkpoint: str | os.PathLike[str] = "mini",
    *,
    labels: Sequence[str],
    max_length: int = 256,
    cut: Cut = "tail",
    dropout: float | None = None,
    seed: int = 0,
) -> TextModel:
    """A classifier for one's own PyTorch loop, in training mode: texts and labels in, loss and logits out.

    The checkpoint's head is kept where it knows the same labels, else the seed decides the new one's weights.
    Raises CheckpointError, and ConfigError for labels or a max_length that cannot be."""
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise ConfigError(f"labels={labels!r}: pass a list of names.")
    opened = open_checkpoint(locate(os.fspath(checkpoint)).folder)
    tokeniser = Tokeniser.load(opened.folder, opened.spec.n_types)
    task = Classification(tuple(labels))
    return start_model(opened, task, tokeniser, TextRules(max_length, cut), seed, dropout).model.train()
