"""Recipes on the command line: what is listed, what is recorded, what wins, and how a run goes on."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import house

OWN = (
    *("default", "small-data", "fast", "head-then-all", "gradual", "head-only", "bert-2018", "long-stable"),
    "lora",
)


def test_all_are_listed_and_each_is_explained(whet, encoder):
    listed = whet("recipes").ok().out
    assert all(name in listed for name in OWN)
    names = [recipe["name"] for recipe in json.loads(whet("recipes", "--json").ok().out)]
    assert names == list(OWN)
    shown = whet("recipes", "gradual", "--model", encoder).ok().out
    for part in ("ULMFiT", "92.0, 21 s", "--set unfreeze_at=1", "layer 2", "from epoch 2", "embeddings"):
        assert part in shown
    by_probe = "probe_step sets the head's rate, not the one below"
    assert by_probe not in shown
    assert by_probe in whet("recipes", "head-only", "--model", encoder).ok().out
    groups = json.loads(whet("recipes", "lora", "--model", encoder, "--json").ok().out)["groups"]
    assert [group["first_epoch"] for group in groups if group["name"] == "encoder"] == [None]
    whet("recipes", "gradul").refused("recipe=gradul", "'gradual'", "long-stable")


@pytest.fixture
def run(train, reviews) -> Any:
    def begin(*options: object) -> dict[str, Any]:
        train(reviews, *options).ok()
        return json.loads(Path("run", "run.json").read_text())

    return begin


def test_options_win_over_the_recipe_and_both_are_recorded(run):
    manifest = run("--recipe", "head-only", "--epochs", "2", "--set", "warmup=0.3")
    assert manifest["recipe"] == "head-only"
    config = manifest["config"]
    assert (config["frozen"], config["epochs"], config["warmup"]) == ("encoder", 2, 0.3)
    log = Path("run", "train.log").read_text()
    assert re.search(r"The frozen encoder was computed once for epochs 1 to 2 \(0\.00 GB\)", log)


def test_a_finished_run_of_another_recipe_is_told(run, reviews, whet):
    assert run()["recipe"] == "default"
    whet("train", reviews, "--out", "run", "--resume", "--recipe", "fast").refused(
        "recipe: the run has 'default', now 'fast'"
    )


def test_the_encoder_of_a_head_only_run_is_untouched(run, encoder):
    from safetensors.torch import load_file

    run("--recipe", "head-only", "--epochs", "2")
    before, after = load_file(encoder / "model.safetensors"), load_file("run/model/model.safetensors")
    assert all(tensor.equal(after[f"bert.{name}"]) for name, tensor in before.items())


def test_a_dry_run_says_when_each_group_is_trained(train, reviews):
    probed = train(reviews, "--recipe", "head-only", "--dry-run").ok()
    assert "probe_step sets the head's rate" in probed.err + probed.out
    said = train(reviews, "--recipe", "head-then-all", "--epochs", "2", "--dry-run").ok().out
    assert re.search(r"encoder +\d+ +[\d,]+ +0\.0003 +0\.01 +from epoch 2", said)
    assert re.search(r"head +1 +96 +0\.001 +0\.01 +from epoch 1", said)


def test_a_time_limit_with_stages(train, reviews):
    train(reviews, "--recipe", "head-then-all", "--epochs", "2", "--time-limit", "1h").ok()


def test_what_would_never_be_trained_is_refused(train, reviews):
    train(reviews, "--recipe", "gradual", "--epochs", "2").refused("unfreeze_at=1", "epoch 3", "--epochs 3")
    train(reviews, "--recipe", "gradual", "--set", "frozen_layers=9").refused("Choose 0 to 2")
    train(reviews, "--set", "averaging=ema", "--set", "dev_fraction=0").refused(
        "averaging=ema", "no dev rows"
    )
    assert not Path("run").exists()


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that runs through transformers' own module."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("padded")
    house.make_checkpoint(folder)
    config = transformers.RoFormerConfig(
        vocab_size=len(house.vocabulary()), hidden_size=32, embedding_size=32, num_hidden_layers=3,
        num_attention_heads=4, intermediate_size=48, max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(7)
        transformers.RoFormerModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "options",
    [
        ("--set", "frozen_layers=2", "--epochs", "2"),
        ("--recipe", "gradual", "--epochs", "4"),
        ("--recipe", "head-only", "--epochs", "2"),
        ("--recipe", "lora", "--epochs", "2", "--set", "gradient_checkpointing=on"),
        ("--set", "reinit_layers=1", "--set", "r_drop=1"),
    ],
)
def test_padded_encoders_take_recipes_too(train, reviews, padded, options):
    """A second run gives the same bits; what is frozen stays as it was."""
    from safetensors.torch import load_file

    before = load_file(padded / "model.safetensors")
    last = ("--max-length", "32", "--set", "dev_fraction=0")  # the last epoch is kept
    for out in ("one", "two"):
        train(reviews, *last, *options, model=padded, out=out).ok()
    after, again = (load_file(Path(out, "model", "model.safetensors")) for out in ("one", "two"))
    assert all(tensor.equal(again[name]) for name, tensor in after.items())
    changed = {
        name for name, tensor in before.items() if not tensor.equal(after.get(f"roformer.{name}", tensor))
    }
    layers = {name.split(".layer.")[1][0] for name in changed if ".layer." in name}
    if "frozen_layers=2" in options:
        assert layers == {"2"}
    elif "head-only" in options:
        assert changed == set()
    elif "lora" in options:
        assert layers == {"0", "1", "2"}
        assert not any("embeddings" in name or name.endswith("bias") for name in changed)
    else:
        assert layers == {"0", "1", "2"}


def test_heads_of_padded_encoders_have_no_masks_of_their_own(train, reviews, padded):
    train(reviews, "--max-length", "32", "--set", "dropout_samples=2", model=padded).refused(
        "dropout_samples=2", "padded"
    )
