"""The layout of sentence-transformers: an encoder, the mean of its tokens, and a linear layer for the logits.

transformers has no class that classifies by the mean of a text's tokens; sentence-transformers has modules
that do: `SentenceTransformer(folder).encode(texts)` gives the logits, `AutoModel` opens the encoder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from whet.errors import CheckpointError

_POOLING, _DENSE = "1_Pooling", "2_Dense"
DENSE_FILE: Final = f"{_DENSE}/model.safetensors"
"""In a model folder, the file of the linear layer's weights."""


def dense_tensors(folder: Path) -> dict[str, Tensor]:
    """linear.weight and linear.bias of a folder that whet saved in this layout; else empty. Raises
    CheckpointError where the file is damaged."""
    file = folder / DENSE_FILE
    if not (file.exists() and (folder / "whet.json").exists()):
        return {}
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} is damaged or not a safetensors file ({error}).") from None


def modules(width: int, n_outputs: int, max_length: int) -> Mapping[str, Any]:
    """The files of JSON that name the modules, by their path; those of the linear layer's weights are
    `dense_file`."""
    kinds = {"": "Transformer", _POOLING: "Pooling", _DENSE: "Dense"}
    return {
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(kinds.items())
        ],
        "sentence_bert_config.json": {"max_seq_length": max_length, "do_lower_case": False},
        f"{_POOLING}/config.json": {
            "word_embedding_dimension": width,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        f"{_DENSE}/config.json": {
            "in_features": width,
            "out_features": n_outputs,
            "bias": True,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
    }


def dense_file(folder: Path) -> Path:
    """Where the linear layer's weights stand; its folder is made."""
    (folder / _DENSE).mkdir(exist_ok=True)
    return folder / DENSE_FILE
