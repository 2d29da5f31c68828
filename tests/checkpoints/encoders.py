"""Small encoders that do not run packed, each as transformers makes it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.acceptance import house

_WIDE = {
    "vocab_size": len(house.vocabulary()),
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 53,
    "max_position_embeddings": 71,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}
_XLM = {
    "n_words": len(house.vocabulary()),
    "emb_dim": 48,
    "n_layers": 3,
    "n_heads": 4,
    "max_position_embeddings": 71,
    "pad_index": 0,
    "pad_token_id": 0,
    "init_std": 0.3,
    "embed_init_std": 0.3,
}
_TYPED = {**_WIDE, "type_vocab_size": 2}
_FROM_PADDING = {**_WIDE, "type_vocab_size": 1, "pad_token_id": 1}  # places are counted from behind it

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "roformer": {**_TYPED, "embedding_size": 48},
    "convbert": {**_TYPED, "embedding_size": 48, "head_ratio": 2, "conv_kernel_size": 3},
    "fnet": {**_TYPED, "use_tpu_fourier_optimizations": False},
    "big_bird": _TYPED,
    "xlm": _XLM,
    "nomic_bert": _TYPED,
    "data2vec-text": _FROM_PADDING,
    "deberta": {**_TYPED, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "ernie": _TYPED,
    "esm": {**_FROM_PADDING, "mask_token_id": 4, "position_embedding_type": "rotary"},
    "esmc": _WIDE,
    "eurobert": {**_WIDE, "head_dim": 12, "num_key_value_heads": 4},
    "flaubert": _XLM,
    "gte": _TYPED,
    "ibert": _FROM_PADDING,
    "jina_embeddings_v3": _WIDE,
    "layoutlm": _TYPED,
    "lilt": {**_FROM_PADDING, "channel_shrink_ratio": 4},
    "longformer": {**_FROM_PADDING, "attention_window": 8},
    "luke": {**_FROM_PADDING, "entity_vocab_size": 7},
    "markuplm": {**_TYPED, "max_depth": 2, "xpath_unit_hidden_size": 2},
    "megatron-bert": _TYPED,
    "mobilebert": {
        **_TYPED,
        "embedding_size": 32,
        "intra_bottleneck_size": 48,
        "true_hidden_size": 48,
        "num_feedforward_networks": 2,
        "initializer_range": 0.15,
    },
    "rembert": {**_TYPED, "input_embedding_size": 20, "output_embedding_size": 20},
    "roberta-prelayernorm": _FROM_PADDING,
    "roc_bert": _TYPED,
    "squeezebert": {
        **_TYPED,
        "embedding_size": 48,
        **{f"{part}_groups": 1 for part in ("q", "k", "v", "post_attention", "intermediate", "output")},
    },
    "ultrabert": _WIDE,
    "xlm-roberta-xl": _FROM_PADDING,
    "xmod": {**_FROM_PADDING, "languages": ["en_XX"], "default_language": "en_XX"},
    "yoso": _TYPED,
}
"""By model_type, what transformers' configuration class is given."""

KINDS = {
    "text": transformers.AutoModelForSequenceClassification,
    "token": transformers.AutoModelForTokenClassification,
    "span": transformers.AutoModelForQuestionAnswering,
}


def make(model_type: str, layout: str | None = None, n_labels: int = 5) -> Any:
    """A module with wide weights everywhere; None is the encoder alone."""
    config = transformers.AutoConfig.for_model(
        model_type, **CONFIGS[model_type], num_labels=2 if layout == "span" else n_labels
    )
    kind: Any = transformers.AutoModel if layout is None else KINDS[layout]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        module = kind.from_config(config)
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and parameter.ndim == 1:  # norms and biases too
                is_norm = "norm" in name.lower() and name.endswith("weight")
                torch.nn.init.normal_(parameter, mean=1.0 if is_norm else 0.0, std=0.3)
        for part in module.modules():  # published checkpoints need not have zeros there
            if isinstance(part, torch.nn.Embedding) and part.padding_idx is not None:
                torch.nn.init.normal_(part.weight.data[part.padding_idx], std=0.3)
    return module.eval()


def save(module: Any, folder: Path) -> Path:
    """A folder as transformers writes it, with the tests' tokeniser."""
    module.save_pretrained(folder)
    return with_tokeniser(folder)


def with_tokeniser(folder: Path) -> Path:
    house.make_tokenizer().save(str(folder / "tokenizer.json"))
    special = {f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True, **special})
    )
    return folder
