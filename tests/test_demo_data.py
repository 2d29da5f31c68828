"""The bundled demo data is what its README says it is."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

import whet

DATA = Path(whet.__file__).parent / "demo_data"
INTENTS = {
    "cancel_order",
    "change_address",
    "damaged_item",
    "late_delivery",
    "login_problem",
    "payment_issue",
    "product_question",
    "refund_request",
}
PER_INTENT = {"train": 60, "heldout": 20}


def load(split):
    with open(DATA / f"{split}.csv", encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        assert reader.fieldnames == ["message", "intent"]
        return [(row["message"], row["intent"]) for row in reader]


def words(message):
    return re.findall(r"\w+", message.lower())


def shingles(message, size=5):
    tokens = words(message)
    if len(tokens) <= size:
        return {tuple(tokens)}
    return {tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)}


@pytest.mark.parametrize("split", sorted(PER_INTENT))
def test_counts_per_intent(split):
    counts = Counter(intent for _, intent in load(split))
    assert counts == dict.fromkeys(INTENTS, PER_INTENT[split])


@pytest.mark.parametrize("split", sorted(PER_INTENT))
def test_rows_are_shuffled(split):
    intents = [intent for _, intent in load(split)]
    assert all(len(set(intents[i : i + 12])) > 1 for i in range(len(intents) - 11))


@pytest.mark.parametrize("split", sorted(PER_INTENT))
def test_message_lengths(split):
    for message, _ in load(split):
        assert message == message.strip()
        assert 4 <= len(message.split()) <= 60, message


def test_no_duplicates_within_or_across_files():
    folded = Counter(
        " ".join(message.split()).casefold() for split in PER_INTENT for message, _ in load(split)
    )
    assert [message for message, n in folded.items() if n > 1] == []


def test_no_near_duplicates_within_or_across_files():
    messages = [message for split in PER_INTENT for message, _ in load(split)]
    sets = [shingles(message) for message in messages]
    holders = {}
    close = set()
    for i, own in enumerate(sets):
        for j in {j for shingle in own for j in holders.get(shingle, ())}:
            if len(own & sets[j]) / len(own | sets[j]) > 0.5:
                close.add((messages[j], messages[i]))
        for shingle in own:
            holders.setdefault(shingle, []).append(i)
    assert close == set()


@pytest.mark.parametrize("split", sorted(PER_INTENT))
def test_quoting_is_real(split):
    messages = [message for message, _ in load(split)]
    assert any("," in message for message in messages)
    assert any('"' in message for message in messages)
    assert any("\n" in message for message in messages)
    raw = (DATA / f"{split}.csv").read_bytes()
    assert b"\r" not in raw
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert raw.endswith(b"\n")
    assert b'""' in raw


def test_bag_of_words_is_not_enough():
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train, train_intents = zip(*load("train"), strict=True)
    heldout, heldout_intents = zip(*load("heldout"), strict=True)
    scores = {}
    for c in (1, 10, 100):
        model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=c, max_iter=2000))
        scores[c] = model.fit(train, train_intents).score(heldout, heldout_intents)
    assert 0.4 < max(scores.values()) < 0.8, scores
