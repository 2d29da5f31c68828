"""A new BERT with a tokeniser of its own, as a checkpoint folder: nothing in it has been trained but words.

The sizes are those of Turc et al. 2019, "Well-read students learn better", whose small BERTs are named so.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn

from whet.checkpoints.families import family_named
from whet.config import TrainConfig
from whet.encoder.network import AnyEncoder
from whet.errors import DataError
from whet.files import write_json

SIZES: Final = {  # layers, width
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
}
SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
POSITIONS: Final = 512
_ROLES: Final = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
_MOST_CHARACTERS: Final = 1000  # of the alphabet, as in the tokenizers library's BERT
_LEAST: Final = 2  # times that a word part must occur

Texts = Callable[[], Iterable[str]]


def new_checkpoint(folder: Path, texts: Texts, config: TrainConfig) -> int:
    """Write the files of a checkpoint whose size, words and seed the settings say; -> how many words its
    tokeniser has. The same each time. Raises DataError for texts that give no words."""
    tokeniser = wordpiece(texts, config.vocab_size, config.casing == "cased")
    n_words = tokeniser.get_vocab_size()
    if n_words < len(SPECIAL) + 2:
        raise DataError("the texts hold no word twice, so no tokeniser can be made of them. Name more texts.")
    tokeniser.save(str(folder / "tokenizer.json"))
    settings: dict[str, Any] = dict(zip(_ROLES, SPECIAL, strict=True))
    settings |= {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": config.casing == "uncased",
        "strip_accents": config.casing == "uncased",
        "model_max_length": POSITIONS,
    }
    write_json(folder / "tokenizer_config.json", settings)
    described = bert_config(config.new, n_words)
    write_json(folder / "config.json", described)
    family = family_named("bert")
    spec = family.spec(described)
    encoder = family.encoder(spec, described)
    begin(encoder, spec.initializer_range, torch.Generator().manual_seed(config.seed))
    names = family.encoder_names(spec, described).under("", family.encoder_prefix)
    state = encoder.state_dict()
    if config.next_sentence == "off":  # which is all that would train a pooler
        state = {name: tensor for name, tensor in state.items() if not name.startswith("pooler.")}
    save_file(names.save(state), folder / "model.safetensors", {"format": "pt"})
    return n_words


def bert_config(size: str, vocab_size: int) -> dict[str, Any]:
    """config.json of a size. A head is 64 wide and the feed-forward layer four times the encoder."""
    n_layers, width = SIZES[size]
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": vocab_size,
        "hidden_size": width,
        "num_hidden_layers": n_layers,
        "num_attention_heads": width // 64,
        "intermediate_size": 4 * width,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "dtype": "float32",
    }


def begin(encoder: AnyEncoder, deviation: float, generator: torch.Generator) -> None:
    """As BERT began: matrices normal, biases 0, norms that change nothing."""
    with torch.no_grad():
        for module in encoder.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.ndim > 1:
                    parameter.copy_(torch.empty(parameter.shape).normal_(0.0, deviation, generator=generator))
                elif isinstance(module, nn.LayerNorm) and name == "weight":
                    parameter.fill_(1.0)
                else:
                    parameter.zero_()


def wordpiece(texts: Texts, vocab_size: int, is_cased: bool) -> Tokenizer:
    """BERT's tokeniser, with at most so many words, each of which occurs twice at least (Schuster and
    Nakajima 2012; the tokenizers library's trainer, which joins the pairs that occur most often).

    The trainer numbers the characters inside words in the order of a hash table, another one in each
    process, and equal pairs are joined in the order of these numbers. So the characters are counted first,
    and named to it in an order of ours."""
    made = Tokenizer(models.WordPiece(unk_token=SPECIAL[1]))
    made.normalizer = normalizers.BertNormalizer(lowercase=not is_cased, strip_accents=not is_cased)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts():
        counts.update(made.normalizer.normalize_str(text))
    most = min(_MOST_CHARACTERS, max(1, (vocab_size - len(SPECIAL)) // 4))
    common = sorted((one for one in counts if not one.isspace()), key=lambda one: (-counts[one], one))[:most]
    alphabet = sorted(common)
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=_LEAST,
        special_tokens=[*SPECIAL, *alphabet, *(f"##{one}" for one in alphabet)],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        continuing_subword_prefix="##",
        show_progress=False,
    )
    made.train_from_iterator(texts(), trainer)
    vocabulary = made.get_vocab(with_added_tokens=False)
    whole = Tokenizer(models.WordPiece(vocabulary, unk_token=SPECIAL[1], max_input_chars_per_word=100))
    whole.normalizer, whole.pre_tokenizer = made.normalizer, made.pre_tokenizer
    whole.decoder = decoders.WordPiece(prefix="##")
    whole.add_special_tokens(list(SPECIAL))
    whole.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    return whole
