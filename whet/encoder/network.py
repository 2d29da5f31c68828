"""Bricks of encoders, and the encoder that is built of them. Packed batch in, hidden states out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast, final

import torch.nn.functional as F
from torch import Tensor, nn

from whet.encoder.attention import Attention
from whet.encoder.dropout import KeyedDropout, keys_for_sites
from whet.encoder.packing import PackedBatch
from whet.encoder.positions import Positions
from whet.encoder.table import table

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": lambda x: x.tanh(),
}


@final
@dataclass(frozen=True)
class EncoderSpec:
    """The shape of an encoder; what a family reads from config.json."""

    vocab_size: int
    max_positions: int  # longest sequence, in tokens
    n_types: int  # kinds of tokens that are told apart; 0: none are
    hidden_size: int
    n_layers: int  # as they are run; one with shared weights counts each time
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


class AnyEncoder(nn.Module, ABC):
    """What a head reads from, and what training freezes or gives rates by the layer."""

    spec: EncoderSpec
    pooler: nn.Module | None  # of its own, BERT's
    takes_filler = False  # whether a pack with a filler is of use to it

    @property
    @abstractmethod
    def sequence(self) -> Sequence[nn.Module]:
        """The layers in the order in which they are run."""

    @property
    @abstractmethod
    def lowest(self) -> Sequence[nn.Module]:
        """What comes before the first layer, or speaks to all of them: embeddings and positions."""

    @abstractmethod
    def recompute_layers(self) -> None:
        """While training, keep only what goes into each layer, and compute it again on the way back."""

    @abstractmethod
    def forward(self, batch: PackedBatch) -> EncoderOutput:
        """Hidden states of every token, and the pooled vector of every sequence."""


@final
class Words(nn.Module):
    """A learnt vector for each token id. `trained`, where it is set, stands for the table while training:
    (n_tokens,) int64 -> (n_tokens, width)."""

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        self.table = table(vocab_size, width)
        self.trained: Callable[[Tensor], Tensor] | None = None

    def forward(self, batch: PackedBatch) -> Tensor:
        """-> (n_tokens, width)."""
        if self.training and self.trained is not None:
            return self.trained(batch.token_ids)
        return F.embedding(batch.token_ids, self.table.weight)


@final
class TokenTypes(nn.Module):
    """A learnt vector for each kind of token: of the first text, or the second."""

    def __init__(self, n_types: int, width: int) -> None:
        super().__init__()
        self.table = table(n_types, width)

    def forward(self, batch: PackedBatch) -> Tensor:
        """-> (n_tokens, width)."""
        return F.embedding(batch.type_ids, self.table.weight)


@final
class Embeddings(nn.Module):
    """The sum of its parts, normalised; `projection` brings another width to the encoder's."""

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        norm: nn.Module,
        dropout: float,
        projection: nn.Linear | None = None,
    ) -> None:
        """Each part makes of a pack (n_tokens, width)."""
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.norm = norm
        self.dropout = KeyedDropout(dropout, site=0)
        self.projection = projection

    def forward(self, batch: PackedBatch) -> Tensor:
        """-> (n_tokens, hidden_size)."""
        hidden: Tensor = sum(part(batch) for part in self.parts.values())
        hidden = self.dropout(self.norm(hidden), batch.dropout_keys)
        return hidden if self.projection is None else self.projection(hidden)


class Layer(nn.Module, ABC):
    """One of an encoder's layers."""

    @abstractmethod
    def forward(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        """(n_tokens, hidden_size) -> (n_tokens, hidden_size); places as of `attention.Kernel`."""

    @abstractmethod
    def first_tokens(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        """(n_tokens, hidden_size) -> (n_sequences, hidden_size): rows `batch.firsts` of `forward`, and no
        work on any other that is not needed for them."""


RunLayer = Callable[[Layer, Tensor, PackedBatch, Any], Tensor]
"""How a layer is run: what `Layer.forward` takes and gives."""


def run_layer(layer: Layer, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
    """As it is."""
    found: Tensor = layer(hidden, batch, places)
    return found


def recomputed_layer(layer: Layer, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
    """Computed again on the way back (Chen et al. 2016, "Training deep nets with sublinear memory cost").
    Dropout is keyed, so the same units are dropped then."""
    if not layer.training:
        return run_layer(layer, hidden, batch, places)
    from torch.utils.checkpoint import checkpoint  # only here, for opening a model should be quick

    found: Tensor = checkpoint(layer, hidden, batch, places, use_reentrant=False, preserve_rng_state=False)
    return found


SITES = 2
"""Dropouts of a layer: layer i of an encoder has the sites 1 + i * SITES, 2 + i * SITES."""


@final
class AtDepth(Layer):
    """A layer that is run again, `further` layers up from its own place: the same parameters, and the units
    dropped that another layer would drop there."""

    def __init__(self, layer: Layer, further: int) -> None:
        super().__init__()
        self.layer = layer
        self.further = further

    def forward(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        found: Tensor = self.layer(hidden, self._there(batch), places)
        return found

    def first_tokens(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        return self.layer.first_tokens(hidden, self._there(batch), places)

    def _there(self, batch: PackedBatch) -> PackedBatch:
        return replace(batch, dropout_keys=keys_for_sites(batch.dropout_keys, SITES * self.further))


@final
class PostNormLayer(Layer):
    """Attention, then feed-forward; each is added to its input and then normalised (Vaswani et al. 2017)."""

    def __init__(self, spec: EncoderSpec, index: int, attention: Attention) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = nn.LayerNorm(spec.hidden_size, eps=spec.norm_epsilon)
        self.attention_dropout = KeyedDropout(spec.dropout, site=1 + SITES * index)
        self.up = nn.Linear(spec.hidden_size, spec.intermediate_size)
        self.activation = ACTIVATIONS[spec.activation]
        self.down = nn.Linear(spec.intermediate_size, spec.hidden_size)
        self.output_norm = nn.LayerNorm(spec.hidden_size, eps=spec.norm_epsilon)
        self.output_dropout = KeyedDropout(spec.dropout, site=2 + SITES * index)

    def forward(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        return self._after(hidden, self.attention(hidden, batch, places), batch.dropout_keys)

    def first_tokens(self, hidden: Tensor, batch: PackedBatch, places: Any) -> Tensor:
        attended = self.attention.first_tokens(hidden, batch, places)
        return self._after(hidden.index_select(0, batch.firsts), attended, batch.dropout_keys[batch.firsts])

    def _after(self, hidden: Tensor, attended: Tensor, keys: Tensor) -> Tensor:
        """All that comes after attention, which is row by row."""
        hidden = self.attention_norm(hidden + self.attention_dropout(attended, keys))
        fed = self.output_dropout(self.down(self.activation(self.up(hidden))), keys)
        normed: Tensor = self.output_norm(hidden + fed)
        return normed


@final
class Encoder(AnyEncoder):
    """Embeddings, an ordered list of layers, and BERT's pooler where the family has one."""

    takes_filler = True

    def __init__(
        self,
        spec: EncoderSpec,
        embeddings: Embeddings,
        layers: Sequence[Layer],
        positions: Positions | None = None,
        pooler: nn.Linear | None = None,
        norm: nn.Module | None = None,
        order: Sequence[int] | None = None,
    ) -> None:
        """positions speak to every layer's attention, norm comes after the last layer. order names the layers
        as they are run, where some are run more than once."""
        super().__init__()
        self.spec = spec
        self.embeddings = embeddings
        self.positions = positions
        self.layers = nn.ModuleList(layers)
        self.order = tuple(range(len(layers)) if order is None else order)
        self.norm = norm
        self.pooler = pooler
        self._run: RunLayer = run_layer

    def recompute_layers(self) -> None:
        self._run = recomputed_layer

    @property
    def word_table(self) -> Tensor:
        """(vocab_size, width), as it is, also while training."""
        return cast(Words, self.embeddings.parts["words"]).table.weight

    @property
    def sequence(self) -> list[Layer]:
        """The layers in the order in which they are run, one for each time."""
        run = [(depth, i, cast(Layer, self.layers[i])) for depth, i in enumerate(self.order)]
        return [layer if i == depth else AtDepth(layer, depth - i) for depth, i, layer in run]

    @property
    def lowest(self) -> list[nn.Module]:
        return [self.embeddings] if self.positions is None else [self.embeddings, self.positions]

    def forward(self, batch: PackedBatch) -> EncoderOutput:
        hidden, places = self._begin(batch)
        for layer in self.sequence[batch.depth :]:
            hidden = self._run(layer, hidden, batch, places)
        hidden = hidden if self.norm is None else self.norm(hidden)
        pooled = None if self.pooler is None else self.pooler(hidden.index_select(0, batch.starts)).tanh()
        return EncoderOutput(hidden, pooled)

    def first_states(self, batch: PackedBatch) -> Tensor:
        """The last hidden state of each sequence's first token, (n_sequences, hidden_size), in the caller's
        order.

        Nothing else is read of the last layer, so it is computed for the first tokens only: of a BERT
        layer's twelve matrix products of hidden_size x hidden_size a token, two are left for the others."""
        hidden, places = self._begin(batch)
        layers = self.sequence[batch.depth :]
        for layer in layers[:-1]:
            hidden = self._run(layer, hidden, batch, places)
        if layers:
            firsts = layers[-1].first_tokens(hidden, batch, places).index_select(0, batch.ranks)
        else:
            firsts = hidden.index_select(0, batch.starts)
        return firsts if self.norm is None else self.norm(firsts)

    def pooled(self, batch: PackedBatch) -> Tensor:
        """tanh(pooler(first token)), (n_sequences, hidden_size), in the caller's order. Raises ValueError
        without a pooler."""
        if self.pooler is None:
            raise ValueError("this encoder has no pooler")
        pooled: Tensor = self.pooler(self.first_states(batch)).tanh()
        return pooled

    def _begin(self, batch: PackedBatch) -> tuple[Tensor, Any]:
        """What goes into the first layer that is to be run, and what the positions say of the pack."""
        places = None if self.positions is None else self.positions(batch)
        return self.embeddings(batch) if batch.hidden is None else batch.hidden, places

    def hidden_below(self, batch: PackedBatch, depth: int) -> Tensor:
        """What the lowest `depth` layers give, (n_tokens, hidden_size)."""
        hidden, places = self._begin(batch)
        for layer in self.sequence[:depth]:
            hidden = layer(hidden, batch, places)
        return hidden
