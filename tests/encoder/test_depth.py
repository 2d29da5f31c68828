"""Layers that share their weights: what each run of one drops, against layers of their own."""

import numpy as np
import torch

from whet.checkpoints.families.base import bert_like_layers, projected_embeddings
from whet.encoder.dropout import KeyedDropout, keep_mask, keys_for_sites, sequence_keys
from whet.encoder.network import Encoder, EncoderSpec
from whet.encoder.packing import PackedBatch, pack

ORDER = (0, 0, 1, 0)
SPEC = EncoderSpec(
    vocab_size=31, max_positions=20, n_types=2, hidden_size=24, n_layers=len(ORDER), n_heads=3,
    intermediate_size=29, activation="gelu", norm_epsilon=1e-12, dropout=0.3, initializer_range=0.02,
)  # fmt: skip


def encoders() -> tuple[Encoder, Encoder]:
    """Two layers, the first run three times; and four layers that have the same weights."""
    torch.manual_seed(3)
    embeddings = projected_embeddings(SPEC, 11)
    shared = Encoder(SPEC, embeddings, bert_like_layers(SPEC, n=2), order=ORDER)
    plain = Encoder(SPEC, embeddings, bert_like_layers(SPEC))
    for layer, i in zip(plain.sequence, ORDER, strict=True):
        layer.load_state_dict(shared.layers[i].state_dict())
    return shared.double().train(), plain.double().train()


def packed(texts: list[int]) -> PackedBatch:
    """Some of five texts, with their dropout keys."""
    random = np.random.default_rng(5)
    ids = [random.integers(1, 31, n) for n in (7, 3, 12, 3, 1)]
    keys = sequence_keys(1, 2, np.arange(5))
    return pack([ids[i] for i in texts], [np.zeros_like(ids[i]) for i in texts], keys[texts])


def test_a_layer_that_is_run_again_drops_what_another_layer_would() -> None:
    shared, plain = encoders()
    batch = packed([0, 1, 2, 3, 4])
    assert torch.equal(shared(batch).tokens, plain(batch).tokens)
    assert torch.equal(shared.first_states(batch), plain.first_states(batch))
    for module in shared.modules():
        if isinstance(module, KeyedDropout):
            module.p = 0.0
    assert float((shared(batch).tokens - plain(batch).tokens).detach().abs().max()) > 0.1  # dropout was on


def test_two_depths_drop_different_units() -> None:
    """The same input goes into the first two runs of one layer."""
    shared, _ = encoders()
    batch = packed([0, 2])
    hidden = torch.zeros(batch.n_tokens, SPEC.hidden_size, dtype=torch.float64)
    first, second, *_ = shared.sequence
    assert float((first(hidden, batch, None) - second(hidden, batch, None)).detach().abs().max()) > 0.1
    for module in shared.modules():
        if isinstance(module, KeyedDropout):
            module.p = 0.0
    assert torch.equal(first(hidden, batch, None), second(hidden, batch, None))


def test_cutting_a_pack_changes_nothing() -> None:
    shared, _ = encoders()
    whole = packed([0, 1, 2, 3, 4])
    together = whole.unpack(shared(whole).tokens)
    for part in ([3, 0], [4], [2, 1]):
        batch = packed(part)
        for i, own in zip(part, batch.unpack(shared(batch).tokens), strict=True):
            assert float((own - together[i]).detach().abs().max()) < 1e-12


def test_gradients_of_shared_weights_are_added_up() -> None:
    shared, plain = encoders()
    direction = torch.randn(packed([0, 2]).n_tokens, SPEC.hidden_size, dtype=torch.float64)
    for encoder in (shared, plain):
        (encoder(packed([0, 2])).tokens * direction).sum().backward()
    for name, parameter in shared.layers[0].named_parameters():
        apart = [dict(plain.layers[depth].named_parameters())[name].grad for depth in (0, 1, 3)]
        assert torch.allclose(parameter.grad, sum(apart), atol=1e-10, rtol=0)  # type: ignore[arg-type]


def test_keys_for_sites_are_those_of_another_site() -> None:
    keys = torch.from_numpy(sequence_keys(0, 1, np.arange(97)).view(np.int64))
    moved = keep_mask(keys_for_sites(keys, 4), 3, 53, 0.5)
    assert torch.equal(moved, keep_mask(keys, 7, 53, 0.5))
    assert not torch.equal(moved, keep_mask(keys, 3, 53, 0.5))
