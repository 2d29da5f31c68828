"""`whet train --seeds`: every seed a full run, stopped and gone on with, counted up, and the best of them."""

import hashlib
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.acceptance import house
from tests.acceptance.forks import Forks, prepared

SEEDS = ("--seeds", "3", "--seed", "5")


def manifest_of(folder: Path | str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(folder) / "run.json").read_text())
    return content


def weights_of(folder: Path | str) -> dict[str, np.ndarray]:
    return load_file(Path(folder) / "model" / "model.safetensors")


def same_weights(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


def test_each_seed_is_the_run_of_that_seed_alone(train, reviews):
    train(reviews, *SEEDS).ok()
    for seed in (5, 6, 7):
        train(reviews, "--seed", seed, "--set", "split_seed=5", out=f"alone-{seed}").ok()
        within, alone = Path("run/seeds", str(seed)), Path(f"alone-{seed}")
        assert same_weights(weights_of(within), weights_of(alone))
        assert (within / "metrics.jsonl").read_bytes() == (alone / "metrics.jsonl").read_bytes()
    assert not same_weights(weights_of("run/seeds/5"), weights_of("run/seeds/6"))


def test_the_table_is_what_the_seeds_runs_say(train, reviews):
    texts, labels = house.sentences(30, seed=9)
    house.write_csv(Path("test.csv"), {"text": texts, "label": labels})
    outcome = train(reviews, *SEEDS, "--test", "test.csv").ok()
    found = manifest_of("run")["results"]["seeds"]
    assert found["failed"] == {}
    for split in ("dev", "test"):
        runs = [manifest_of(f"run/seeds/{seed}")["results"][split] for seed in (5, 6, 7)]
        for name in ("accuracy", "macro_f1", "mcc", "nll"):
            values = np.array([run[name] for run in runs])
            summary = found["summary"][split][name]
            assert summary["mean"] == pytest.approx(values.mean(), abs=1e-12)
            assert summary["sd"] == pytest.approx(values.std(ddof=1), abs=1e-12)
            assert summary["median"] == pytest.approx(np.median(values), abs=1e-12)
            assert (summary["min"], summary["max"]) == (values.min(), values.max())
        accuracy = found["summary"][split]["accuracy"]
        assert f"{accuracy['mean']:.4f}" in outcome.out
        assert f"{accuracy['sd']:.4f}" in outcome.out


def test_the_model_is_the_best_seed_or_the_average_where_dev_says_so(whet, train, reviews, monkeypatch):
    """What is in model/ is checked against the tensors of the seeds' folders; how much dev likes the average
    is scripted."""
    from whet.tasks.classification import Classification
    from whet.training import seeds

    average, standing = seeds._average, Classification.standing
    for first, likes in ((0, 9.0), (10, -9.0)):
        extra = [0.0]

        def averaging(members: Any, extra: Any = extra, likes: float = likes) -> Any:
            extra[0] = likes
            return average(members)

        def stands(self: Any, metrics: Any, by: str, extra: Any = extra) -> tuple[float, float]:
            score, noise = standing(self, metrics, by)
            return score + extra[0], noise

        monkeypatch.setattr(seeds, "_average", averaging)
        monkeypatch.setattr(Classification, "standing", stands)
        options = ("--seeds", "2", "--seed", str(first), "--set", "choose_by=loss")
        train(reviews, *options, out=f"run-{first}").ok()
        results = manifest_of(f"run-{first}")["results"]
        chosen = results["chosen"]
        assert chosen["kind"] == ("average" if likes > 0 else "seed")
        runs = {seed: Path(f"run-{first}/seeds/{seed}") for seed in (first, first + 1)}
        losses = {seed: manifest_of(run)["results"]["dev"]["nll"] for seed, run in runs.items()}
        best = min(losses, key=losses.__getitem__)
        kept = weights_of(f"run-{first}")
        assert chosen["saw_dev"]
        if chosen["kind"] == "seed":
            assert chosen["seed"] == best
            assert same_weights(kept, weights_of(runs[best]))
            assert results["dev"]["nll"] == pytest.approx(losses[best], abs=1e-7)
        else:
            one, other = (weights_of(run) for run in runs.values())
            for name, tensor in kept.items():
                mean = (one[name].astype(np.float64) + other[name]) / 2
                np.testing.assert_allclose(tensor, mean, rtol=1e-6, atol=1e-9)
        whet("eval", f"run-{first}", reviews).ok()


def test_without_dev_the_first_seed_is_the_model(train, reviews):
    train(reviews, *SEEDS, "--set", "dev_fraction=0").ok()
    results = manifest_of("run")["results"]
    assert results["chosen"] == {"kind": "seed", "seed": 5, "saw_dev": False}
    assert same_weights(weights_of("run"), weights_of("run/seeds/5"))


def test_a_seed_that_fails_is_told_and_the_others_go_on(train, reviews, monkeypatch):
    from whet.training import loop

    real = loop.accumulate

    def broken(model: Any, examples: Any, texts: Any, step: int, config: Any, *others: Any) -> float:
        if config.seed in broken_seeds:
            raise loop.NonFiniteLoss(step, [0])
        return real(model, examples, texts, step, config, *others)

    broken_seeds = {6}
    monkeypatch.setattr(loop, "accumulate", broken)
    outcome = train(reviews, *SEEDS).ok()
    assert "Seed 6 failed" in outcome.err
    assert "failed" in outcome.out
    found = manifest_of("run")["results"]["seeds"]
    assert set(found["runs"]) == {"Seed 5", "Seed 7"}
    assert "not finite" in found["failed"]["Seed 6"]
    assert found["summary"]["dev"]["accuracy"]["mean"] == pytest.approx(
        np.mean([manifest_of(f"run/seeds/{seed}")["results"]["dev"]["accuracy"] for seed in (5, 7)])
    )
    broken_seeds = {5, 6, 7}
    train(reviews, *SEEDS, out="none").refused("All 3 runs failed", "not finite")
    assert manifest_of("none")["status"] == "failed"
    broken_seeds = set()
    train(reviews, "--resume", out="none").ok()
    assert set(manifest_of("none")["results"]["seeds"]["runs"]) == {"Seed 5", "Seed 6", "Seed 7"}


def test_options_that_cannot_be(train, whet, reviews):
    train(reviews, "--seeds", "0").refused("seeds=0", "from 1 up")
    assert not Path("run").exists()
    train(reviews, *SEEDS).ok()
    train(reviews, "--resume", "--seeds", "4").refused("seeds: the run has 3, now 4")
    assert "finished already" in train(reviews, "--resume", "--seeds", "3").ok().err
    train(reviews, *SEEDS).refused("exists already")


def test_a_dry_run_counts_all_seeds(train, reviews):
    one, three = (train(reviews, "--dry-run", *more, out=None).ok().out for more in ((), SEEDS))
    assert "3 times" in three
    assert "times" not in one
    disks = [
        float(line.split()[1].replace(",", ""))
        for out in (one, three)
        for line in out.splitlines()
        if line.startswith("Disk")
    ]
    assert disks[1] == pytest.approx(4 * disks[0], rel=0.2)  # and the model that is chosen


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    folder = tmp_path_factory.mktemp("faults")
    yield from prepared(folder, folder)


def test_killed_seeds_go_on_to_the_same_bits(forks: Forks):
    command = [*forks.train, "--seeds", "2"]
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    status, output = forks.run(*command)
    assert status == 0, output

    def result() -> dict[str, str]:
        chosen = (forks.folder / "run" / "model" / "model.safetensors").read_bytes()
        return forks.result("seeds/0", "seeds/1") | {"chosen": hashlib.sha256(chosen).hexdigest()}

    expected, moments = result(), forks.moments
    names = ["metrics.jsonl", "predictions.dev.jsonl", "run.json", "train.log", "model"]
    ends = [place for place, name in enumerate(moments, 1) if name == "renamed run.json"]
    for at in (ends[1] + 20, len(moments) - 3):
        shutil.rmtree(forks.folder / "run")
        status, output = forks.run(*command, at=at)
        assert status == -signal.SIGKILL, output
        again = [*forks.train, "--resume"] if (forks.folder / "run" / "run.json").exists() else command
        status, output = forks.run(*again)
        assert status == 0, output
        assert result() == expected, f"killed at {at}, {moments[at - 1]}"
        seeds = [forks.folder / "run" / "seeds" / seed for seed in ("0", "1")]
        assert all(sorted(path.name for path in seed.iterdir()) == sorted(names) for seed in seeds)


def test_a_stopped_one_says_how_to_go_on_with_the_whole(forks: Forks):
    command = [option for option in forks.train if option != "--quiet"] + ["--seeds", "2"]
    shutil.rmtree(forks.folder / "run", ignore_errors=True)
    status, output = forks.run(*command, at=60, how="signal", number=signal.SIGINT)
    assert status == 130, output
    assert "--out run --resume" in output
    assert manifest_of(forks.folder / "run")["status"] == "stopped"


def test_numbers_that_cannot_be_are_refused_before_any_work(train, reviews, encoder):
    train(reviews, "--set", "clip_norm=inf").refused("clip_norm=inf", "a number from 0 up")
    train(reviews, "--set", "time_limit=inf").refused("time_limit=inf")
    train(reviews, "--seed", 10**20).refused(f"seed={10**20}", f"to {2**53}")
    assert not Path("run").exists()
    import whet as library

    for name, value in (("seeds", 2.0), ("seeds", "2"), ("seeds", True), ("folds", "3"), ("folds", 2.5)):
        with pytest.raises(library.WhetError, match=f"{name}={value}: must be a whole number"):
            library.train(reviews, model=encoder, quiet=True, **{name: value})


def test_a_group_that_is_no_column_is_refused_where_dev_is_given_too(train, reviews):
    train(reviews, "--dev", reviews, "--group", "autor").refused("no column 'autor'")


def test_going_on_with_a_run_json_that_holds_no_object(train, reviews):
    train(reviews).ok()
    Path("run/run.json").write_text("[]")
    train(reviews, "--resume").refused("run.json", "damaged")


def test_a_run_half_done_names_the_seeds_that_are_finished(train, reviews, whet):
    train(reviews, *SEEDS).ok()
    shutil.rmtree("run/model")
    shutil.rmtree("run/seeds/7/model")
    message = whet("predict", "run", reviews).refused("did not finish", "--resume --out run")
    assert "run/seeds/5, run/seeds/6." in message


def test_a_figure_that_is_not_defined_is_a_dash(whet, train, reviews):
    """A correlation over one row. Found in a review: it was a traceback, with one run and with several."""
    numbers = house.write_csv(
        Path("numbers.csv"),
        {"text": [f"a text {i}" for i in range(12)], "score": [0.5 * i + 0.25 for i in range(12)]},
    )
    test = house.write_csv(Path("one.csv"), {"text": ["a text"], "score": [1.25]})
    outcome = train(numbers, "--label", "score").ok()
    assert "Pearson -" in outcome.err
    outcome = train(numbers, "--label", "score", "--seeds", "2", "--test", test, out="two").ok()
    assert "mean" in outcome.out
