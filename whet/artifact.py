"""Saving and loading a model folder: safetensors and JSON only, written beside and renamed.

The folder is a plain Hugging Face one; `whet.json` in it holds the task and the decision rules, so that a
copy of the folder is complete. A folder without `whet.json`, fine-tuned elsewhere, opens too.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from whet.checkpoints.families import family_of
from whet.checkpoints.families.base import MEAN
from whet.checkpoints.loading import Checkpoint, open_checkpoint
from whet.checkpoints.sentence import DENSE_FILE, dense_file, modules
from whet.config import Context, Cut, LongTexts, Pooling
from whet.errors import CheckpointError, ConfigError
from whet.files import checksum, checksums, folder_beside, moment, write_json, write_text
from whet.model import TextModel, start_model
from whet.tasks import TASKS, Task
from whet.text.rules import TextRules
from whet.text.tokens import Tokeniser

FORMAT = 1
_SHOWN = 8  # labels in a message


def save_model(
    model: TextModel, folder: Path, card: str | None = None, weights: Mapping[str, Tensor] | None = None
) -> dict[str, str]:
    """Write the model as a folder that transformers opens; -> sha256 of each file.

    card is the text of README.md; weights, by the model's own names, stand in for its present ones. Raises
    CheckpointError where the folder holds something else than a model, OSError where it cannot be written."""
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file. Name a folder.")
    if folder.exists() and any(folder.iterdir()) and not (folder / "config.json").exists():
        raise CheckpointError(
            f"{folder} holds something else than a model, and is left alone. Name another folder."
        )
    family = family_of(model.config)
    state = model.state_dict() if weights is None else weights
    head = family.head_class(model.layout)
    is_mean = model.layout == MEAN
    names = family.encoder_names(model.encoder.spec, model.config)
    tensors = names.under("", "" if is_mean else family.encoder_prefix).save(_below("encoder.", state))
    of_head = head.names.save(_below("head.", state))
    labels = model.task.output_names
    of_labels = {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": model.task.problem_type,
    }
    config = {
        **{key: value for key, value in model.config.items() if key not in of_labels},
        **family.changed,
        "architectures": [head.architecture],
        **(of_labels if labels else {}),
        "dtype": str(tensors[next(iter(tensors))].dtype).removeprefix("torch."),
    }
    config.pop("torch_dtype", None)
    with folder_beside(folder) as beside:
        write_tensors(beside / "model.safetensors", tensors | ({} if is_mean else of_head), {"format": "pt"})
        if is_mean:
            write_tensors(dense_file(beside), of_head)
            for path, content in modules(
                model.encoder.spec.hidden_size, model.task.n_outputs, model.rules.max_length
            ).items():
                (beside / path).parent.mkdir(exist_ok=True)
                write_json(beside / path, content)
        write_json(beside / "config.json", config)
        model.tokeniser.save(beside, for_words=model.task.layout == "token")
        if card is not None:
            write_text(beside / "README.md", card)
        sums = checksums(beside)
        task = {"name": model.task.name, **model.task.to_json()}
        saved = {"format": FORMAT, "task": task, "rules": asdict(model.rules), "sha256": sums}
        write_json(beside / "whet.json", saved)
    return sums


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file, readable by others. Raises OSError where the disk does not let it."""
    moment(f"write {path.name}")
    try:
        save_file({name: tensor.cpu() for name, tensor in tensors.items()}, path, metadata)
    except SafetensorError as error:
        raise OSError(f"{path.name} cannot be written: {error}") from None
    path.chmod(0o644)
    moment(f"wrote {path.name}")


def load_model(folder: Path, name: str | None = None) -> TextModel:
    """Open a model folder, ours or one fine-tuned elsewhere; name is what the user calls it.

    Raises CheckpointError: as `open_checkpoint`, a changed file, or a folder that has no head to predict
    with."""
    saved = _read_saved(folder)
    checkpoint = open_checkpoint(folder)
    if not checkpoint.labels:
        raise CheckpointError(
            f"{name or folder} has no classifier that fits its encoder, so it cannot predict labels. "
            f"Fine-tune it first: whet train FILE --model {name or folder}"
        )
    tokeniser = Tokeniser.load(folder, checkpoint.spec.n_types)
    if saved is None:
        task = _foreign_task(checkpoint, name or str(folder))
        rules = TextRules(checkpoint.spec.max_positions)
    else:
        task, rules = _task(folder, saved), _rules(folder, saved)
        if set(task.output_names) != set(checkpoint.labels):  # else the head would be a new one
            raise CheckpointError(
                f"{folder}: whet.json names the labels {', '.join(task.output_names[:_SHOWN])} and "
                f"config.json {', '.join(checkpoint.labels[:_SHOWN])}; they must be the same. Copy the "
                "folder again."
            )
    started = start_model(checkpoint, task, tokeniser, rules, seed=0)
    if started.new:  # whose answers would be random
        raise CheckpointError(
            f"{name or folder} cannot predict: {', '.join(sorted(started.new)[:_SHOWN])} of its head is not "
            "in the weights, or of another shape than config.json and whet.json say. Copy the folder again, "
            f"or fine-tune it: whet train FILE --model {name or folder}"
        )
    return started.model.eval()


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _read_saved(folder: Path) -> dict[str, Any] | None:
    path = folder / "whet.json"
    if not path.exists():
        return None
    try:
        saved: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, sums = saved["format"], dict(saved["sha256"])
        _ = str(saved["task"]["name"]), int(saved["rules"]["max_length"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error!r}). Copy the model folder again.") from None
    if version != FORMAT:
        raise CheckpointError(
            f"{path}: format {version}; this whet reads format {FORMAT}. Install a newer whet."
        )
    if DENSE_FILE in sums and not (folder / DENSE_FILE).exists():
        raise CheckpointError(f"{folder / DENSE_FILE} is missing: the classifier. Copy the folder again.")
    for name in ("model.safetensors", "config.json", "tokenizer.json", DENSE_FILE):
        if (folder / name).exists() and checksum(folder / name) != sums.get(name):
            raise CheckpointError(
                f"{folder / name} is not as it was saved: damaged in a copy, or edited. Copy it again, "
                "or delete its whet.json to open it as a plain Hugging Face folder."
            )
    return saved


def _foreign_task(checkpoint: Checkpoint, name: str) -> Task:
    problem_type = checkpoint.config.get("problem_type")
    for kind in TASKS.values():
        same = kind.layout == checkpoint.layout
        task = kind.foreign(problem_type, checkpoint.labels) if same else None
        if task is not None:
            return task
    raise CheckpointError(
        f"{name} was fine-tuned for '{problem_type}' with {len(checkpoint.labels)} outputs, which whet does "
        f"not know as a task ({', '.join(TASKS)})."
    )


def _task(folder: Path, saved: Mapping[str, Any]) -> Task:
    name = saved["task"]["name"]
    if str(name) not in TASKS:
        raise CheckpointError(
            f"{folder}: task '{name}' is not one that this whet knows ({', '.join(TASKS)})."
        )
    try:
        return TASKS[name].from_json(saved["task"])
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise CheckpointError(
            f"{folder / 'whet.json'}: the task is damaged or badly edited ({error}). Copy the folder again."
        ) from None


def _rules(folder: Path, saved: Mapping[str, Any]) -> TextRules:
    try:
        values = dict(saved["rules"])
        if "label_column" in values:  # saved before several columns could hold the labels
            one = values.pop("label_column")
            values["label_columns"] = [] if one is None else [one]
        rules = TextRules(**values | {"label_columns": tuple(values.get("label_columns", ()))})
    except TypeError as error:
        raise CheckpointError(
            f"{folder / 'whet.json'}: the rules are badly edited ({error}). Copy the folder again."
        ) from None
    wrong = [
        f"{name} must be a whole number from 0 up, and is {value!r}"
        for name, value in (("max_length", rules.max_length), ("stride", rules.stride))
        if type(value) is not int or value < 0
    ]
    wrong += [
        f"{name} must be one of {', '.join(get_args(kind))}, and is {value!r}"
        for name, value, kind in (
            ("cut", rules.cut, Cut),
            ("long_texts", rules.long_texts, LongTexts),
            ("pooling", rules.pooling, Pooling),
            ("context", rules.context, Context),
        )
        if value not in get_args(kind)
    ]
    if wrong:
        raise CheckpointError(f"{folder / 'whet.json'}: {'; '.join(wrong)}. Copy the folder again.")
    return rules
