"""Tag schemes and entities against seqeval, whose two modes are the two ways to read broken sequences."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.entities import (
    SCHEMES,
    Spans,
    Tags,
    converted,
    find_scheme,
    repaired,
    spans_of,
    split_tag,
    tag_names,
)
from whet.errors import DataError

seqeval = pytest.importorskip("seqeval.metrics.sequence_labeling", reason="seqeval (extra dev) is not here")
from seqeval.scheme import IOB2, IOBES, Entities  # noqa: E402


def strict_spans(tags: Tags) -> Spans:
    """The entities of IOB2 tags that nobody repaired, without those that begin with an I.

    It is how seqeval reads with mode="strict" and scheme=IOB2."""
    found = spans_of(tags)
    opens = np.array([name[:1] == "B" for name in tags.names], np.bool_)
    return found.chosen(opens[tags.ids[tags.boundaries[found.sentences] + found.firsts]])


DATA = Path(__file__).parents[2] / "shared" / "data" / "conll2003"
TYPES = ("A", "B-C")
THEIRS = {"IOB2": IOB2, "IOBES": IOBES}


def sentences(letters: str):
    tags = ["O", *(f"{letter}-{kind}" for letter in letters for kind in TYPES)]
    return st.lists(st.lists(st.sampled_from(tags), max_size=9), max_size=5)


@st.composite
def entities(draw):
    """Sentences as lists of (type or None, length)."""
    piece = st.tuples(st.sampled_from([None, *TYPES]), st.integers(1, 4))
    return draw(st.lists(st.lists(piece, max_size=5), min_size=1, max_size=4))


def written(pieces, scheme: str) -> list[list[str]]:
    """Entities in a scheme, written down by its definition, word by word."""
    first, inner, last, only = SCHEMES[scheme]
    found = []
    for sentence in pieces:
        tags, before = [], None
        for kind, length in sentence:
            if kind is None:
                tags += ["O"] * length
            else:
                letters = only if length == 1 else first + inner * (length - 2) + last
                if scheme == "IOB1" and before == kind:
                    letters = "B" + letters[1:]
                tags += [f"{letter}-{kind}" for letter in letters]
            before = kind
        found.append(tags)
    return found


def as_tuples(spans) -> list[tuple[int, str, int, int]]:
    kinds = [spans.types[i] for i in spans.type_ids]
    return list(
        zip(spans.sentences.tolist(), kinds, spans.firsts.tolist(), spans.stops.tolist(), strict=True)
    )


def their_entities(tags: list[list[str]], scheme: str) -> list[tuple[int, str, int, int]]:
    by_sentence = Entities(tags, THEIRS[scheme]).entities
    return [(i, e.tag, e.start, e.end) for i, found in enumerate(by_sentence) for e in found]


@given(sentences("BI") | sentences("BIES"))
@settings(deadline=None)
def test_any_sequence_is_read_as_seqeval_reads_it_by_default(tags):
    theirs = [
        (i, kind, first, last + 1)
        for i, sentence in enumerate(tags)
        for kind, first, last in seqeval.get_entities(sentence)
    ]
    assert as_tuples(spans_of(Tags.of(tags))) == theirs


@given(sentences("BI"))
@settings(deadline=None)
def test_strict_spans_are_seqeval_s_strict_mode(tags):
    assert as_tuples(strict_spans(Tags.of(tags))) == their_entities(tags, "IOB2")


@pytest.mark.parametrize("scheme", THEIRS)
@given(tags=sentences("BIES"))
@settings(deadline=None)
def test_repaired_sequences_mean_the_same_to_seqeval_s_strict_mode(scheme, tags):
    mended, _ = repaired(Tags.of(tags), scheme)
    assert their_entities(mended.sentences(), scheme) == as_tuples(spans_of(Tags.of(tags)))


@pytest.mark.parametrize("scheme", SCHEMES)
@given(pieces=entities())
def test_sound_sequences_are_left_alone_and_convert_to_every_scheme(scheme, pieces):
    tags = Tags.of(written(pieces, scheme))
    mended, changed = repaired(tags, scheme)
    assert mended.sentences() == tags.sentences()
    assert not changed.any()
    for other in SCHEMES:
        there = converted(tags, other)
        assert there.sentences() == written(pieces, other)
        assert set(there.names) == set(tag_names(spans_of(tags).types, other))
        assert converted(there, scheme).sentences() == tags.sentences()


@given(sentences("BIESLU"), st.sampled_from(list(SCHEMES)))
def test_repairing_is_done_once(tags, scheme):
    before = Tags.of(tags)
    once, changed = repaired(before, scheme)
    differing = [
        a != b for old, new in zip(tags, once.sentences(), strict=True) for a, b in zip(old, new, strict=True)
    ]
    assert changed.tolist() == differing
    assert not repaired(once, scheme)[1].any()


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("O I-A I-A", "O B-A I-A"),  # I behind O begins
        ("B-A I-B-C", "B-A B-B-C"),  # so does I of another type
        ("I-A B-A", "B-A B-A"),
        ("B-A E-A I-A", "B-A I-A B-A"),  # nothing goes on behind E
    ],
)
def test_the_rule_on_examples(broken, mended):
    found, changed = repaired(Tags.of([broken.split()]), "IOB2")
    assert found.sentences() == [mended.split()]
    assert changed.sum() == sum(a != b for a, b in zip(broken.split(), mended.split(), strict=True))


def test_b_without_e_in_iobes():
    found, changed = repaired(Tags.of([["B-A", "O", "B-A", "I-A"]]), "IOBES")
    assert found.sentences() == [["S-A", "O", "B-A", "E-A"]]
    assert changed.tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("O O", "IOB2"),
        ("B-A I-A O B-A", "IOB2"),
        ("I-A I-A O I-A", "IOB1"),
        ("I-A B-A O", "IOB1"),
        ("B-A E-A O S-A", "IOBES"),
        ("B-A L-A O U-A", "BILOU"),
        ("B-A I-A O B-A I-A I-A O I-A", "IOB2"),  # one fault does not make another scheme
        ("B I O B", "IOB2"),
    ],
)
def test_the_scheme_is_found(tags, scheme):
    assert find_scheme(Tags.of([tags.split()])) == scheme


def test_a_single_kind_needs_no_name():
    tags = Tags.of([["B", "I", "O", "I"]])
    assert as_tuples(spans_of(tags)) == [(0, "", 0, 2), (0, "", 3, 4)]
    assert converted(tags, "IOBES").sentences() == [["B", "E", "O", "S"]]


@pytest.mark.parametrize("tag", ["", "PER", "b-PER", "B-", "B_PER", "O-PER", "BPER", "-PER", "BI"])
def test_what_is_no_tag(tag):
    assert split_tag(tag) is None
    with pytest.raises(DataError, match="is no tag of any scheme"):
        spans_of(Tags.of([["O", tag]]))


@given(sentences("BI"), st.integers(0, 3))
def test_a_column_of_lists_is_the_same_as_lists(tags, skipped):
    column = pa.chunked_array(
        [pa.array(tags, pa.list_(pa.string())).slice(skipped), pa.array(tags, pa.list_(pa.string()))],
        pa.list_(pa.string()),
    )
    found = Tags.of_column(column)
    assert found.sentences() == tags[skipped:] + tags
    assert as_tuples(spans_of(found)) == as_tuples(spans_of(Tags.of(tags[skipped:] + tags)))


def test_no_sentences_and_empty_ones():
    assert as_tuples(spans_of(Tags.of([]))) == []
    assert converted(Tags.of([[], ["B-A"], []]), "IOBES").sentences() == [[], ["S-A"], []]


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data, the published data sets, is not here")
@pytest.mark.parametrize(("name", "n_entities"), [("eng.train", 23_499), ("eng.testa", 5_942)])
def test_conll_2003(name, n_entities):
    blocks = (DATA / name).read_text().split("\n\n")
    tags = [[line.split()[-1] for line in block.splitlines() if "DOCSTART" not in line] for block in blocks]
    found = Tags.of(tags)
    assert find_scheme(found) == "IOB1"
    assert not repaired(found, "IOB1")[1].any()
    spans = spans_of(found)
    assert (len(spans.firsts), spans.types) == (n_entities, ("LOC", "MISC", "ORG", "PER"))
    there = converted(found, "IOB2")
    assert find_scheme(there) == "IOB2"
    assert their_entities(there.sentences(), "IOB2") == as_tuples(spans)
    assert np.array_equal(converted(there, "IOB1").ids[:99], converted(found, "IOB1").ids[:99])
