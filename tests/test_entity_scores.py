"""Entity figures against seqeval, and their intervals against closed formulas, a bootstrap and simulation."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_entities import strict_spans
from whet.entities import Tags, repaired, spans_of
from whet.entity_scores import EntityCounts, count_entities, entity_intervals, entity_metrics, share_interval

seqeval = pytest.importorskip("seqeval.metrics.v1", reason="seqeval (extra dev) is not here")
from seqeval.scheme import IOB2  # noqa: E402

BENCH = Path(__file__).resolve().parents[1] / "bench" / "entity_coverage.py"
DATA = Path(__file__).parents[2] / "shared" / "data" / "conll2003"
TAGS = ["O", *(f"{letter}-{kind}" for letter in "BI" for kind in ("LOC", "ORG", "PER"))]
NAMES = ("precision", "recall", "f1")


def bench() -> Any:
    spec = importlib.util.spec_from_file_location("bench_entity_coverage", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@st.composite
def taggings(draw):
    """True and found tags of the same sentences."""
    tag = st.sampled_from(TAGS)
    pairs = draw(st.lists(st.lists(st.tuples(tag, tag), min_size=1, max_size=8), min_size=1, max_size=6))
    return [[a for a, _ in pair] for pair in pairs], [[b for _, b in pair] for pair in pairs]


def check_equal_to_seqeval(figures: dict[str, Any], true: list[list[str]], found: list[list[str]]) -> None:
    def theirs(average: str | None) -> Any:
        return seqeval.precision_recall_fscore_support(
            true, found, average=average, scheme=IOB2, zero_division=0
        )

    for average, prefix in (("micro", ""), ("macro", "macro_")):
        ours = [figures[f"{prefix}{name}"] for name in NAMES]
        assert ours == pytest.approx(theirs(average)[:3], abs=1e-12)
    for row, *values in zip(figures["per_type"], *theirs(None), strict=True):
        assert [row["precision"], row["recall"], row["f1"], row["support"]] == pytest.approx(
            values, abs=1e-12
        )


@pytest.mark.filterwarnings("ignore")
@given(taggings())
@settings(deadline=None)
def test_figures_are_seqeval_s_in_strict_mode(pair):
    true, found = pair
    counts = count_entities(strict_spans(Tags.of(true)), strict_spans(Tags.of(found)))
    if counts.types:
        check_equal_to_seqeval(entity_metrics(counts), true, found)


@pytest.mark.filterwarnings("ignore")
@given(taggings())
@settings(deadline=None)
def test_figures_of_repaired_tags_are_seqeval_s_of_those(pair):
    mended = [repaired(Tags.of(tags), "IOB2")[0].sentences() for tags in pair]
    counts = count_entities(*(spans_of(Tags.of(tags)) for tags in pair))
    if counts.types:
        check_equal_to_seqeval(entity_metrics(counts), *mended)


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data, the published data sets, is not here")
def test_conll_2003_with_errors_planted():
    blocks = (DATA / "eng.testa").read_text().split("\n\n")
    tags = [[line.split()[-1] for line in block.splitlines() if "DOCSTART" not in line] for block in blocks]
    true = repaired(Tags.of([sentence for sentence in tags if sentence]), "IOB2")[0]
    rng = np.random.default_rng(0)
    ids = np.where(
        rng.random(len(true.ids)) < 0.05, rng.integers(len(true.names), size=len(true.ids)), true.ids
    )
    found = Tags(true.names, ids, true.boundaries)
    figures = entity_metrics(count_entities(spans_of(true), strict_spans(found)))
    assert 0.5 < figures["f1"] < 0.95
    check_equal_to_seqeval(figures, true.sentences(), found.sentences())


def test_units_are_documents():
    true, found = (
        Tags.of([["B-A", "O"], ["B-A", "B-C"], ["O"]]),
        Tags.of([["B-A", "B-A"], ["B-A", "I-A"], ["O"]]),
    )
    counts = count_entities(spans_of(true), spans_of(found), [4, 4, 9])
    assert counts.types == ("A", "C")
    assert counts.hits.tolist() == [[1, 0], [0, 0]]
    assert counts.true.tolist() == [[2, 1], [0, 0]]
    assert counts.found.tolist() == [[3, 0], [0, 0]]


def test_no_entities():
    empty = spans_of(Tags.of([["O"], []]))
    counts = count_entities(empty, empty)
    assert entity_metrics(counts) == {
        **dict.fromkeys([f"{prefix}{name}" for prefix in ("", "macro_") for name in NAMES], 0.0),
        "per_type": [],
    }
    assert entity_intervals(counts)["f1"] is None
    assert entity_intervals(counts)["macro_f1"] is None


def test_different_sentences_are_refused():
    with pytest.raises(ValueError, match="1 sentences with true tags but 2"):
        count_entities(spans_of(Tags.of([["O"]])), spans_of(Tags.of([["O"], ["O"]])))


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (13, 17), (501, 997)])
def test_one_entity_a_unit_is_wilson_s_interval(hits, n):
    theirs = scipy.stats.binomtest(hits, n).proportion_ci(method="wilson")
    of = np.ones(n + 5, np.int64)
    of[n:] = 0  # units without entities say nothing
    found = share_interval(np.arange(n + 5) < hits, of)
    # The effect n / (n - 1) of the usual variance is above 1.
    assert found == pytest.approx([theirs.low, theirs.high], abs=0.6 / n)
    assert found[0] <= theirs.low + 1e-12
    assert found[1] >= theirs.high - 1e-12


def test_units_all_right_or_all_wrong_are_worth_one_entity_each():
    right = np.arange(40) < 30
    whole = share_interval(30 * right, np.full(40, 30))
    alone = share_interval(right, np.ones(40, np.int64))
    assert alone is not None
    assert whole == pytest.approx(alone, abs=0.01)


def test_large_sets_have_the_bootstrap_s_spread():
    """Units drawn anew, 4,000 times: the plain bootstrap, whose normal interval holds for large sets."""
    counts = (
        bench()
        .POPULATIONS["four types, documents of 15, difficulty 1"][0]
        .draw(800, np.random.default_rng(2))
    )
    weights = np.random.default_rng(3).multinomial(800, np.full(800, 1 / 800), 4000)
    hits, true, found = (weights @ part for part in (counts.hits, counts.true, counts.found))
    resampled = {
        "precision": hits.sum(axis=1) / found.sum(axis=1),
        "recall": hits.sum(axis=1) / true.sum(axis=1),
        "f1": 2 * hits.sum(axis=1) / (true + found).sum(axis=1),
        "macro_precision": (hits / found).mean(axis=1),
        "macro_recall": (hits / true).mean(axis=1),
        "macro_f1": (2 * hits / (true + found)).mean(axis=1),
    }
    intervals = entity_intervals(counts)
    for name, values in resampled.items():
        low, high = intervals[name]
        assert high - low == pytest.approx(2 * 1.96 * values.std(), rel=0.1), name


def test_every_figure_lies_in_its_interval():
    population = bench().POPULATIONS["ten types"][0]
    for seed in range(30):
        counts = population.draw(20, np.random.default_rng(seed))
        figures, intervals = entity_metrics(counts), entity_intervals(counts)
        rows = [(figures, intervals), *zip(figures["per_type"], intervals["per_type"], strict=True)]
        for values, ends in rows:
            for name in ends.keys() - {"per_type", "type"}:
                if ends[name] is not None:
                    assert 0 <= ends[name][0] <= values[name] <= ends[name][1] <= 1


@pytest.mark.parametrize("documents", [False, True])
def test_coverage(documents):
    """Of 400 sets: shares that are 0.935 in truth, the lowest of many more, lie above 0.9 but once in 500."""
    module = bench()
    label = "four types, documents of 15, difficulty 0.5" if documents else "four types, sentences, F1 0.90"
    population = module.POPULATIONS[label][0]
    shares = module.coverage(population, module.truth(population), 50 if documents else 300, 400)
    assert all(share >= 0.9 for share in shares.values()), shares


def test_documents_taken_for_sentences_are_noticed(monkeypatch):
    """The coverage test can fail: entities of one document are not independent."""
    module = bench()

    def naive(counts: EntityCounts) -> dict[str, Any]:
        hits, true = counts.hits.sum(), counts.true.sum()
        one = share_interval(np.arange(true) < hits, np.ones(true, np.int64))
        return {**dict.fromkeys(module.FIGURES), "recall": one, "per_type": [{"f1": None}]}

    monkeypatch.setattr(module, "entity_intervals", naive)
    population = module.POPULATIONS["four types, documents of 15, difficulty 1"][0]
    assert module.coverage(population, module.truth(population), 50, 120)["recall"] < 0.88
