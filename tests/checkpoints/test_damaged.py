"""Folders that are not what they say: refused by name, never answered from with tensors made new."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import whet
from tests.acceptance import house
from tests.checkpoints import encoders
from whet.checkpoints.loading import open_checkpoint
from whet.checkpoints.locate import locate
from whet.encoder.device import resolve_device
from whet.errors import CheckpointError, ConfigError
from whet.known_models import _in_order

LABELS = ("delivery", "praise", "refund")
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One fine-tuned elsewhere."""
    return house.make_checkpoint(tmp_path_factory.mktemp("damaged") / "fine", LABELS)


@pytest.fixture(scope="module")
def by_mean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of ours whose classifier reads the mean."""
    folder = tmp_path_factory.mktemp("by_mean")
    house.make_checkpoint(folder / "tiny")
    texts, labels = house.sentences(30)
    whet.train(
        {"text": texts, "label": labels},
        model=folder / "tiny",
        out=folder / "run",
        pooling="mean",
        epochs=1,
        min_steps=0,
        threads=1,
        quiet=True,
    )
    return folder / "run" / "model"


def narrow(name: str) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors[name] = tensors[name][..., :-1].contiguous()

    return change


def without(name: str) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        del tensors[name]

    return change


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(CheckpointError) as error:
        whet.load(folder)
    message = str(error.value)
    assert all(part in message for part in [str(folder), *parts]), message


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (narrow("classifier.weight"), "no classifier that fits its encoder"),
        (without("bert.pooler.dense.weight"), "encoder.pooler.weight of its head is not in the weights"),
        (without("bert.pooler.dense.bias"), "encoder.pooler.bias of its head is not in the weights"),
    ],
)
def test_a_head_that_is_not_whole_never_predicts(
    change: Callable[[Tensors], None], part: str, classifier: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    assert len(whet.load(folder).labels) == 3
    house.rewrite(folder, change)
    refused(folder, part, "whet train FILE --model")


def test_a_head_of_another_encoder_is_made_new_and_said_to_be(classifier: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    house.rewrite(folder, narrow("classifier.weight"))
    texts, labels = house.sentences(30)
    notes: list[str] = []
    whet.train(
        {"text": texts, "label": labels}, model=folder, out=tmp_path / "run", epochs=1, min_steps=0,
        threads=1, quiet=True, listeners=[lambda event: notes.append(str(getattr(event, "text", "")))],
    )  # fmt: skip
    assert any(note.startswith("New head (2 tensors)") for note in notes)
    assert not any("is kept" in note for note in notes)


def test_a_classifier_by_the_mean_is_checked(by_mean: Path, tmp_path: Path) -> None:
    dense = "2_Dense/model.safetensors"
    missing = Path(shutil.copytree(by_mean, tmp_path / "missing"))
    (missing / dense).unlink()
    refused(missing, f"{dense} is missing", "Copy the folder again")

    changed = Path(shutil.copytree(by_mean, tmp_path / "changed"))
    house.rewrite(changed / "2_Dense", narrow("linear.weight"))
    refused(changed, f"{dense} is not as it was saved")

    edited = Path(shutil.copytree(by_mean, tmp_path / "edited"))
    saved = json.loads((edited / "whet.json").read_text())
    saved["rules"]["pooling"] = "own"
    (edited / "whet.json").write_text(json.dumps(saved))
    refused(edited, "head.classifier.weight", "whet.json")


def test_weights_of_more_layers_than_config_json_names(classifier: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    edit(folder, num_hidden_layers=1)
    refused(folder, "encoder.layer.1.intermediate.dense.weight", "of a layer more than the 1")

    foreign = encoders.save(encoders.make("roformer"), tmp_path / "foreign")
    open_checkpoint(foreign)
    edit(foreign, num_hidden_layers=2)
    refused(foreign, "more layers than config.json names", "encoder.layer.2.")


def test_quantised_weights(classifier: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    name = "bert.encoder.layer.0.output.dense.weight"
    house.rewrite(folder, lambda tensors: tensors.update({name: tensors[name].to(torch.float8_e4m3fn)}))
    refused(folder, name, "8 bits", "quantised")


@pytest.mark.parametrize("name", ["classifier.bias", "bert.encoder.layer.1.attention.self.key.weight"])
def test_weights_that_are_no_numbers(name: str, classifier: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    house.rewrite(
        folder, lambda tensors: tensors[name].view(-1)[3 % tensors[name].numel() - 1].fill_(torch.nan)
    )
    refused(folder, "NaN", name.partition(".")[2] if name.startswith("bert") else name)


def test_a_model_that_overflows_has_no_answers(classifier: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    house.rewrite(folder, lambda tensors: tensors["classifier.weight"].fill_(3e38))
    with pytest.raises(CheckpointError, match="not finite"):
        whet.load(folder).predict(["late parcel"])


@pytest.mark.parametrize("index", ["[]", "{", '{"weight_map": {"x": 5}}', '{"weight_map": {"x": ["a"]}}'])
def test_a_damaged_weight_index(index: str, classifier: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    path = folder / "model.safetensors.index.json"
    path.write_text('{"weight_map": {"x": "a.safetensors"}}')
    assert len(whet.load(folder).labels) == 3
    path.write_text(index)
    refused(folder, path.name, "not a weight index")


@pytest.mark.parametrize("content", ['{"tokenizer_class": "Bert', "[]"])
def test_a_damaged_tokenizer_config_is_refused_before_training(
    content: str, classifier: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    (folder / "tokenizer_config.json").write_text(content)
    refused(folder, "tokenizer_config.json", "Copy it again")


def test_a_tokeniser_without_special_tokens_reads_empty_texts(classifier: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"post_processor": None}))
    model = whet.load(folder)
    texts = ["", "late parcel", " ", "🎉"]
    logits = [found.logits for found in model.predict(texts, logits=True)]
    assert logits[0] == pytest.approx(logits[3], abs=1e-5)
    assert logits[0] == pytest.approx(model.predict([""], logits=True)[0].logits, abs=1e-5)


def test_what_config_json_cannot_say_of_an_encoder_that_runs_padded(tmp_path: Path) -> None:
    folder = encoders.save(encoders.make("data2vec-text"), tmp_path / "theirs")
    config = json.loads((folder / "config.json").read_text())
    for changes, part in (
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0, and must be at least 1"),
        ({"num_attention_heads": -4}, "num_attention_heads is -4, and must be at least 1"),
        ({"pad_token_id": None}, "pad_token_id is None"),
        ({"max_position_embeddings": 5}, "places for 3 tokens"),
        ({"architectures": 5}, "architectures is 5"),
    ):
        (folder / "config.json").write_text(json.dumps(config | changes))
        refused(folder, part)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("shape", [(32, 20), (16, 32)])
def test_a_projection_of_another_shape_than_those_it_is_stacked_with(
    shape: tuple[int, int], classifier: Path, tmp_path: Path
) -> None:
    """Found in a review: the first was a traceback, and with two rows too few here and two too many there the
    tensors were cut at the wrong rows."""
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    name = "bert.encoder.layer.0.attention.self.key.weight"

    def change(tensors: Tensors) -> None:
        tensors[name] = torch.zeros(shape)

    house.rewrite(folder, change)
    refused(folder, f"{name.removeprefix('bert.')} {shape}", "config.json asks for")


def test_a_tokeniser_with_more_words_than_the_encoder(classifier: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"]["unheard"] = 100_000  # a hole before it, so that counting words finds nothing
    (folder / "tokenizer.json").write_text(json.dumps(content))
    refused(folder, "token number 100000", "they do not belong together")


def test_labels_are_listed_by_number(classifier: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    names = {str(number): f"label {number}" for number in range(12)}
    (folder / "config.json").write_text(json.dumps(config | {"id2label": names}, sort_keys=True))
    assert list(_in_order(json.loads((folder / "config.json").read_text())["id2label"])) == list(
        names.values()
    )
    assert _in_order({"b": 1, "a": 2}) == [1, 2]


def test_no_device_and_no_folder() -> None:
    with pytest.raises(ConfigError, match="there is no such device"):
        resolve_device("meta")
    with pytest.raises(CheckpointError, match="there is no such folder"):
        locate("~nosuchuser/model")
