"""A small tokeniser of each kind, trained here in seconds and wired by transformers' own classes.

So the wiring of a family (what it does to blanks, accents, pairs, words) is transformers', and only the
vocabulary is ours. ModernBERT has no class there: it is wired as its published tokenizer.json is; so is what
transformers 4 made of a SentencePiece model, which many published folders hold.
"""

import json
import struct
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SAMPLE: Final = """
The quick brown fox doesn't jump over 12 lazy dogs, and the Ministry of Finance (Berlin) said so: "Yes!"
Zoë O'Neil's naïve café — opened in 1998; it's 3.5 km from the sea. Müller-Lüdenscheidt, São Paulo, Łódź.
وُلِدَ العالِم في مدينة القاهرة عام ١٩٤٦، ثم انتقل إلى باريس. هو يعمل في جامعة القاهرة.
הוא נולד בירושלים בשנת 1946, ואחר כך עבר לפריז. שָׁלוֹם עולם.
他于一九四六年出生在北京\uff0c后来搬到巴黎。Ph.D. 在MIT获得。東京は日本の首都です。カタカナ
उनका जन्म १९४६ में दिल्ली में हुआ था, फिर वे पेरिस चले गए। हिन्दी किताब
เขาเกิดที่กรุงเทพฯ ในปี พ.ศ. ๒๔๘๙ แล้วย้ายไปปารีส ภาษาไทย
Он родился в Москве в 1946 году и переехал в Париж. Ελληνικά και Αθήνα.
🎉 👩‍👩‍👧 👍🏽 ❤️ 🇩🇪 ok 🙂 fine
"""
WORD_SPECIALS: Final = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ANGLE_SPECIALS: Final = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@cache
def word_pieces(lowercase: bool, chinese: bool = False) -> Mapping[str, int]:
    """BERT's vocabulary; of Chinese every character alone."""
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    size = 200 if chinese else 700
    trained.train_from_iterator(
        lines(), trainers.WordPieceTrainer(vocab_size=size, special_tokens=WORD_SPECIALS, show_progress=False)
    )
    return dict(trained.get_vocab())


@cache
def byte_pairs(specials: tuple[str, ...]) -> tuple[Mapping[str, int], list[tuple[str, str]]]:
    """A byte-level vocabulary and its merges: some characters are one token, most are several."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(
        lines(),
        trainers.BpeTrainer(
            vocab_size=600, special_tokens=list(specials), initial_alphabet=alphabet, show_progress=False
        ),
    )
    model = json.loads(trained.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


@cache
def pieces(specials: tuple[str, ...], unknown: str) -> list[tuple[str, float]]:
    """A SentencePiece-like vocabulary with scores. Hebrew and Thai are left out, so they are unknown."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    known = [
        line
        for line in lines()
        if not any("\u0590" <= c <= "\u05ff" or "\u0e00" <= c <= "\u0e7f" for c in line)
    ]
    trained.train_from_iterator(
        known,
        trainers.UnigramTrainer(
            vocab_size=500, special_tokens=list(specials), unk_token=unknown, show_progress=False
        ),
    )
    return [(piece, score) for piece, score in json.loads(trained.to_str())["model"]["vocab"]]


def lines() -> Iterator[str]:
    return iter(SAMPLE.strip().splitlines() * 3)


def bert(kind: str, lowercase: bool, chinese: bool = False) -> Any:
    return getattr(transformers, kind)(vocab=dict(word_pieces(lowercase, chinese)), do_lower_case=lowercase)


def mpnet() -> Any:
    vocab = {
        {"[PAD]": "<pad>", "[CLS]": "<s>", "[SEP]": "</s>", "[MASK]": "<mask>"}.get(word, word): i
        for word, i in word_pieces(True).items()
    }
    return transformers.MPNetTokenizer(vocab=vocab)


def roberta(add_prefix_space: bool, trim_offsets: bool = True) -> Any:
    vocab, merges = byte_pairs(tuple(ANGLE_SPECIALS))
    return transformers.RobertaTokenizer(
        vocab=dict(vocab), merges=list(merges), add_prefix_space=add_prefix_space, trim_offsets=trim_offsets
    )


def modernbert(add_prefix_space: bool = False) -> Any:
    vocab, merges = byte_pairs(tuple(WORD_SPECIALS))
    backend = Tokenizer(models.BPE(vocab=dict(vocab), merges=list(merges), fuse_unk=False))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:0 [SEP]:0",
        special_tokens=[(token, vocab[token]) for token in ("[CLS]", "[SEP]")],
    )
    return _plain(backend, model_input_names=["input_ids", "attention_mask"])


def xlm_roberta() -> Any:
    vocab = pieces(tuple(ANGLE_SPECIALS), "<unk>")
    return transformers.XLMRobertaTokenizer(vocab=vocab, _spm_precompiled_charsmap=charsmap())


def camembert() -> Any:
    specials = ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>", "<mask>")
    return transformers.CamembertTokenizer(
        vocab=pieces(specials, "<unk>"), _spm_precompiled_charsmap=charsmap()
    )


def albert() -> Any:
    vocab = pieces(("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"), "<unk>")
    return transformers.AlbertTokenizer(vocab=vocab, _spm_precompiled_charsmap=charsmap())


def deberta(**more: Any) -> Any:
    vocab = pieces(("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"), "[UNK]")
    return transformers.DebertaV2Tokenizer(vocab=vocab, unk_id=3, **more)


def converted_deberta() -> Any:
    """As transformers 4 wrote DeBERTa's: NFKC by table, and blanks are part of the tokens' characters."""
    vocab = pieces(("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"), "[UNK]")
    backend = Tokenizer(models.Unigram(vocab, unk_id=3))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Strip(), normalizers.Precompiled(charsmap()), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(prepend_scheme="always")])
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return _plain(backend)


def _plain(backend: Tokenizer, **more: Any) -> Any:
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        **more,
    )


KINDS: Final[Mapping[str, Callable[[], Any]]] = {
    "bert-uncased": lambda: bert("BertTokenizer", True),
    "bert-cased": lambda: bert("BertTokenizer", False),
    "bert-chinese": lambda: bert("BertTokenizer", False, chinese=True),
    "distilbert": lambda: bert("DistilBertTokenizer", True),
    "electra": lambda: bert("ElectraTokenizer", True),
    "mpnet": mpnet,
    "roberta": lambda: roberta(False),
    "roberta-prefix": lambda: roberta(True),
    "roberta-untrimmed": lambda: roberta(False, trim_offsets=False),
    "modernbert": modernbert,
    "xlm-roberta": xlm_roberta,
    "camembert": camembert,
    "albert": albert,
    "deberta-v2": lambda: deberta(split_by_punct=True),
    "deberta-v3": deberta,
    "deberta-v3-converted": converted_deberta,
}


MODEL_TYPES: Final = {  # of config.json, where it is not the kind's own name
    "bert-uncased": "bert",
    "bert-cased": "bert",
    "bert-chinese": "bert",
    "roberta-prefix": "roberta",
    "roberta-untrimmed": "roberta",
    "deberta-v3": "deberta-v2",
    "deberta-v3-converted": "deberta-v2",
}
BYTE_LEVEL: Final = ("roberta", "roberta-prefix", "roberta-untrimmed", "modernbert")


@cache
def theirs_for_words(kind: str) -> Any:
    """The same for lists of words: with add_prefix_space, as transformers' examples take byte-level BPE."""
    if kind not in BYTE_LEVEL:
        return theirs(kind)
    return modernbert(add_prefix_space=True) if kind == "modernbert" else roberta(True)


@cache
def theirs(kind: str) -> Any:
    """transformers' tokeniser of a kind."""
    return KINDS[kind]()


@cache
def charsmap() -> bytes:
    """A SentencePiece normaliser's table with the rules of nmt_nfkc: NFKC, blanks become spaces, and some
    control characters nothing.

    The format is of SentencePiece's normalizer.cc (EncodePrecompiledCharsMap): the size of a trie, the trie
    as Darts-clone's double array, and the normalised strings, each with a zero behind it."""
    rules = {chr(code): "" for code in (*range(1, 9), 0xB, *range(0xE, 0x20), 0x7F, 0x8F, 0x9F)}
    for code in (*range(0x80, 0x3400), *range(0xF900, 0xFFF0)):
        if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co", "Cc"):
            plain = unicodedata.normalize("NFKC", chr(code))
            if plain != chr(code):
                rules[chr(code)] = plain
    for composed in "éëïãüöäñżź":  # two characters that are one
        rules[unicodedata.normalize("NFD", composed)] = composed
    rules |= {
        chr(code): " " for code in (9, 10, 12, 13, 0x1680, *range(0x200B, 0x2010), 0x2028, 0x2029, 0xFEFF)
    }
    strings, places = bytearray(), {}
    for plain in dict.fromkeys(rules.values()):
        places[plain] = len(strings)
        strings += plain.encode() + b"\0"
    units = double_array({raw.encode(): places[plain] for raw, plain in rules.items()})
    trie = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(trie)) + trie + bytes(strings)


def double_array(values: Mapping[bytes, int]) -> list[int]:
    """Darts-clone's units of a trie: bits 0 to 7 the label, bit 8 whether a key ends there, from bit 10 the
    offset to the children (times 256 with bit 9); the value of a key stands at its label 0 with bit 31."""
    tree: dict[int, Any] = {}
    for key, value in values.items():
        node = tree
        for byte in key:
            node = node.setdefault(byte, {})
        node[0] = value
    units, used, waiting, lowest = [0] * 256, {0}, [(0, tree)], 1
    while waiting:
        place, node = waiting.pop(0)
        while lowest in used:
            lowest += 1
        base = lowest
        while any(base ^ label in used for label in node) or (base ^ place) >= 1 << 21:
            base += 1
        units += [0] * (max(base ^ label for label in node) // 256 * 256 + 256 - len(units))
        used |= {base ^ label for label in node}
        units[place] |= (base ^ place) << 10 | (0 in node) << 8
        for label, child in node.items():
            if label == 0:
                units[base] = child | 1 << 31
            else:
                units[base ^ label] = label
                waiting.append((base ^ label, child))
    return units
