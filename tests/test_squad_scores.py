"""Exact match and F1 against the official scripts, their intervals against formulas and simulation."""

import importlib.util
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.squad_scores import (
    AnswerScores,
    answer_scores,
    best_threshold,
    mean_interval,
    normalised,
    squad_intervals,
    squad_metrics,
    with_threshold,
)

BENCH = Path(__file__).resolve().parents[1] / "bench" / "squad_coverage.py"

# shared/data/README.md, from the official scripts
PUBLISHED = {
    ("dev-v1.1", "v1.1-bert-ensemble"): {"exact": 86.20624408703878, "f1": 92.19557978351145, "total": 10570},
    ("dev-v1.1", "v1.1-logistic-regression"): {
        "exact": 40.14191106906339,
        "f1": 50.98153647324461,
        "total": 10570,
    },
    ("dev-v2.0.rebuilt", "v2.0-bert-single"): {
        "exact": 78.74168280973637,
        "f1": 81.77528052374723,
        "total": 11873,
        "has_answer_exact": 74.10593792172739,
        "has_answer_f1": 80.181832938335,
        "has_answer_total": 5928,
        "no_answer_exact": 83.36417157275021,
        "no_answer_f1": 83.36417157275021,
        "no_answer_total": 5945,
    },
    ("dev-v2.0.rebuilt", "v2.0-nlnet-single"): {
        "exact": 75.82750779078582,
        "f1": 78.77776770381459,
        "total": 11873,
        "has_answer_exact": 69.61875843454791,
        "has_answer_f1": 75.52773885752178,
        "has_answer_total": 5928,
        "no_answer_exact": 82.01850294365012,
        "no_answer_f1": 82.01850294365012,
        "no_answer_total": 5945,
    },
}


def bench() -> Any:
    spec = importlib.util.spec_from_file_location("bench_squad_coverage", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def questions(folder: Path, name: str) -> list[tuple[str, list[str], int]]:
    """(id, texts of the answers, article) of each question."""
    articles = json.loads((folder / "squad" / f"{name}.json").read_text(encoding="utf-8"))["data"]
    return [
        (question["id"], [answer["text"] for answer in question["answers"]], number)
        for number, article in enumerate(articles)
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def predictions(folder: Path, name: str) -> dict[str, str]:
    path = folder / "squad" / "predictions" / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(("data", "name"), PUBLISHED)
def test_published_predictions_have_the_official_figures(shared_data, data, name):
    """Every digit; a question without a prediction, of which one file has some, scores 0."""
    found, rows = predictions(shared_data, name), questions(shared_data, data)
    scores = answer_scores([found.get(key, "") for key, _, _ in rows], [texts for _, texts, _ in rows])
    assert squad_metrics(scores) == PUBLISHED[data, name]


@pytest.mark.parametrize(
    ("name", "exact", "f1"),
    [
        (
            "v2.0-bert-single",
            (61.18925292680873, 0.3048280554357916),
            (61.976256801026736, 0.3048280554357916),
        ),
        (
            "v2.0-nlnet-single",
            (60.58283500379011, 0.3048280554357916),
            (61.38955388698392, 0.30537674319930375),
        ),
    ],
)
def test_best_thresholds_are_the_official_script_s(shared_data, name, exact, f1):
    """What find_best_thresh of the script for 2.0 gives, where every question is answered by some text and
    no-answer scores are made of the questions' ids."""
    found, rows = predictions(shared_data, name), questions(shared_data, "dev-v2.0.rebuilt")
    scores = answer_scores([found[key] or "nothing" for key, _, _ in rows], [texts for _, texts, _ in rows])
    drawn = np.array([zlib.crc32(key.encode()) / 2**32 for key, _, _ in rows])
    no_answer = drawn + np.where(scores.has_answer, 0.0, 0.3)
    assert best_threshold(scores.exact, scores.has_answer, no_answer) == exact
    assert best_threshold(scores.f1, scores.has_answer, no_answer) == f1


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans(), st.integers(-3, 3)),
        min_size=1,
        max_size=9,
    )
)
@settings(deadline=None)
def test_no_threshold_is_better_than_the_best(rows):
    values, has_answer, no_answer = (np.array(part) for part in zip(*rows, strict=True))
    scores = AnswerScores(values, values, has_answer)
    found = best_threshold(values, has_answer, no_answer)
    tried = [squad_metrics(with_threshold(scores, no_answer, at))["f1"] for at in np.arange(-3.5, 4)]
    assert found.figure == pytest.approx(max(tried), abs=1e-9)
    assert squad_metrics(with_threshold(scores, no_answer, found.threshold))["f1"] == pytest.approx(
        found.figure
    )


def test_where_it_is_best_to_answer_nothing():
    found = best_threshold([0.0, 0.0, 1.0], [False, False, True], [-2.0, -1.0, -0.5])
    assert found.figure == pytest.approx(200 / 3)
    assert -2.001 < found.threshold < -2.0
    # a question without any span is never answered
    assert best_threshold([1.0, 0.0], [True, False], [0.5, np.inf]) == (100.0, 0.5)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The  Denver\tBroncos!", "denver broncos"),
        ("a an the another An", "another"),
        ("U.S.", "us"),
        ("$3.5-million", "35million"),
        ("“the” Broncos’", "“ ” broncos’"),  # only ASCII's punctuation goes
        ("theater, athe", "theater athe"),
        ("the", ""),
        ("\u00a0Genève\u3000", "genève"),
        # XQuAD's languages: only case, ASCII's punctuation and white space change
        ("«الرئيس»، أوباما.", "«الرئيس»، أوباما"),
        ("卡罗来纳黑豹队。", "卡罗来纳黑豹队。"),
        ("डेनवर  ब्रोंकोस।", "डेनवर ब्रोंकोस।"),
        ("เดนเวอร์ บรองโกส์", "เดนเวอร์ บรองโกส์"),
    ],
)
def test_normalised(answer, expected):
    assert normalised(answer) == expected


@pytest.mark.parametrize(
    ("found", "true", "exact", "f1"),
    [
        ("Denver Broncos", ["the Denver Broncos."], 1, 1),
        ("Broncos of Denver", ["Carolina", "Denver Broncos"], 0, 0.8),  # 2 * (2/3) * 1 / (5/3)
        ("to be to", ["to to be not"], 0, 6 / 7),  # multisets: 3 of 3 and 3 of 4
        ("", ["Denver"], 0, 0),
        ("", [], 1, 1),
        ("Denver", [], 0, 0),
        ("the", [], 1, 1),  # without a word it is no answer
        ("", ["The", "Denver"], 0, 0),  # nor is such an answer a true one, beside another
        ("a", ["The"], 1, 1),
        ("أوباما", ["الرئيس أوباما"], 0, 2 / 3),
        ("डेनवर", ["डेनवर ब्रोंकोस"], 0, 2 / 3),
        ("黑豹队", ["卡罗来纳黑豹队"], 0, 0),  # one word, as SQuAD has it
        ("黑豹队 Panthers", ["黑豹队"], 0, 2 / 3),
        ("บรองโกส์", ["เดนเวอร์บรองโกส์"], 0, 0),
    ],
)
def test_scores_of_one_question(found, true, exact, f1):
    scores = answer_scores([found], [true])
    assert (scores.exact[0], scores.f1[0]) == (exact, pytest.approx(f1))
    assert scores.has_answer[0] == (len(true) > 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: answer_scores(["a"], []), "1 answers found for 0 questions"),
        (lambda: squad_metrics(answer_scores([], [])), "no question to score"),
        (lambda: best_threshold([], [], []), "no question to fit"),
        (lambda: mean_interval([], []), "at least one value"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (13, 17), (501, 997)])
def test_exact_match_of_questions_drawn_alone_is_wilson_s_interval(hits, n):
    theirs = scipy.stats.binomtest(hits, n).proportion_ci(method="wilson")
    found = mean_interval(np.arange(n) < hits, np.arange(n))
    assert found == pytest.approx([theirs.low, theirs.high], abs=0.4 / n)


def test_articles_all_right_or_all_wrong_are_worth_one_question_each():
    right = np.arange(40) < 30
    whole = mean_interval(np.repeat(right, 30), np.repeat(np.arange(40), 30))
    assert whole == pytest.approx(mean_interval(right, np.arange(40)), abs=0.01)


@pytest.mark.parametrize(("sizes", "t"), [((500,) * 5, 2.776), ((2000, 500, 500, 500, 500), 3.182)])
def test_few_articles_have_student_s_interval(sizes, t):
    """Shares far from 0 and 1, which Wilson's interval does not bend. Sizes of 4 to 1 are worth (sum n)^2 /
    sum n^2 = 3.2 equal ones, so between the t of 1 and 3 degrees of freedom, 12.7 and 3.182."""
    shares = np.array([0.48, 0.53, 0.5, 0.52, 0.47])
    hits = np.concatenate([np.arange(n) < share * n for n, share in zip(sizes, shares, strict=True)])
    units = np.repeat(np.arange(5), sizes)
    mean, weights = hits.mean(), np.array(sizes) / sum(sizes)
    error = np.sqrt(5 / 4 * ((weights * (shares - mean)) ** 2).sum())
    low, high = mean_interval(hits, units)
    if len(set(sizes)) == 1:
        assert high - low == pytest.approx(2 * t * error, rel=0.02)
    else:
        assert 2 * t * error < high - low < 2 * 12.7 * error


def test_few_answers_that_are_nearly_all_right_are_not_trusted():
    """One of 30 shares nine words in ten: what is wrong elsewhere has not been seen yet."""
    values = np.array([*[1.0] * 29, 0.9])
    assert mean_interval(values, np.arange(30))[0] < 0.95


def test_large_sets_have_the_bootstrap_s_spread():
    """Articles drawn anew, 4,000 times: the plain bootstrap, whose normal interval holds for large sets."""
    population = bench().POPULATIONS["texts of very different sizes"][0]
    scores, articles = population.draw(800, np.random.default_rng(2))
    weights = np.random.default_rng(3).multinomial(800, np.full(800, 1 / 800), 4000)
    counts = weights @ np.bincount(articles)
    for name, part in (("exact", scores.exact), ("f1", scores.f1)):
        resampled = 100 * (weights @ np.bincount(articles, part)) / counts
        low, high = squad_intervals(scores, articles)[name]
        assert high - low == pytest.approx(2 * 1.96 * resampled.std(), rel=0.06), name


def test_every_figure_lies_in_its_interval():
    population = bench().POPULATIONS["SQuAD 2.0"][0]
    for seed in range(20):
        scores, articles = population.draw(4, np.random.default_rng(seed))
        figures, intervals = squad_metrics(scores), squad_intervals(scores, articles)
        assert figures.keys() - intervals.keys() == {"total", "has_answer_total", "no_answer_total"}
        for name, (low, high) in intervals.items():
            assert 0 <= low <= figures[name] <= high <= 100


@pytest.mark.parametrize(
    ("label", "n_articles"), [("SQuAD 2.0", 12), ("one question a text", 30), ("few questions a text", 100)]
)
def test_coverage(label, n_articles):
    """Of 400 sets: shares that are 0.935 in truth, the lowest of several, lie above 0.9 but once in 500."""
    module = bench()
    population = module.POPULATIONS[label][0]
    shares = module.coverage(population, module.truth(population), n_articles, 400)
    assert all(share >= 0.9 for share in shares.values()), shares


def test_articles_taken_for_questions_are_noticed(monkeypatch):
    """The coverage test can fail: questions about one article are not independent."""
    module = bench()
    monkeypatch.setattr(module, "squad_intervals", lambda scores, articles: squad_intervals(scores))
    population = module.POPULATIONS["SQuAD 1.1, a good model"][0]
    assert module.coverage(population, module.truth(population), 12, 120)["exact"] < 0.85
