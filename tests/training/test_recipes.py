"""Every recipe and piece of `--set`: stopped between two steps and gone on with it ends with the same bits;
what is computed once is what is computed at each step; LoRA merged is LoRA unmerged."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.acceptance import house
from whet.checkpoints.loading import open_checkpoint
from whet.config import make_config
from whet.encoder.packing import pack
from whet.errors import ConfigError
from whet.features import Hidden, Reads, compute_features
from whet.model import TextModel, start_model
from whet.predictor import Predictor
from whet.recipes import DEFAULT, RECIPES, find_recipe, with_recipe
from whet.tasks.classification import Classification
from whet.text.batches import pack_texts
from whet.text.rules import TextRules
from whet.text.store import store_of
from whet.text.tokens import Tokeniser
from whet.training import averaging, frozen, loop
from whet.training.events import Event, Note, StepDone, TrainingDone, TrainingStarted
from whet.training.gradient import Examples
from whet.training.groups import beginnings
from whet.training.loop import fit, plan, planned_epochs
from whet.training.lora import merge_lora, without_lora
from whet.training.outfit import outfit
from whet.training.resume import Checkpoints
from whet.training.state import TrainingState, groups_of

LABELS = ("delivery", "praise", "refund")
BASE: dict[str, Any] = {"batch_size": 8, "min_steps": 0, "learning_rate": 1e-3, "epochs": 3, "device": "cpu"}
PIECES: dict[str, dict[str, Any]] = {
    "default": {},
    "embeddings frozen": {"frozen": "embeddings"},
    "one layer frozen": {"frozen_layers": 1},
    "head, then all": {"frozen": "encoder", "unfreeze_at": 2, "schedule_over": "stage", "schedule": "cosine"},
    "gradual": {
        "frozen": "encoder", "unfreeze_at": 1, "unfreeze_groups": 2, "schedule": "slanted",
        "layer_decay": 0.7,
    },
    "by names": {"groups": "encoder.embeddings.parts.words.*:rate=0;head.*:rate=2e-3,decay=0.1"},
    "new layers": {"reinit_layers": 1},
    "moving average": {"averaging": "ema", "epochs": 4},
    "mean of epochs": {"averaging": "mean", "frozen": "encoder", "unfreeze_at": 1},
    "R-Drop": {"r_drop": 1.0},
    "several masks": {"dropout_samples": 3, "r_drop": 0.5},
    "recomputed": {"gradient_checkpointing": "on", "schedule": "constant"},
    "LoRA": {"lora_rank": 4},
}  # fmt: skip
PIECES |= {f"recipe {name}": {**recipe.settings, "batch_size": 8} for name, recipe in RECIPES.items()}
for piece in PIECES.values():  # as few epochs as show every stage
    piece["epochs"] = min(piece.get("epochs", 3), 6 if "unfreeze_at" in piece else 3)
    if piece.get("unfreeze_at", 0) > 2:
        piece |= {"unfreeze_at": 2, "epochs": 4}
    if piece.get("head_first", 0) > 2:
        piece |= {"head_first": 2, "epochs": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return house.make_checkpoint(tmp_path_factory.mktemp("recipes") / "tiny", num_hidden_layers=3)


def make_model(folder: Path, config: Any) -> tuple[TextModel, frozenset[str]]:
    checkpoint = open_checkpoint(folder)
    tokeniser = Tokeniser.load(folder, checkpoint.spec.n_types)
    rules = TextRules(64, "tail", "cut", "sentence", 0, "text", None, ("label",), config.pooling)
    start = start_model(checkpoint, Classification(LABELS), tokeniser, rules, config.seed)
    outfit(start.model, config)
    return start.model, start.new


def make_rows(model: TextModel, n: int, seed: int) -> Examples:
    texts, labels = house.sentences(n, seed)
    store = store_of([(text,) for text in texts], model.encoding)
    return Examples(store, np.array([LABELS.index(label) for label in labels]))


class Stopped(Exception):
    pass


class Attempt:
    """A run of 36 rows and 12 of dev, stopped at some pauses, or not."""

    def __init__(self, folder: Path, settings: dict[str, Any], precision: str = "float32") -> None:
        self.config, self.precision = make_config({**BASE, **settings}), precision
        self.model, new = make_model(folder, self.config)
        if precision == "float64":
            self.model.double()
        self.train, self.dev = make_rows(self.model, 36, 0), make_rows(self.model, 12, 70)
        stages = beginnings(groups_of(self.model, new, self.config))
        self.state = TrainingState(self.model, new, self.config, plan(36, self.config, stages))
        self.said: list[Event] = []
        self.n_pauses = 0

    def run(self, stop_at: int | None = None) -> "Attempt":
        def pause() -> None:
            self.n_pauses += 1
            if self.n_pauses == stop_at:
                raise Stopped

        with suppress(Stopped):
            fit(self.state, self.train, self.dev, self.config, self.precision, self.said.append, pause)
        return self

    def result(self) -> dict[str, torch.Tensor]:
        assert self.state.best is not None
        return self.state.best

    def notes(self) -> str:
        return "\n".join(event.text for event in self.said if isinstance(event, Note))


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", list(PIECES))
def test_gone_on_with_it_ends_with_the_same_bits(
    folder: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kept weights, and all that training changes. Proof that it can fail: with the averages left out of
    `TrainingState.tensors`, or with `begin` left out of `restore`."""
    monkeypatch.setattr(averaging, "EVERY", 3)
    with one_thread():
        whole = Attempt(folder, PIECES[name]).run()
        for stop_at in sorted({2, whole.n_pauses // 3, whole.n_pauses // 2 + 1, whole.n_pauses - 2}):
            (tmp_path / str(stop_at)).mkdir()
            place = Checkpoints(tmp_path / str(stop_at), tmp_path / "metrics.jsonl")
            place.save(Attempt(folder, PIECES[name]).run(stop_at).state, 0, {})
            second = Attempt(folder, PIECES[name])
            checkpoint = place.newest(0, pytest.fail)
            assert checkpoint is not None
            place.restore(second.state, checkpoint)
            second.run()
            for expected, found in (
                (whole.result(), second.result()),
                (whole.state.tensors(), second.state.tensors()),
            ):
                assert expected.keys() == found.keys()
                for key, tensor in expected.items():
                    assert torch.equal(found[key], tensor), (stop_at, key)
            assert whole.state.progress.best_epoch == second.state.progress.best_epoch


@pytest.mark.parametrize(("settings", "precision", "most"), [
    ({"frozen": "encoder"}, "float32", 1e-5),
    ({"frozen": "encoder", "pooling": "mean"}, "float32", 1e-5),
    ({"frozen_layers": 2}, "float64", 1e-9),
    ({"frozen": "encoder", "unfreeze_at": 2, "epochs": 4}, "float64", 1e-9),
    ({"frozen_layers": 3, "dropout_samples": 2, "r_drop": 1.0}, "float64", 1e-9),
    ({"frozen": "encoder", "averaging": "ema", "tokens_per_pass": 100}, "float32", 1e-5),
])  # fmt: skip
def test_computed_once_is_what_is_computed_at_each_step(
    folder: Path, settings: dict[str, Any], precision: str, most: float
) -> None:
    """All weights, dropout of the trained part on; in float64 where AdamW's division by near 0 would make
    much of float32's rounding. Proof that it can fail: with the frozen part in training mode, or with the
    rows of a pack in the caller's order."""
    once = Attempt(folder, settings, precision).run()
    again = Attempt(folder, {**settings, "feature_cache": 0.0}, precision).run()
    assert "was computed once" in once.notes()
    assert "computed once" not in again.notes()
    first = Attempt(folder, settings, precision).model.state_dict()
    worst = max(float((once.result()[name] - tensor).abs().max()) for name, tensor in again.result().items())
    moved = max(float((first[name] - tensor).abs().max()) for name, tensor in again.result().items())
    assert worst < most
    assert moved > 1e-3


def test_what_does_not_fit_is_computed_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "room", lambda most: 100.0)
    small = Attempt(folder, {"frozen": "encoder"}).run()
    assert "would take 0.00 GB" in small.notes()
    assert "computed again at each step" in small.notes()


@pytest.mark.parametrize("in_memory", [1 << 26, 0])
def test_features_of_windows_are_those_of_the_pack(
    folder: Path, in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts of several windows, in any order, from memory and from a mapped file."""
    monkeypatch.setattr("whet.features._IN_MEMORY", in_memory)
    model, _ = make_model(folder, make_config({}))
    model.rules = TextRules(8, "tail", "window", "sentence", 0, "text", None, ("label",), "own")
    store = make_rows(model, 20, 3).store.ensure()
    assert store.n_windows is not None
    assert store.n_windows.max() > 1
    texts = np.random.default_rng(1).permutation(20)[:9]
    batch = pack_texts(store, texts)
    model.eval()
    with torch.no_grad():
        for whole, kind in ((False, Hidden), (True, Reads)):
            found = compute_features(model, store, 2, whole, "float32")
            assert isinstance(found, kind)
            known = found.on(batch, texts)
            assert (known.read is None) != whole
            assert torch.allclose(model.logits(known), model.logits(batch), atol=1e-5)
        logits = Predictor(model).logits(store)
        assert np.allclose(Predictor(model).logits(store, features=found), logits, atol=1e-5)


def test_what_is_frozen_below_has_no_dropout(folder: Path) -> None:
    attempt = Attempt(folder, {"frozen_layers": 2})
    attempt.state.train()
    encoder: Any = attempt.model.encoder
    batches = [pack_texts(attempt.train.store, np.arange(5), (0, step)) for step in (1, 2)]
    below = [encoder.hidden_below(batch, 2) for batch in batches]
    assert torch.equal(*below)
    above = [encoder.hidden_below(batch, 3) for batch in batches]
    assert not torch.equal(*above)


def test_averages_are_those_of_the_formulas() -> None:
    """The mean of all, and a moving average against torch's own update with the decay of each step."""
    from torch.optim.swa_utils import get_ema_multi_avg_fn

    weights = [torch.randn(5, 3, dtype=torch.float64) for _ in range(12)]
    mean, moving = (averaging.Average(make_config({"averaging": kind})) for kind in ("mean", "ema"))
    expected: Any = weights[0].clone()
    for n, weight in enumerate(weights):
        for average in (mean, moving):
            average.add({"w": weight})
        if n:
            get_ema_multi_avg_fn(min(0.9, (1 + n) / (10 + n)))([expected], [weight], n)
    torch.testing.assert_close(mean.tensors()["mean.w"], torch.stack(weights).mean(dim=0))
    torch.testing.assert_close(moving.tensors()["mean.w"], expected)


@pytest.mark.parametrize("is_better", [True, False])
def test_an_average_is_kept_only_where_dev_finds_it_better(
    folder: Path, is_better: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures, looks = loop._figures, [0.5, *[0.5, 0.9 if is_better else 0.5] * 2]

    def scripted(*arguments: Any) -> dict[str, Any]:
        return {**figures(*arguments), "mcc": looks.pop(0)}

    monkeypatch.setattr(loop, "_figures", scripted)
    attempt = Attempt(folder, {"averaging": "mean"}).run()
    means, name = attempt.state.average.tensors(), "encoder.layers.1.up.weight"
    own = attempt.model.get_parameter(name)
    assert attempt.state.progress.best_epoch == 3
    assert torch.equal(attempt.result()[name], means[f"mean.{name}"] if is_better else own)
    assert not torch.equal(means[f"mean.{name}"], own)
    assert ("finds the average of the weights better" in attempt.notes()) == is_better


def test_lora_merged_is_lora_unmerged_and_a_plain_model(folder: Path) -> None:
    """At 1e-5. Proof that it can fail: with the scale left out of `LowRank.forward` after training."""
    attempt = Attempt(folder, {"lora_rank": 4, "averaging": "none"}).run()
    model = attempt.model.eval()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {name for name in attempt.state.trained if ".0.down" in name or ".0.up" in name} | {
        "head.classifier.weight", "head.classifier.bias",
    }  # fmt: skip
    logits = Predictor(model).logits(attempt.dev.store)
    plain = {name: tensor.clone() for name, tensor in without_lora(model).items()}
    merge_lora(model)
    assert np.allclose(Predictor(model).logits(attempt.dev.store), logits, atol=1e-5)
    fresh, _ = make_model(folder, make_config({}))
    before = Predictor(fresh).logits(attempt.dev.store)
    fresh.load_state_dict(plain)
    after = Predictor(fresh).logits(attempt.dev.store)
    assert np.allclose(after, logits, atol=1e-5)
    assert np.abs(after - before).max() > 1e-2


def test_lora_is_the_product_of_its_matrices(folder: Path) -> None:
    """The gradient of the two matrices is that of W + alpha / rank * up @ down, by hand."""
    model, _ = make_model(folder, make_config({"lora_rank": 3, "lora_alpha": 6.0}))
    plain, _ = make_model(folder, make_config({}))
    batch = pack([np.array([2, 9, 30, 3])], [np.zeros(4, np.int64)])
    model.eval(), plain.eval()
    assert torch.equal(model.logits(batch), plain.logits(batch))  # nothing is added at first
    up: Any = model.get_parameter("encoder.layers.1.up.parametrizations.weight.0.up")
    down: Any = model.get_parameter("encoder.layers.1.up.parametrizations.weight.0.down")
    with torch.no_grad():
        up.normal_(0.0, 0.3)
        plain.get_parameter("encoder.layers.1.up.weight").add_(2.0 * up @ down)
    model.logits(batch).sum().backward()
    plain.logits(batch).sum().backward()
    gradient: Any = plain.get_parameter("encoder.layers.1.up.weight").grad
    assert torch.allclose(up.grad, 2.0 * gradient @ down.T, atol=1e-6)
    assert torch.allclose(down.grad, 2.0 * up.T @ gradient, atol=1e-6)


def test_recomputed_layers_change_no_bit(folder: Path) -> None:
    with one_thread():
        plain = Attempt(folder, {}).run().result()
        recomputed = Attempt(folder, {"gradient_checkpointing": "on"}).run().result()
    assert all(torch.equal(plain[name], tensor) for name, tensor in recomputed.items())


def test_new_layers_are_the_top_ones(folder: Path) -> None:
    plain, _ = make_model(folder, make_config({}))
    new, _ = make_model(folder, make_config({"reinit_layers": 2}))
    before, after = plain.state_dict(), new.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[2] for name in changed if ".layers." in name} == {"1", "2"}
    assert {name for name in changed if ".layers." not in name} == {
        "encoder.pooler.weight", "encoder.pooler.bias",
    } & changed  # fmt: skip
    assert "encoder.pooler.weight" in changed


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"unfreeze_at": 1}, ("unfreeze_at=1: nothing is frozen", "frozen=encoder")),
        ({"frozen": "encoder", "unfreeze_groups": 2}, ("unfreeze_groups=2", "unfreeze_at=1")),
        ({"lora_rank": 4, "frozen_layers": 1}, ("lora_rank=4", "LoRA freezes")),
        ({"groups": "a:rate=2;b"}, ("'rate=2' must be rate=NUMBER", "'b' must be PATTERN", "An example")),
        ({"schedule": "cosin"}, ("linear, cosine, constant, slanted", "'cosine'")),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(settings)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"frozen_layers": 4}, ("frozen_layers=4", "Choose 0 to 3")),
        ({"groups": "layers.0.*:rate=0"}, ("'layers.0.*' fits no parameter", "encoder.")),
        ({"groups": "*:rate=0"}, ("Nothing would be trained",)),
        ({"reinit_layers": 9}, ("reinit_layers=9", "Choose 0 to 3")),
    ],
)
def test_settings_that_do_not_fit_the_encoder(
    folder: Path, settings: dict[str, Any], parts: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        Attempt(folder, settings)
    for part in parts:
        assert part in str(caught.value)


def test_head_first_is_a_stage_of_its_own_before_the_epochs(folder: Path) -> None:
    """The same bits as of the settings that spell it out, for which tests/reference has a loop by hand."""
    first = Attempt(folder, {"head_first": 2, "epochs": 3}).run()
    spelled = {"frozen": "encoder", "unfreeze_at": 2, "epochs": 5, "schedule_over": "stage"}
    plain = Attempt(folder, spelled).run()
    assert first.state.progress.step == plain.state.progress.step == 25
    for name, tensor in plain.result().items():
        assert torch.equal(tensor, first.result()[name]), name
    (started,) = (event for event in first.said if isinstance(event, TrainingStarted))
    assert started.n_head_steps == 10
    assert "computed once for epochs 1 to 2" in first.notes()
    (done,) = (event for event in first.said if isinstance(event, TrainingDone))
    assert done.n_tokens == 3 * int(first.train.store.lengths.sum()), "an epoch's tokens, of three"


@pytest.mark.parametrize(
    "settings",
    [
        {"frozen": "encoder"},
        {"frozen": "embeddings"},
        {"frozen_layers": 1},
        {"lora_rank": 4},
    ],
)
def test_head_first_is_left_out_where_other_settings_say_what_is_frozen(settings: dict[str, Any]) -> None:
    assert make_config({"head_first": 2}).head_epochs == 2
    assert make_config({"head_first": 2, **settings}).head_epochs == 0
    assert planned_epochs(10_000, make_config({"head_first": 2, **settings})) == 3
    assert planned_epochs(10_000, make_config({"head_first": 2, "epochs": 4})) == 6


@pytest.mark.parametrize("cache", [2.0, 0.0])
def test_a_head_alone_learns_at_a_rate_by_the_size_of_what_it_reads(folder: Path, cache: float) -> None:
    """At the peak head_learning_rate's place is taken by probe_step over the sum of absolute values, then
    the stage with all layers has head_learning_rate; a head that reads nothing but zeros keeps it."""
    settings = {"head_first": 2, "probe_step": 0.5, "warmup": 0.0, "feature_cache": cache, "batch_size": 36}
    settings["tokens_per_pass"] = 100  # in pieces, as any step
    attempt = Attempt(folder, settings)
    store, everyone = attempt.train.store, np.arange(36)
    with torch.no_grad():
        read = attempt.model.eval().head.read(attempt.model.encoder, pack_texts(store, everyone))
    peak = 0.5 / read.abs().sum(1).mean().item()
    attempt.run()
    steps = [event for event in attempt.said if isinstance(event, StepDone)]
    rates = [step.head_learning_rate for step in steps]
    assert rates == pytest.approx([peak, peak / 2, 1e-3, 2e-3 / 3, 1e-3 / 3], rel=1e-5)
    assert steps[0].learning_rate == 1e-3, "the encoder's own is not touched"
    assert f"rises to {peak:.2g} (probe_step)" in attempt.notes()
    silent = Attempt(folder, settings)
    torch.nn.init.zeros_(silent.model.encoder.pooler.weight)
    torch.nn.init.zeros_(silent.model.encoder.pooler.bias)
    silent.run()
    assert next(e.head_learning_rate for e in silent.said if isinstance(e, StepDone)) == 1e-3


def test_a_recipe_is_settings_that_the_user_overrules() -> None:
    for recipe in RECIPES.values():
        make_config(recipe.settings)
        assert recipe.purpose
        assert recipe.source
        assert recipe.measured
    probe = {"frozen": "encoder", "probe_step": 1.0}
    assert with_recipe("head-only", {"epochs": 2}) == {**probe, "epochs": 2}
    default = dict(RECIPES[DEFAULT].settings)
    assert with_recipe(None, {"epochs": 2}) == {**default, "epochs": 2}
    assert with_recipe(None, dict.fromkeys(default, 0)) == dict.fromkeys(default, 0)
    with pytest.raises(ConfigError, match=r"recipe=fst: .*'fast'.*long-stable"):
        find_recipe("fst")
