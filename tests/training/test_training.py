"""The pieces of training: schedule, groups, epochs, events, and their listeners."""

import io
import json
from pathlib import Path

import pytest
import torch

from tests.training.test_timing import warmup_then_linear
from whet.checkpoints.families import family_named
from whet.config import SETTINGS, TrainConfig, make_config
from whet.config_text import parse_settings
from whet.encoder.network import EncoderSpec
from whet.errors import ConfigError
from whet.training.events import Evaluated, Note, StepDone, TrainingDone, TrainingStarted
from whet.training.groups import grouped, places_of, with_rate
from whet.training.listeners import LiveProgress, PlainProgress, _Rate, clock
from whet.training.logs import MetricsLog
from whet.training.loop import planned_epochs
from whet.training.optimizer import make_schedule

SPEC = EncoderSpec(101, 31, 2, 22, 3, 2, 29, "gelu", 1e-12, 0.1, 0.02)
METRICS = {"n": 7, "accuracy": 0.5, "macro_f1": 0.4, "mcc": 0.1, "nll": 0.7, "confusion": [[1]]}
HEADLINE = {"accuracy": 0.5, "macro F1": 0.4, "MCC": 0.1, "loss": 0.7}


@pytest.mark.parametrize(("n_steps", "warmup"), [(1, 0.1), (7, 0.0), (50, 0.1), (50, 1.0), (33, 0.27)])
def test_rates_are_those_of_transformers(n_steps: int, warmup: float) -> None:
    import math

    transformers = pytest.importorskip("transformers")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = transformers.get_linear_schedule_with_warmup(optimizer, math.ceil(warmup * n_steps), n_steps)
    schedule = warmup_then_linear(n_steps, warmup)
    assert schedule.n_steps == n_steps
    for step in range(n_steps):
        assert schedule.share(step) == pytest.approx(theirs.get_last_lr()[0], abs=1e-15)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(("n_steps", "warmup"), [(1, 0.1), (7, 0.0), (50, 0.1), (33, 0.27)])
@pytest.mark.parametrize("shape", ["cosine", "constant"])
def test_other_shapes_are_those_of_transformers(shape: str, n_steps: int, warmup: float) -> None:
    import math

    transformers = pytest.importorskip("transformers")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    rising = math.ceil(warmup * n_steps)
    if shape == "cosine":
        theirs = transformers.get_cosine_schedule_with_warmup(optimizer, rising, n_steps)
    else:
        theirs = transformers.get_constant_schedule_with_warmup(optimizer, rising)
    schedule = make_schedule(n_steps, make_config({"schedule": shape, "warmup": warmup}))
    assert schedule.n_steps == n_steps
    for step in range(n_steps):
        assert schedule.share(step) == pytest.approx(theirs.get_last_lr()[0], abs=1e-15)
        optimizer.step()
        theirs.step()


def test_slanted_triangles_are_those_of_ulmfit() -> None:
    """Howard and Ruder 2018, equation 3, with their cut_frac = 0.1 and ratio = 32."""
    schedule = make_schedule(200, make_config({"schedule": "slanted", "warmup": 0.1}))
    for step in range(200):
        cut = 20
        p = step / cut if step < cut else 1 - (step - cut) / (cut * (1 / 0.1 - 1))
        assert schedule.share(step) == pytest.approx((1 + p * 31) / 32, abs=1e-12)


def test_stages_have_schedules_of_their_own() -> None:
    config = make_config({"schedule_over": "stage", "schedule": "cosine"})
    whole = make_schedule(100, config, [0, 40, 400])
    parts = [make_schedule(n, make_config({"schedule": "cosine"})) for n in (40, 60)]
    wanted = [part.share(step) for part in parts for step in range(part.n_steps)]
    assert [whole.share(step) for step in range(100)] == pytest.approx(wanted, abs=1e-12)
    cut = make_schedule(100, make_config({"schedule": "cosine"})).ending_at(80, 50)
    assert cut.share(79) < cut.share(65) < cut.share(50)
    assert make_schedule(100, make_config({"schedule": "cosine"})).share(49) == cut.share(49)


def test_a_shortened_schedule_keeps_its_past_and_falls_in_a_line() -> None:
    whole = warmup_then_linear(100, 0.1)
    shorter = whole.ending_at(50, 40)
    assert [shorter.share(step) for step in (5, 10, 39)] == [whole.share(step) for step in (5, 10, 39)]
    assert shorter.n_steps == 50
    assert shorter.share(45) == pytest.approx(whole.share(40) / 2)
    assert whole.ending_at(40, 40).n_steps == 40
    rising = whole.ending_at(50, 5)  # in the warm-up: that is pressed together too
    assert rising.share(5) == 0.5
    assert max(rising.share(step) for step in range(50)) > 0.95
    assert rising.n_steps == 50


def test_groups_decay_what_trainer_decays_and_every_parameter_once() -> None:
    encoder = family_named("bert").encoder(SPEC, {})
    parameters = dict(encoder.named_parameters())
    places = places_of(encoder, parameters, ["pooler.weight", "pooler.bias"])
    groups = grouped(places, SPEC.n_layers, TrainConfig(learning_rate=5e-5))
    assert {group.title: (group.rate, group.decay, group.first_epoch) for group in groups} == {
        "encoder": (5e-5, 0.01, 1),
        "encoder, no decay": (5e-5, 0.0, 1),
        "head": (1e-3, 0.01, 1),
        "head, no decay": (1e-3, 0.0, 1),
    }
    assert sorted(name for group in groups for name in group.names) == sorted(parameters)
    undecayed = {name for group in groups if group.decay == 0.0 for name in group.names}
    assert undecayed == {name for name in parameters if name.endswith("bias") or "norm" in name}


@pytest.mark.parametrize(
    ("width", "rate"), [(768, 5e-5), (384, 1e-4), (1024, 3.75e-5), (128, 3e-4), (1, 3e-4)]
)
def test_the_rate_is_by_the_encoders_width_where_nobody_gives_one(width: int, rate: float) -> None:
    """5e-5 at BERT-base's width (Devlin et al. 2018) x 768 / width, at most 3e-4 (Turc et al. 2019)."""
    assert with_rate(TrainConfig(), width).learning_rate == pytest.approx(rate, rel=0.02)
    twice = with_rate(TrainConfig(relative_rate=2.0), width).learning_rate
    assert twice == pytest.approx(min(3e-4, 2 * rate), rel=0.02)
    assert with_rate(TrainConfig(learning_rate=1e-3, relative_rate=2.0), width).learning_rate == 1e-3
    with pytest.raises(ValueError, match="not settled"):
        _ = TrainConfig().peak_rate


@pytest.mark.parametrize(
    ("n_texts", "settings", "expected"),
    [(10_000, {}, 3), (320, {}, 10), (1600, {}, 6), (320, {"min_steps": 0}, 3), (10, {"epochs": 20}, 20)],
)
def test_small_data_gets_more_epochs(n_texts: int, settings: dict[str, int], expected: int) -> None:
    assert planned_epochs(n_texts, make_config(settings)) == expected


def test_all_bad_settings_are_named_at_once_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings(["epoch=3", "cut=tial", "warmup=2", "seed", "batch_size=x", "dropout=none"])
    message = str(caught.value)
    assert "'epoch'. Did you mean 'epochs'?" in message
    for part in ("cut=tial", "'tail'", "warmup=2", "key=value", "batch_size=x"):
        assert part in message
    with pytest.raises(ConfigError, match=r"(?s)no setting 'epoch'.*batch_size=0"):
        make_config({"epoch": 1, "batch_size": 0})
    with pytest.raises(ConfigError, match=r"(?s)batch_size=0.*warmup=-1"):
        TrainConfig(batch_size=0, warmup=-1)


def test_settings_are_typed() -> None:
    values = parse_settings(["epochs=5", "learning_rate=3e-5", "dropout=none", "cut=head"])
    assert values == {"epochs": 5, "learning_rate": 3e-5, "dropout": None, "cut": "head"}
    assert all(setting.metadata["meaning"] for setting in SETTINGS.values())
    with pytest.raises(ConfigError, match="epochs=True"):
        TrainConfig(epochs=True)
    with pytest.raises(ConfigError, match="learning_rate=nan"):
        parse_settings(["learning_rate=nan"])


def events() -> list[object]:
    steps = [StepDone(i, 1, 1.0, 0.5, 5e-5, 1e-3, 32, 100, i * 0.5) for i in (1, 2, 3, 4)]
    return [
        Note("a note"), TrainingStarted(4, 1, 100), *steps,
        Evaluated(4, 1, METRICS, HEADLINE, True, 2.0), TrainingDone(4, 400, 1, 2.0),
    ]  # fmt: skip


def test_plain_progress_says_notes_evaluations_and_the_end() -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream)
    for event in events():
        progress(event)  # type: ignore[arg-type]
    assert stream.getvalue().splitlines() == [
        "a note",
        "epoch 1/1  dev accuracy 0.5000  macro F1 0.4000  MCC 0.1000  loss 0.7000  (kept)",
        "Trained 4 steps in 0:02: 200 tokens a second. Kept epoch 1.",
    ]


def test_live_progress_shows_step_loss_rate_time_left_and_score(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    progress = LiveProgress(stream)
    try:
        for event in events()[:-1]:
            progress(event)  # type: ignore[arg-type]
        progress._bar.refresh()
    finally:
        progress.close()
    for part in ("step 4/4", "loss 1.000", "200 tokens/s", "0:00 left", "a note"):
        assert part in stream.getvalue()


def test_time_left_goes_by_the_steps_after_those_of_the_head_alone() -> None:
    rate = _Rate()
    rate(TrainingStarted(110, 11, 100, n_head_steps=100))
    for step in range(1, 101):
        rate(StepDone(step, 1, 1.0, 0.5, 0.0, 1e-3, 32, 100, step * 0.01))
    assert rate.line() == "loss 1.000  the head alone"
    for step in range(101, 106):
        rate(StepDone(step, 2, 1.0, 0.5, 5e-5, 1e-3, 32, 100, 1.0 + (step - 100) * 2.0))
    assert rate.line() == "loss 1.000  50 tokens/s  0:10 left"


def test_the_log_has_a_line_for_each_step_and_evaluation(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for event in events():
        log(event)  # type: ignore[arg-type]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["step"] * 4 + ["evaluation"]
    assert lines[-1]["dev"] == {name: METRICS[name] for name in ("n", "accuracy", "macro_f1", "mcc", "nll")}


def test_clock() -> None:
    assert [clock(5), clock(65.4), clock(3725)] == ["0:05", "1:05", "1:02:05"]
