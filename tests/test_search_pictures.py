"""The pictures of a search: one page that stands alone."""

import re
from xml.etree import ElementTree

from whet.search_pictures import history, importance, page, parallel, rungs
from whet.search_record import TrialRecord

RECORDS = [
    TrialRecord(0, "complete", {"rate": 5e-5, "recipe": "default"}, 0.5, 0.1, {25: 0.3, 50: 0.4}),
    TrialRecord(1, "complete", {"rate": 1e-5, "recipe": "<b>"}, 0.7, 0.1, {25: 0.35, 50: 0.6}),
    TrialRecord(2, "stopped", {"rate": 1e-3, "recipe": "lora"}, None, None, {25: 0.1}),
    TrialRecord(3, "failed", {"rate": 1e-2, "recipe": "lora"}, reason="x"),
]


def shapes(svg: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(tag))


def test_each_picture_has_what_the_trials_are():
    assert len(shapes(history(RECORDS, 1), "circle")) == 3
    assert len(shapes(rungs(RECORDS, 1), "circle")) == 3 + 3 + 1
    assert len(shapes(parallel(RECORDS, 1), "polyline")) == 2
    bars = shapes(importance({"rate": 0.75, "recipe": 0.25}), "rect")
    assert float(bars[0].attrib["width"]) == 3 * float(bars[1].attrib["width"])


def test_a_better_trial_stands_higher():
    dots = {one.find("title").text.split(",")[0]: float(one.attrib["cy"])  # type: ignore[union-attr]
            for one in shapes(history(RECORDS, 1), "circle")}  # fmt: skip
    assert dots["trial 1"] < dots["trial 0"] < dots["trial 2"]


def test_the_page_stands_alone():
    found = page("A <title>", ["50% & more"], RECORDS, {"rate": 1.0}, 1, "mcc")
    assert len(found) < 2_000_000
    assert not re.search(r"https?:|src=|@import|url\(|<script|<link", found)
    assert "A &lt;title&gt;" in found
    assert "<b>" not in found
    for words in ("History", "Rungs", "Parallel coordinates", "Importance"):
        assert f"<h2>{words}</h2>" in found


def test_a_search_without_results_has_a_page_too():
    assert page("t", [], [TrialRecord(0, "failed", {})], {}, 0, "mcc").count("<em>") == 4
    one = [TrialRecord(0, "complete", {"rate": 1.0}, 0.5)]
    assert "<svg" in page("t", [], one, {}, 0, "mcc")
