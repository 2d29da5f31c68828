"""The study of a search: what it is about, storages that cannot be used, and optuna's rules as they are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whet.errors import RunError
from whet.search_space import parse_space
from whet.training.rungs import FACTOR, rungs
from whet.training.storages import answering, without_password
from whet.training.study import (
    about_of,
    check_free,
    check_same,
    create_study,
    importances,
    key_sampler,
    load_study,
    suggest,
)

optuna = pytest.importorskip("optuna")
ABOUT = {"space": ["epochs=2..4"], "data": {"train": {"rows": 40, "fingerprint": "ab"}}, "first_rung": 25}


def test_a_study_says_what_it_is_about(tmp_path: Path) -> None:
    storage = str(tmp_path / "s")
    create_study(storage, "one", ABOUT, 25)
    study = load_study(storage, "one")
    assert about_of(study) == ABOUT
    check_same(study, json.loads(json.dumps(ABOUT)))


def test_all_differences_are_listed(tmp_path: Path) -> None:
    study = create_study(str(tmp_path / "s"), "one", ABOUT, 25)
    other = {"space": ["epochs=2..5"], "data": {"train": {"rows": 41, "fingerprint": "ab"}}, "first_rung": 25}
    with pytest.raises(RunError) as refused:
        check_same(study, other)
    message = str(refused.value)
    assert "space: the study has ['epochs=2..4'], now ['epochs=2..5']" in message
    assert "data, train, rows: the study has 40, now 41" in message
    assert "fingerprint" not in message
    with pytest.raises(RunError, match=r"has a study 'one' already, with another search:\n  space"):
        create_study(str(tmp_path / "s"), "one", other, 25)
    with pytest.raises(RunError, match=r"already, of this search\. Go on with it"):
        create_study(str(tmp_path / "s"), "one", ABOUT, 25)


def test_storages_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no storage"):
        load_study(str(tmp_path / "nothing"), "one")
    with pytest.raises(RunError, match="there is no folder"):
        create_study(str(tmp_path / "no" / "s"), "one", ABOUT, 25)
    with pytest.raises(RunError, match="is a folder"):
        create_study(str(tmp_path), "one", ABOUT, 25)
    with pytest.raises(RunError, match="cannot be used"):
        create_study("nosuch://host/base", "one", ABOUT, 25)
    with pytest.raises(RunError, match="SQLite cannot be shared"):
        create_study(f"sqlite:///{tmp_path}/s.db", "one", ABOUT, 25)
    create_study(str(tmp_path / "s"), "one", ABOUT, 25)
    with pytest.raises(RunError, match="has no study 'two'; there are: one"):
        load_study(str(tmp_path / "s"), "two")
    with pytest.raises(RunError, match="cannot be used"):
        load_study("postgresql://whet@host:port/base", "one")


@pytest.mark.parametrize(
    "content",
    [
        b"text,label\nfine,yes\n",
        b"one line without an end",
        b'{"text": "fine"}\n',
        b"SQLite format 3\0\xff\xfe\n",
    ],
)
@pytest.mark.parametrize("open_it", [create_study, check_free, load_study])
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, content: bytes, open_it: Any) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    given = {"create_study": (ABOUT, 25), "check_free": (ABOUT,), "load_study": ()}[open_it.__name__]
    with pytest.raises(RunError, match=r"rows\.csv is there already and is no journal of a search"):
        open_it(str(path), "one", *given)
    assert path.read_bytes() == content


def test_files_may_be_named_as_people_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("~/of-home.journal", "sqlite-study.journal"):
        create_study(name, "one", ABOUT, 25)
        assert about_of(load_study(name, "one")) == ABOUT


def test_a_name_that_is_taken_is_told_without_making_a_study(tmp_path: Path) -> None:
    storage = str(tmp_path / "s")
    check_free(storage, "one", ABOUT)
    create_study(storage, "one", ABOUT, 25)
    check_free(storage, "two", ABOUT)
    with pytest.raises(RunError, match="of this search"):
        check_free(storage, "one", ABOUT)


def test_a_database_that_goes_away_is_one_message() -> None:
    import sqlalchemy

    lost = sqlalchemy.exc.OperationalError("SELECT", {}, Exception("server closed\nthe connection"))
    for error in (lost, optuna.exceptions.StorageInternalError("an error")):
        told = pytest.raises(RunError, match="me@host/b does not answer any more")
        with told, answering("postgresql://me:secret@host/b"):
            raise error


def test_a_database_that_does_not_answer_is_one_message() -> None:
    pytest.importorskip("psycopg2")
    with pytest.raises(RunError) as refused:
        create_study("postgresql://whet:secret@127.0.0.1:9/none", "one", ABOUT, 25)
    assert "cannot be used" in str(refused.value)
    assert "refused" in str(refused.value), "it was asked"
    assert "secret" not in str(refused.value)


def test_a_study_of_another_program_is_not_joined(tmp_path: Path) -> None:
    journal = optuna.storages.journal.JournalFileBackend(str(tmp_path / "s"))
    optuna.create_study(storage=optuna.storages.JournalStorage(journal), study_name="theirs")
    with pytest.raises(RunError, match="not one of whet search"):
        about_of(load_study(str(tmp_path / "s"), "theirs"))


def test_passwords_are_not_shown() -> None:
    assert without_password("postgresql://me:secret@host:5/base") == "postgresql://me@host:5/base"
    assert without_password("postgresql://host/base") == "postgresql://host/base"
    assert without_password("study.journal") == "study.journal"


def test_suggestions_lie_in_the_space(tmp_path: Path) -> None:
    space = parse_space(
        ["learning_rate=1e-5..1e-4:log", "epochs=2..4", "warmup=0..0.3", "cut=tail|head", "max_length=8|none"]
    )
    study = create_study(str(tmp_path / "s"), "one", ABOUT, None)
    for i in range(12):
        trial = study.ask()
        point = suggest(trial, space)
        assert all(one.holds(point[one.name]) for one in space)
        study.tell(trial, float(i))
    assert list(point) == [one.name for one in space]


def test_trials_stop_exactly_where_asynchronous_halving_says(tmp_path: Path) -> None:
    """Written from Li et al. 2020: of the trials that have come to a rung, those in the best 1/eta go on; of
    fewer than eta, the best. One worker; what later trials bring changes nothing for earlier ones."""
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(40, 3))
    study = create_study(str(tmp_path / "s"), "one", ABOUT, 25)
    reached: dict[int, list[float]] = {percent: [] for percent in rungs(25)}
    n_stopped = 0
    for row in scores:
        trial = study.ask()
        stopped = False
        for percent, score in zip(rungs(25), row, strict=False):
            trial.report(float(score), percent)
            reached[percent].append(float(score))
            best = sorted(reached[percent], reverse=True)[: max(1, len(reached[percent]) // FACTOR)]
            assert trial.should_prune() == (score not in best)
            if score not in best:
                stopped = True
                n_stopped += 1
                break
        if stopped:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, float(row[2]))
    assert 20 <= n_stopped <= 35


def test_importances_find_what_matters(tmp_path: Path) -> None:
    space = parse_space(["learning_rate=1e-5..1e-4:log", "warmup=0..0.3"])
    study = create_study(str(tmp_path / "s"), "one", ABOUT, None)
    key_sampler(study, seed=0, slot=0)  # the sampler that a study is made with has no seed
    assert importances(study) == {}
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, float(np.log(suggest(trial, space)["learning_rate"])))
    found = importances(study)
    assert next(iter(found)) == "learning_rate"
    assert found["learning_rate"] > 0.8
    assert sum(found.values()) == pytest.approx(1)
