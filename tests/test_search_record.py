"""Plain records of trials: which are the best."""

from whet.search_record import TrialRecord, bars, best, complete, shown


def record(number: int, score: float | None, state: str = "complete", **point: float) -> TrialRecord:
    return TrialRecord(number, state, point, score)


def test_the_best_are_complete_and_all_different():
    records = [
        record(0, 0.5), record(1, 0.9, a=1.0), record(2, 0.8, a=1.0), record(3, 0.99, "stopped", a=2.0),
        record(4, 0.7, a=3.0), record(5, 0.9, a=4.0), record(6, 0.6, a=5.0), record(7, None, "failed", a=6.0),
    ]  # fmt: skip
    assert [one.number for one in complete(records)] == [1, 5, 2, 4, 6, 0]
    assert [one.number for one in best(records, 3)] == [1, 5, 4]
    assert [one.number for one in best(records, 2)] == [1, 5]


def test_the_default_takes_a_place_but_is_not_named():
    records = [record(0, 0.95), record(1, 0.9, a=1.0), record(2, 0.8, a=2.0), record(3, 0.7, a=3.0)]
    assert [one.number for one in best(records, 3)] == [1, 2]


def test_points_in_words_and_bars():
    assert shown({"epochs": None, "cut": "head"}) == "epochs=none, cut=head"
    assert shown({}) == "-"
    assert [len(bar) for bar in bars([1.0, 0.5, 0.0], 10)] == [10, 5, 0]
    assert bars([0.0], 10) == [""]
