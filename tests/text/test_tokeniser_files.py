"""Files of tokenisers: what whet writes transformers reads the same way, and older files are converted."""

import json
from pathlib import Path

import pytest

import whet
from tests.text import tokenisers
from tests.text.tokenisers import KINDS, MODEL_TYPES, theirs
from whet.errors import CheckpointError
from whet.text.tokens import Tokeniser

TEXTS = [
    "Zoë's  café 東京. <ent>",
    " x\ty  \u00a0z ﬁn ``q'' 👍🏽",
    "newword the [MASK]<mask> fox",
    "שָׁלוֹם مدينة",
]
WORDS = ["EU", "rejects", "<ent>", "Zoë", "東京", "newword"]


def described(folder: Path, kind: str) -> Path:
    """With the config.json by which transformers finds the class."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": MODEL_TYPES.get(kind, kind)}))
    return folder


def opened(folder: Path):
    import transformers

    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_reads_what_is_saved_the_same_way(kind, tmp_path) -> None:
    original = KINDS[kind]()
    original.add_special_tokens({"additional_special_tokens": ["<ent>"]})
    original.add_tokens(["newword"])
    source, saved, for_words = (described(tmp_path / name, kind) for name in ("source", "saved", "words"))
    original.save_pretrained(source)
    (source / "spm.model").write_bytes(b"not to be read where there is a tokenizer.json")
    ours = Tokeniser.load(source)
    ours.save(saved)
    ours.save(for_words, for_words=True)
    assert len(opened(saved)) == len(original) == ours.vocab_size
    for pair in zip(TEXTS, reversed(TEXTS), strict=True):
        expected = original(*pair)["input_ids"]
        assert opened(saved)(*pair)["input_ids"] == expected
        for folder in (source, saved):
            assert Tokeniser.load(folder).encode([pair], 500).ids.tolist() == expected
    found = opened(for_words)(WORDS, is_split_into_words=True, add_special_tokens=False)
    for tokeniser in (ours, Tokeniser.load(for_words)):
        assert tokeniser.words([WORDS]) == ([found["input_ids"]], [found.word_ids()])
    if kind in tokenisers.BYTE_LEVEL:  # and a text's first word is as the others, too
        plain = [word for word in WORDS if word not in ("<ent>", "newword")]
        text = opened(for_words)(" ".join(plain), add_special_tokens=False)
        assert tokeniser.words([plain])[0] == [text["input_ids"]]


@pytest.mark.parametrize("kind", ["bert-uncased", "bert-cased", "roberta", "roberta-prefix"])
def test_older_files_are_converted(kind, tmp_path) -> None:
    folder = described(tmp_path / "old", kind)
    if kind.startswith("bert"):
        vocab = theirs(kind).get_vocab()
        (folder / "vocab.txt").write_text("\n".join(sorted(vocab, key=vocab.__getitem__)) + "\n")
        settings = {"do_lower_case": kind == "bert-uncased"}
    else:
        vocab, merges = tokenisers.byte_pairs(tuple(tokenisers.ANGLE_SPECIALS))
        (folder / "vocab.json").write_text(json.dumps(dict(vocab)))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(map(" ".join, merges)) + "\n")
        settings = {"add_prefix_space": kind == "roberta-prefix"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    found = Tokeniser.load(folder)
    for text in TEXTS:
        assert found.encode([(text,)], 500).ids.tolist() == theirs(kind)(text)["input_ids"]
    saved = described(tmp_path / "saved", kind)
    found.save(saved)
    kept = {path.name for path in folder.iterdir()} | {"tokenizer.json"}
    assert {path.name for path in saved.iterdir()} == kept
    assert opened(saved)(TEXTS)["input_ids"] == theirs(kind)(TEXTS)["input_ids"]


@pytest.mark.parametrize("name", ["spm.model", "spiece.model", "sentencepiece.bpe.model"])
def test_a_sentencepiece_model_says_what_it_takes(name, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    (described(tmp_path, "albert") / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=rf"its {name} .* pip install sentencepiece protobuf"):
        Tokeniser.load(tmp_path)


def test_files_that_are_not_enough_are_told(tmp_path) -> None:
    described(tmp_path, "roberta")
    (tmp_path / "tokenizer_config.json").write_text("{}")
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"no tokeniser: tokenizer.json is missing.*merges.txt"):
        Tokeniser.load(tmp_path)


def test_a_tokeniser_written_in_python_is_refused_by_name(tmp_path) -> None:
    folder = described(tmp_path, "bert-uncased")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    settings = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "basic"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="BertJapaneseTokenizer, is written in Python"):
        Tokeniser.load(folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["TokenClassification", "QuestionAnswering"])
def test_predictions_are_parts_of_the_text_without_blanks_at_the_ends(kind, task, tmp_path) -> None:
    """A small encoder with random weights behind each tokeniser, saved by whet and opened again."""
    import torch
    import transformers

    torch.manual_seed(3)
    tokeniser = theirs(kind)
    tags = ["O", "B-PER", "I-PER", "B-LOC"]
    config = transformers.BertConfig(
        vocab_size=len(tokeniser), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=11, max_position_embeddings=48, type_vocab_size=1, initializer_range=1.0,
        id2label=dict(enumerate(tags if task == "TokenClassification" else ["LABEL_0", "LABEL_1"])),
    )  # fmt: skip
    getattr(transformers, f"BertFor{task}")(config).save_pretrained(tmp_path / "theirs")
    tokeniser.save_pretrained(tmp_path / "theirs")
    model = whet.load(tmp_path / "theirs")
    model.save(tmp_path / "ours")
    texts = ["  Zoë O'Neil's\u00a0café", *(line for line in tokenisers.lines() if line.strip())][:12]
    inputs = texts if task == "TokenClassification" else [("who ?", text) for text in texts]
    found = model.predict(inputs)
    assert whet.load(tmp_path / "ours").predict(inputs) == found
    n_found = 0
    for text, one in zip(texts, found, strict=True):
        parts = one.entities if task == "TokenClassification" else one.answers
        n_found += len(parts)
        for part in parts:
            assert part.text == text[part.start : part.end] == part.text.strip() != ""
        if task == "TokenClassification":
            assert all(word in text for word in one.words)
            assert len(one.tags) == len(one.words)
    assert n_found
