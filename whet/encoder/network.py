"""From a specification to a network: embeddings, layers, pooler. Packed batch in, hidden states out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, cast, final

import torch.nn.functional as F
from torch import Tensor, nn

from whet.encoder.attention import AttentionKernel, SelfAttention, run_attention
from whet.encoder.dropout import KeyedDropout
from whet.encoder.packing import PackedBatch

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}


@final
@dataclass(frozen=True)
class EncoderSpec:
    """The shape of an encoder; what a family reads from config.json."""

    vocab_size: int
    max_positions: int  # longest sequence, in tokens
    n_types: int
    hidden_size: int
    n_layers: int
    n_heads: int
    intermediate_size: int
    activation: str  # a key of ACTIVATIONS
    norm_epsilon: float
    dropout: float  # of hidden states
    initializer_range: float  # standard deviation of new weights


class EncoderOutput(NamedTuple):
    """What an encoder gives for a pack."""

    tokens: Tensor  # (n_tokens, hidden_size), in pack order
    pooled: Tensor | None  # (n_sequences, hidden_size), in the caller's order; None without a pooler


@final
class Embeddings(nn.Module):
    """Words + absolute positions + token types, normalised."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.words = nn.Embedding(spec.vocab_size, spec.hidden_size)
        self.positions = nn.Embedding(spec.max_positions, spec.hidden_size)
        self.types = nn.Embedding(spec.n_types, spec.hidden_size)
        self.norm = nn.LayerNorm(spec.hidden_size, eps=spec.norm_epsilon)
        self.dropout = KeyedDropout(spec.dropout, site=0)

    def forward(self, batch: PackedBatch) -> Tensor:
        """-> (n_tokens, hidden_size)."""
        hidden = self.words(batch.token_ids) + self.types(batch.type_ids) + self.positions(batch.positions)
        dropped: Tensor = self.dropout(self.norm(hidden), batch.dropout_keys)
        return dropped


@final
class PostNormLayer(nn.Module):
    """Attention, then feed-forward; each is added to its input and then normalised (Vaswani et al. 2017)."""

    def __init__(self, spec: EncoderSpec, index: int, kernel: AttentionKernel) -> None:
        super().__init__()
        self.attention = SelfAttention(spec.hidden_size, spec.n_heads, kernel)
        self.attention_norm = nn.LayerNorm(spec.hidden_size, eps=spec.norm_epsilon)
        self.attention_dropout = KeyedDropout(spec.dropout, site=1 + 2 * index)
        self.up = nn.Linear(spec.hidden_size, spec.intermediate_size)
        self.activation = ACTIVATIONS[spec.activation]
        self.down = nn.Linear(spec.intermediate_size, spec.hidden_size)
        self.output_norm = nn.LayerNorm(spec.hidden_size, eps=spec.norm_epsilon)
        self.output_dropout = KeyedDropout(spec.dropout, site=2 + 2 * index)

    def forward(self, hidden: Tensor, batch: PackedBatch) -> Tensor:
        """(n_tokens, hidden_size) -> (n_tokens, hidden_size)."""
        return self._after(hidden, self.attention(hidden, batch), batch.dropout_keys)

    def first_tokens(self, hidden: Tensor, batch: PackedBatch) -> Tensor:
        """(n_tokens, hidden_size) -> (n_sequences, hidden_size): rows `batch.firsts` of `forward`, and no
        work on any other."""
        attended = self.attention.first_tokens(hidden, batch)
        return self._after(hidden[batch.firsts], attended, batch.dropout_keys[batch.firsts])

    def _after(self, hidden: Tensor, attended: Tensor, keys: Tensor) -> Tensor:
        """All that comes after attention, which is row by row."""
        hidden = self.attention_norm(hidden + self.attention_dropout(attended, keys))
        fed = self.output_dropout(self.down(self.activation(self.up(hidden))), keys)
        normed: Tensor = self.output_norm(hidden + fed)
        return normed


@final
class Encoder(nn.Module):
    """Embeddings, an ordered list of layers, and BERT's pooler where the checkpoint has one."""

    def __init__(
        self, spec: EncoderSpec, pooler: bool = True, kernel: AttentionKernel = run_attention
    ) -> None:
        super().__init__()
        self.spec = spec
        self.embeddings = Embeddings(spec)
        self.layers = nn.ModuleList(PostNormLayer(spec, i, kernel) for i in range(spec.n_layers))
        self.pooler = nn.Linear(spec.hidden_size, spec.hidden_size) if pooler else None

    def forward(self, batch: PackedBatch) -> EncoderOutput:
        """Hidden states of every token, and the pooled vector of every sequence."""
        hidden = self.embeddings(batch)
        for layer in self.layers:
            hidden = layer(hidden, batch)
        pooled = None if self.pooler is None else self.pooler(hidden[batch.starts]).tanh()
        return EncoderOutput(hidden, pooled)

    def pooled(self, batch: PackedBatch) -> Tensor:
        """tanh(pooler(first token)), (n_sequences, hidden_size), in the caller's order.

        Nothing else is read of the last layer, so it is computed for the first tokens only: of a BERT
        layer's twelve matrix products of hidden_size x hidden_size a token, two are left for the others.
        Raises ValueError without a pooler."""
        if self.pooler is None:
            raise ValueError("this encoder has no pooler")
        hidden = self.embeddings(batch)
        for layer in self.layers[:-1]:
            hidden = layer(hidden, batch)
        firsts = cast(PostNormLayer, self.layers[-1]).first_tokens(hidden, batch)
        pooled: Tensor = self.pooler(firsts[batch.ranks]).tanh()
        return pooled
