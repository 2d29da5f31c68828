"""Slices: against a plain loop with scipy's own test, their size under the null, and their power.

`test_without_holm_the_size_would_be_wrong` shows that the size test can fail.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.stats

from whet import slices as s
from whet.data.memory import table_of_lists
from whet.data.table import Table
from whet.errors import DataError


def _cuts(n: int, rng: np.random.Generator) -> list[s.Cut]:
    return [
        s.cut_by_length(rng.geometric(0.1, n) + 2),
        s.cut_by_label(rng.choice(5, n, p=[0.4, 0.3, 0.2, 0.07, 0.03]), tuple("abcde")),
        s.cut_by_column(_table(rng.choice(["web", "mail", "forum", ""], n).tolist()), "source", np.arange(n)),
    ]


def _table(values: list[object], name: str = "source") -> Table:
    return table_of_lists({name: values})


def test_every_figure_against_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    n = 211
    cuts, is_right = _cuts(n, rng), rng.random(n) < 0.8
    found = s.slice_rows(cuts, is_right)
    by_name = {(one.kind, one.name): one for one in found}
    plain = []
    for cut in cuts:
        for code, name in enumerate(cut.names):
            mine = cut.codes == code
            if not mine.any():
                continue
            one = by_name.pop((cut.kind, name))
            a, b = is_right[mine], is_right[~mine]
            assert (one.n_rows, one.accuracy) == (mine.sum(), pytest.approx(a.mean()))
            ends = scipy.stats.binomtest(int(a.sum()), len(a)).proportion_ci(method="wilson")
            assert one.interval == pytest.approx([ends.low, ends.high])
            assert one.difference == pytest.approx(a.mean() - b.mean())
            table = [[a.sum(), (~a).sum()], [b.sum(), (~b).sum()]]
            wanted = scipy.stats.fisher_exact(table, alternative="less")[1]
            assert one.p == (pytest.approx(wanted, abs=1e-12) if len(a) >= s.LEAST_ROWS else None)
            plain += [] if one.p is None else [(one.p, one)]
    assert not by_name
    assert [one.p for one in found if one.p is not None] == sorted(p for p, _ in plain)
    highest = 0.0
    for rank, (p, one) in enumerate(sorted(plain, key=lambda pair: pair[0])):  # Holm, step by step
        highest = max(highest, min(1.0, (len(plain) - rank) * p))
        assert one.p_holm == pytest.approx(highest)
        assert (one.warning is not None) == (highest < 0.05)


def _share_warned(share: float, n_sets: int, weak: float | None = None, corrected: bool = True) -> float:
    """Share of simulated tables with a warning; with `weak`, of one at the column's "forum"."""
    rng = np.random.default_rng(3)
    warned = 0
    for _ in range(n_sets):
        cuts = _cuts(400, rng)
        chances = np.full(400, share)
        if weak is not None:
            chances[cuts[2].codes == cuts[2].names.index("forum")] = weak
        found = s.slice_rows(cuts, rng.random(400) < chances)
        if weak is not None:
            warned += any(one.warning for one in found if one.name == "forum")
        elif corrected:
            warned += any(one.warning for one in found)
        else:
            warned += any(one.p is not None and one.p < 0.05 for one in found)
    return warned / n_sets


@pytest.mark.parametrize("share", [0.6, 0.9])
def test_a_model_that_is_equally_good_everywhere_is_seldom_warned_of(share: float) -> None:
    assert _share_warned(share, 600) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 600)


def test_without_holm_the_size_would_be_wrong() -> None:
    assert _share_warned(0.9, 200, corrected=False) > 0.2


def test_a_weak_slice_is_found() -> None:
    assert _share_warned(0.9, 200, weak=0.7) > 0.9  # some 100 rows of 400


def test_better_is_no_warning() -> None:
    codes = np.repeat([0, 1], [50, 300])
    is_right = np.concatenate([np.ones(50, bool), np.arange(300) % 2 == 0])
    found = s.slice_rows([s.cut_by_label(codes, ("good", "bad"))], is_right)
    assert [one.name for one in found if one.warning] == ["bad"]
    assert found[0].warning == (
        "label bad: worse than the other labels, accuracy 0.500 against 1.000, on 300 rows, p < 0.001 "
        "(Fisher's exact test, Holm over 2 slices)."
    )


def test_small_slices_do_not_hide_the_large() -> None:
    """Fifty slices of one row each would be fifty tests that can find nothing."""
    labels, is_right = np.repeat([0, 1], [94, 406]), np.ones(500, bool)
    is_right[:9] = is_right[-8:] = False
    cuts = [s.cut_by_label(labels, ("a", "b"))]
    alone = s.slice_rows(cuts, is_right)[0]
    ids = s.cut_by_column(_table([f"id{i}" for i in range(500)]), "source", np.arange(500))
    beside = s.slice_rows([*cuts, ids], is_right)
    assert alone.warning is not None
    assert beside[0].warning is not None
    assert beside[0].p == alone.p
    assert all(one.p is None for one in beside if one.n_rows < s.LEAST_ROWS)


def test_length_bins_are_the_quartiles_of_pandas() -> None:
    lengths = np.random.default_rng(1).integers(3, 40, 997)
    cut = s.cut_by_length(lengths)
    edges = np.quantile(lengths, [0.25, 0.5, 0.75], method="inverted_cdf")
    wanted = pd.cut(lengths, [-np.inf, *edges, np.inf], labels=False)
    assert (cut.codes == wanted).all()
    assert cut.names[0] == f"3 to {edges[0]} tokens"


def test_equal_lengths_share_a_bin() -> None:
    cut = s.cut_by_length(np.array([7] * 90 + [9] * 5 + [12] * 5))
    assert cut.names == ("7 tokens", "9 to 12 tokens")
    assert s.cut_by_length(np.array([1, 1])).names == ("1 token",)


@pytest.mark.parametrize(
    "written", [str, float, lambda value: f" {value}.0 "], ids=["text", "float", "padded"]
)
def test_many_numbers_are_cut_at_quartiles(written: object) -> None:
    assert callable(written)
    values = [None if i % 10 == 0 else written(1980 + i % 40) for i in range(400)]
    cut = s.cut_by_column(_table(values), "source", np.arange(400))
    assert cut.names[-1] == "(none)"
    assert (np.bincount(cut.codes) == [90, 90, 90, 90, 40]).all()
    assert cut.names[0] == "1981 to 1989"


def test_few_numbers_are_values() -> None:
    cut = s.cut_by_column(_table([i % 20 for i in range(100)]), "source", np.arange(100))
    assert set(cut.names) == {str(i) for i in range(20)}


def test_many_values_leave_the_rare_ones_to_one_slice() -> None:
    values = [f"v{i}" for i in range(60) for _ in range(60 - i)] + ["", None, "  "]
    cut = s.cut_by_column(_table(values), "source", np.arange(len(values)))
    assert cut.names == (*(f"v{i}" for i in range(50)), "others (10 values)", "(none)")
    sizes = np.bincount(cut.codes)
    assert (sizes[:50] == np.arange(60, 10, -1)).all()
    assert list(sizes[50:]) == [sum(range(1, 11)), 3]
    assert cut.note is not None
    assert "60 different values" in cut.note


def test_only_the_rows_asked_for() -> None:
    cut = s.cut_by_column(_table(["a", "b", "c", "a"]), "source", np.array([3, 1]))
    assert [cut.names[code] for code in cut.codes] == ["a", "b"]


def test_true_and_false_and_dictionaries_are_values() -> None:
    flags = pa.array([True, False, None]).dictionary_encode()
    cut = s.cut_by_column(Table("t", pa.table({"flag": flags})), "flag", np.arange(3))
    assert [cut.names[code] for code in cut.codes] == ["true", "false", "(none)"]


def test_a_column_that_is_not_there_or_holds_lists() -> None:
    with pytest.raises(DataError, match=r"no column 'sorce'\. Did you mean 'source'"):
        s.cut_by_column(_table(["a"]), "sorce", np.arange(1))
    with pytest.raises(DataError, match="holds lists"):
        s.cut_by_column(_table([["a"], ["b"]]), "source", np.arange(2))


def test_one_row_and_one_value_have_no_rest() -> None:
    (one,) = s.slice_rows([s.cut_by_length(np.array([5]))], np.array([False]))
    assert (one.rest_accuracy, one.difference, one.p, one.p_holm, one.warning) == (None,) * 5
    cut = s.cut_by_column(_table(["x"] * 9), "source", np.arange(9))
    assert s.slice_rows([cut], np.ones(9, bool))[0].difference is None


def test_a_million_rows() -> None:
    rng = np.random.default_rng(0)
    n = 1_000_000
    cut = s.cut_by_column(_table(rng.integers(0, 100_000, n).tolist()), "source", np.arange(n))
    found = s.slice_rows(
        [cut, s.cut_by_label(rng.integers(0, 77, n), tuple(map(str, range(77))))], rng.random(n) < 0.9
    )
    assert len(found) == 81
    assert not any(one.warning for one in found)
