"""`whet search` from end to end on a tiny encoder: trials, halving, the best again, the verdict, going on
after a death, helpers, and what is refused; issue 11."""

import gc
import json
import shlex
import signal
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import house

pytest.importorskip("optuna")

SPACE = ("--space", "learning_rate=1e-5..1e-2:log", "--space", "batch_size=4|8")
QUICK = ("--set", "epochs=1", "--threads", "1", "--precision", "float32")


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts, labels = house.sentences(90)
    return house.write_csv(tmp_path_factory.mktemp("rows") / "reviews.csv", {"text": texts, "label": labels})


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One configuration beside the default is trained again, on one seed, for time's sake."""
    from whet.training import rerun

    monkeypatch.setattr(rerun, "BEST", 1)
    monkeypatch.setattr(rerun, "SEEDS", 1)


@pytest.fixture
def search(whet: house.Command, encoder: Path, rows: Path) -> Callable[..., house.Outcome]:
    """`whet search` with the tiny encoder, four trials, one epoch; later options win."""

    def run(*options: object, data: object = rows, out: str | None = "found") -> house.Outcome:
        where: tuple[Any, ...] = () if out is None else ("--out", out)
        named = ("--model", encoder, *QUICK, "--trials", "4")
        return whet("search", data, *named, *SPACE, *where, *options)

    return run


def found_in(folder: str | Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(folder) / "run.json").read_text())
    return content


def test_a_search_from_end_to_end(whet, search, rows, monkeypatch):
    from whet.training import search_trials

    alive: list[weakref.ref[Any]] = []
    real = search_trials.Trial

    def watched(*arguments: Any) -> Any:
        gc.collect()
        assert [one() for one in alive if one() is not None] == []  # no model of an earlier trial is held
        trial = real(*arguments)
        start = type(arguments[0]).start

        def noted(self: Any, *given: Any) -> Any:
            model, new = start(self, *given)
            alive.append(weakref.ref(model))
            return model, new

        monkeypatch.setattr(type(arguments[0]), "start", noted)
        return trial

    monkeypatch.setattr(search_trials, "Trial", watched)
    outcome = search().ok()
    assert len(alive) >= 4
    manifest = found_in("found")
    found = manifest["search"]
    assert manifest["status"] == "finished"
    assert not Path("found/checkpoints").exists()
    trials = found["trials"]
    assert [one["number"] for one in trials] == [0, 1, 2, 3]
    assert trials[0]["state"] == "complete"
    assert "batch_size" not in trials[0]["point"]  # the default: 32 texts a step are not in the space
    for one in trials:
        folder = Path(f"found/trials/{one['number']:03}")
        lines = house.read_jsonl(folder / "metrics.jsonl")
        assert lines[-1]["event"] in ("evaluation", "look", "step")
        assert max(line["step"] for line in lines) == one["step"]
        assert json.loads((folder / "trial.json").read_text())["point"] == one["point"]
        assert (folder / "train.log").exists()
        assert not (folder / "model").exists()

    # the best three on fresh seeds, and the winner by the mean of dev
    again = found["again"]
    assert again["seeds"] == [1, 2, 3]
    assert "0" in again["dev"]
    means = {number: sum(scores.values()) / 3 for number, scores in again["dev"].items()}
    winner = str(found["winner"]["trial"])
    assert means[winner] == max(means.values()) == pytest.approx(found["winner"]["dev"])
    seed = max(again["dev"][winner], key=again["dev"][winner].__getitem__)
    assert (
        found["winner"]["seed"] == int(seed)
        or again["dev"][winner][seed] == again["dev"][winner][str(found["winner"]["seed"])]
    )
    chosen = Path(f"found/reruns/{int(winner):03}-seed-{found['winner']['seed']}/model/model.safetensors")
    assert Path("found/model/model.safetensors").read_bytes() == chosen.read_bytes()

    verdict = found["verdict"]
    assert verdict["word"] in ("better", "equal", "cannot tell", "worse")
    assert verdict["sentence"] in outcome.out
    assert verdict["n_rows"] == 18
    html = Path("found/search.html").read_text()
    assert len(html) < 2_000_000
    assert "<svg" in html

    # it opens as any run
    whet("predict", "found", rows, "--to", "out.jsonl").ok()
    whet("eval", "found", rows).ok()
    # and ends with the line that makes the winner
    line = found["train"]["line"]
    assert line in outcome.out
    words = shlex.split(line)
    assert words[:2] == ["whet", "train"]
    whet(*words[1:], "--out", "again", "--quiet").ok()
    made = found_in("again")["config"]
    of_winner = found_in(f"found/reruns/{int(winner):03}-seed-1")["config"]
    own = ("seed", "split_seed")
    assert {name: made[name] for name in made if name not in own} == {
        name: of_winner[name] for name in of_winner if name not in own
    }


def test_trials_are_halved_by_optunas_rule_on_what_dev_said(search, once):
    """From the rungs as the logs have them: who goes on is in the best half of those that came so far."""
    search("--trials", "7", "--set", "epochs=2", "--seed", "1").ok()
    trials = found_in("found")["search"]["trials"]
    reached: dict[str, list[float]] = {}
    n_stopped = 0
    for one in trials:
        lines = house.read_jsonl(Path(f"found/trials/{one['number']:03}/metrics.jsonl"))
        looks = [line for line in lines if line["event"] != "step"]
        by_step = {line["step"]: line["dev"]["mcc"] for line in looks}
        warmup = -(-one["n_steps"] // 20)
        for percent, score in one["rungs"].items():
            n_own = one["n_steps"] // 2  # before them are two epochs of the head alone
            step = one["n_steps"] - n_own - (-n_own * int(percent) // 100)
            assert by_step[step] == score
            assert step >= one["n_steps"] - n_own + warmup
            others = reached.setdefault(percent, [])
            others.append(score)
            place = sorted(others, reverse=True)[max(1, len(others) // 2) - 1]
            is_last = percent == list(one["rungs"])[-1]
            stops = one["state"] == "stopped" and is_last
            assert (score < place) == stops
            n_stopped += stops
        if one["state"] == "stopped":
            assert looks[-1]["step"] == one["step"] < one["n_steps"]
        else:
            assert one["step"] == one["n_steps"]
    assert n_stopped >= 1


def test_looks_within_an_epoch_change_nothing(train, rows, monkeypatch):
    """With decay a last digit: that of words which no text has had yet is then multiplied in two parts."""
    import numpy as np
    from safetensors.numpy import load_file

    from whet.training import sitting

    real = sitting.fit
    options = ("--batch-size", "8", "--set", "weight_decay=0", "--set", "head_first=0")
    train(rows, *options, out="one").ok()
    monkeypatch.setattr(sitting, "fit", lambda *given: real(*given, looks=(1, 2, 5)))
    train(rows, *options, out="two").ok()
    one, two = (load_file(Path(run, "model", "model.safetensors")) for run in ("one", "two"))
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    events = [line["event"] for line in house.read_jsonl(Path("two/metrics.jsonl"))]
    assert events.count("look") == 3
    assert events.count("evaluation") == 1


def test_frozen_features_and_tokens_are_made_once_for_all_trials(search, monkeypatch, once):
    from whet.text.store import TokenStore
    from whet.training import frozen

    computed, tokenised = [], []
    real, add = frozen.compute_features, TokenStore._add
    monkeypatch.setattr(frozen, "compute_features", lambda *given: computed.append(1) or real(*given))
    monkeypatch.setattr(TokenStore, "_add", lambda self, texts: tokenised.append(self) or add(self, texts))
    search(
        "--set",
        "frozen=encoder",
        "--set",
        "epochs=3",
        out="frozen",
    ).ok()
    assert len(computed) == 2  # train and dev, once for all trials
    # train and dev as read at first, then train, dev and the estimate of the search; no more for 4 trials
    assert len({id(one) for one in tokenised}) <= 5 + 2


def test_recipes_and_values_that_do_not_go_together(search, once):
    """A trial whose settings cannot be ends alone; that of a recipe is trained with it."""
    spaces = ("recipe=default|head-only", "frozen=encoder|nothing", "unfreeze_at=1|none")
    given = [word for space in spaces for word in ("--space", space)]
    search(*given, "--trials", "8", "--set", "min_steps=0", "--set", "epochs=2").ok()
    trials = found_in("found")["search"]["trials"]
    assert len(trials) == 8
    wrong = [one for one in trials if one["state"] == "failed"]
    assert wrong, "the search does meet some"
    assert wrong == [
        one for one in trials if (one["point"]["frozen"], one["point"]["unfreeze_at"]) == ("nothing", 1)
    ]
    assert all("unfreeze_at" in one["reason"] for one in wrong)


def test_a_test_file_is_looked_at_once(search, rows, once):
    texts, labels = house.sentences(30, seed=9)
    test = house.write_csv(Path("test.csv"), {"text": texts, "label": labels})
    search("--test", test, "--trials", "2").ok()
    assert found_in("found")["search"]["verdict"]["n_rows"] == 30
    (look,) = house.read_jsonl(Path("found/ledger.jsonl"))
    assert (look["command"], look["rows"]) == ("search --test", 30)
    assert not list(Path("found").glob("reruns/*/ledger.jsonl"))


def test_rows_of_one_group_are_judged_together(search, monkeypatch, once):
    from whet.training import rerun, search_ground

    authors = [f"author {number // 6}" for number in range(30)]
    texts, labels = house.sentences(30, 5)
    test = house.write_csv(Path("unseen.csv"), {"text": texts, "label": labels, "author": authors})
    texts, labels = house.sentences(90)
    columns = {"text": texts, "label": labels, "author": [f"author {number // 3}" for number in range(90)]}
    real, judged = rerun.Reruns._scored, []

    def losing(*arguments: Any) -> Any:
        found = real(*arguments)
        return found | {0: dict.fromkeys(found[0], -99.0)}

    def judge(*arguments: Any) -> Any:
        judged.append(arguments[-1])
        return verdict(*arguments)

    verdict = rerun.judge
    monkeypatch.setattr(rerun.Reruns, "_scored", losing)
    monkeypatch.setattr(rerun, "judge", judge)
    monkeypatch.setattr(search_ground, "first_rung", lambda configs: None)  # so none is stopped
    train = house.write_csv(Path("theirs.csv"), columns)
    search("--group", "author", "--test", test, data=train).ok()
    (together,) = judged
    assert [len(set(together[i : i + 6])) for i in range(0, 30, 6)] == [1] * 5
    assert len(set(together)) == 5
    assert "over groups of rows" in found_in("found")["search"]["verdict"]["test"]


@pytest.mark.slow
def test_a_time_limit_is_kept_and_said(search):
    began = time.monotonic()
    outcome = search("--time-limit", "14s", "--trials", "500", "--set", "epochs=3").ok()
    assert time.monotonic() - began < 20
    found = found_in("found")["search"]
    assert 1 <= len([one for one in found["trials"] if one["state"] == "complete"]) < 500
    assert "for trials" in outcome.out
    assert found["seconds"]["trials"] <= 12


@pytest.mark.slow
def test_the_same_seed_makes_the_same_search(search):
    search("--seed", "5", "--trials", "3", out="one").ok()
    search("--seed", "5", "--trials", "3", out="two").ok()
    one, two = (found_in(name)["search"] for name in ("one", "two"))
    assert [trial["point"] for trial in one["trials"]] == [trial["point"] for trial in two["trials"]]
    assert one["again"]["dev"] == two["again"]["dev"]
    assert one["verdict"] == two["verdict"]


def test_from_python(rows, encoder, once):
    import whet

    found = whet.search(
        rows, model=encoder, trials=2, space={"learning_rate": "1e-4..1e-2:log"}, epochs=1, threads=1,
        precision="float32", quiet=True, out="found",
    )  # fmt: skip
    assert found.folder == Path("found")
    assert found.verdict["word"] in ("better", "equal", "cannot tell", "worse")
    assert found.model().labels == ("delivery", "praise", "refund")
    run = whet.train(rows, out="run", quiet=True, recipe=found.recipe, model=encoder, **found.settings)
    assert run.metrics


# ------------------------------------------------------------------ deaths and helpers


def kill_when(process: Any, is_time: Callable[[], bool], number: int = signal.SIGKILL) -> None:
    limit = time.monotonic() + 90
    while not is_time():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.send_signal(number)
    process.wait(60)


def lines_of(path: str) -> int:
    return Path(path).read_bytes().count(b"\n") if Path(path).exists() else 0


@pytest.mark.parametrize("how", ["killed", pytest.param("stopped", marks=pytest.mark.slow)])
def test_a_search_goes_on_to_the_same_points(search, whet, rows, monkeypatch, once, how):
    """Dead in the middle of trial 2, in this process: one that is killed cannot say that it lets go."""
    from whet.training import search_trials

    search(out="whole").ok()
    real = search_trials.Trial.run

    def dying(self: Any, *given: Any) -> Any:
        if self._metrics._lines.path.parent.name == "002":
            raise KeyboardInterrupt
        return real(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(search_trials.Trial, "run", dying)
        if how == "killed":
            patch.setattr(search_trials.Slots, "lose", lambda *given: None)
        stopped = search()
    assert stopped.status == 130
    assert "whet search --out found --resume" in stopped.err
    assert found_in("found")["status"] == "stopped"
    before = {path: path.stat().st_mtime_ns for path in Path("found/trials").glob("*/trial.json")}
    assert [path.parent.name for path in sorted(before)] == ["000", "001"]
    whet("predict", "found", rows).refused("did not finish", "whet search --resume --out found")
    whet("search", "--resume", "--out", "found").ok()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    found, whole = found_in("found")["search"], found_in("whole")["search"]
    assert [one["number"] for one in found["trials"]] == [0, 1, 2, 3]
    assert [one["point"] for one in found["trials"]] == [one["point"] for one in whole["trials"]]
    assert "nothing is left to do" in whet("search", "--resume", "--out", "found").ok().err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_search_goes_on_after_a_death_and_loses_the_running_trial_at_most(
    search, rows, encoder, whet, number
):
    search(out="whole").ok()
    command = ("search", rows, "--model", encoder, *QUICK, "--trials", "4", *SPACE, "--out", "found")
    process = house.spawn(*command)
    kill_when(process, lambda: lines_of("found/trials/001/metrics.jsonl") >= 2, number)
    before = json.loads(Path("found/trials/000/trial.json").read_text())
    time_before = Path("found/trials/000/trial.json").stat().st_mtime_ns
    whet("predict", "found", rows).refused("did not finish", "whet search --resume --out found")
    whet("search", "--resume", "--out", "found").ok()
    assert Path("found/trials/000/trial.json").stat().st_mtime_ns == time_before
    found, whole = found_in("found")["search"], found_in("whole")["search"]
    assert [one["number"] for one in found["trials"]] == [0, 1, 2, 3]
    assert found["trials"][0]["seconds"] == before["seconds"]
    assert all(one["state"] in ("complete", "stopped") for one in found["trials"])
    assert [one["point"] for one in found["trials"]] == [one["point"] for one in whole["trials"]]
    assert "nothing is left to do" in whet("search", "--resume", "--out", "found").ok().err


def test_what_is_resumed_must_be_the_same(search, rows, whet, encoder, once):
    search("--trials", "2").ok()
    whet("search", "--resume", "--out", "found", "--trials", "3").refused("trials: the search has 2, now 3")
    whet("search", "--resume", "--out", "found", "--space", "epochs=1..2").refused("space: the search has")
    whet("search", "--resume", "--out", "found", "--set", "epochs=2").refused(
        "epochs: the search has 1, now 2"
    )
    whet("search", "--resume", "--out", "found", "--time-limit", "1h").refused(
        "time_limit: the search has None, now 3600.0"
    )
    whet("search", "--resume", "--out", "found", "--trials", "2", "--threads", "2", *SPACE).ok()
    whet("train", "--resume", "--out", "found").refused("is a search", "whet search --resume")


def test_a_small_space_is_gone_on_with_as_it_was_asked_for(search, whet, encoder, rows, once):
    """Two values beside the default are three trials, though five were asked for."""
    given = ("--model", encoder, *QUICK, "--trials", "5", "--space", "batch_size=4|8", "--label", "label")
    whet("search", rows, *given, "--out", "found").ok()
    assert len(found_in("found")["search"]["trials"]) == 3
    assert "nothing is left" in whet("search", rows, *given, "--out", "found", "--resume").ok().err
    alone = ("--set", "min_precision=0.9")  # which makes no configuration by itself, and is told to differ
    whet("search", "--out", "found", "--resume", *alone).refused(
        "min_precision: the search has None, now 0.9"
    )
    whet("search", "--out", "found", "--resume", "--set", "min_precision=7").refused("min_precision=7")


def test_what_stands_there_is_overwritten_only_where_the_study_can_be_made(search, once):
    storage = ("--trials", "2", "--storage", "shared.journal")
    search(*storage).ok()
    before = Path("found/run.json").read_bytes()
    search(*storage, "--overwrite").refused("shared.journal has a study 'found' already, of this search")
    assert Path("found/run.json").read_bytes() == before
    assert Path("found/model").is_dir()


def test_a_helper_that_is_begun_first_waits_and_one_that_died_goes_on(
    search, whet, rows, monkeypatch, once, encoder
):
    import whet.training.search as module

    monkeypatch.setattr(module, "_JOIN_WAIT", 0.1)
    whet("search", "--join", "--out", "found").refused("there is no search in found", status=2)
    shared = ("--trials", "2", "--storage", "s.journal", "--study", "s")
    search(*shared).ok()
    again = ("search", rows, "--model", encoder, "--join", *shared[2:], "--out", "helper")
    for _ in range(2):
        assert "Helped with 0 trials" in whet(*again).ok().out
    assert found_in("helper")["status"] == "finished"


@pytest.mark.slow
def test_helpers_on_one_machine_share_the_trials(rows, encoder, whet):
    """A leader and a helper that names the leader's folder and nothing else."""
    options = (rows, "--model", encoder, *QUICK, *SPACE, "--trials", "8", "--set", "epochs=6")
    leader = house.spawn("search", *options, "--out", "found")
    helper = house.spawn("search", "--join", "--out", "found")  # at the same moment, as the guide does
    out, error = helper.communicate(timeout=120)
    assert helper.returncode == 0, error.decode()
    assert b"Helped with" in out
    _, leader_error = leader.communicate(timeout=120)
    assert leader.returncode == 0, leader_error.decode()
    found = found_in("found")["search"]
    assert [one["number"] for one in found["trials"]] == list(range(8))
    assert all(one["state"] in ("complete", "stopped") for one in found["trials"])


def test_bad_requests(search, whet, rows, encoder, tmp_path, once):
    search("--space", "lerning_rate=1..2").refused("no setting 'lerning_rate'", "Did you mean")
    search("--space", "epochs=4..2").refused("the range is empty")
    search("--trials", "0").refused("trials=0", "from 1 up")
    search("--time-limit", "soon").refused("time_limit=soon", "1h30m")
    search("--storage", "nowhere/study").refused("there is no folder nowhere")
    search("--set", "dev_fraction=0").refused("a search chooses by dev rows")
    search("--join", "--resume").refused("Choose one of the three", status=2)
    whet("search").refused("Name the data", status=2)
    whet("search", rows, "--join").refused("--join: name the run folder of a search", status=2)
    search("--space", "mask_rate=0.1..0.2").refused("is of whet pretrain")
    whet("search", rows, "--join", "--storage", "gone", "--study", "s").refused("There is no storage gone")
    whet("search", "--resume", "--out", "gone").refused("there is no run gone")
    assert not Path("found").exists()
    search("--trials", "2", "--storage", "study.journal", "--study", "s").ok()
    search("--trials", "3", "--storage", "study.journal", "--study", "s", out="other").refused(
        "has a study 's' already, with another search", "trials: the study has 2, now 3"
    )
    assert not Path("other").exists()
    texts, labels = house.sentences(90, seed=4)
    other = house.write_csv(tmp_path / "other.csv", {"text": texts, "label": labels})
    whet("search", other, "--join", "--storage", "study.journal", "--study", "s", "--model", encoder).refused(
        "about something else", "data, train, fingerprint"
    )
    search("--trials", "2").refused("exists already", "--resume")


def test_without_optuna_it_says_what_to_install(search, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    search().refused("needs optuna", "whet[search]")
    assert not Path("found").exists()
