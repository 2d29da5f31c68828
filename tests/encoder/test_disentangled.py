"""Disentangled attention against its formula, text by text and head by head, and log buckets against
transformers'. The whole encoder is held against transformers in tests/reference/."""

import numpy as np
import pytest
import torch
from torch import Tensor

from whet.checkpoints.families.deberta_v2 import FAMILY
from whet.encoder import disentangled as module
from whet.encoder.disentangled import DisentangledAttention, RelativeBuckets, disentangled, log_buckets
from whet.encoder.packing import PackedBatch, Run, pack
from whet.errors import CheckpointError

LENGTHS = (1, 2, 3, 3, 17, 29, 17, 3, 29)
N_HEADS, HEAD_DIM = 3, 5
CONFIG = {
    "vocab_size": 101,
    "hidden_size": 44,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 53,
    "max_position_embeddings": 211,
    "hidden_act": "gelu",
    "relative_attention": True,
    "pos_att_type": "p2c|c2p",
}


def packed(lengths: tuple[int, ...]) -> PackedBatch:
    random = np.random.default_rng(0)
    return pack([random.integers(5, 101, n) for n in lengths], [np.zeros(n, dtype=np.int64) for n in lengths])


def plain(qkv: Tensor, position_q: Tensor, position_k: Tensor, runs: tuple[Run, ...]) -> Tensor:
    """The formula as it stands."""
    zero = len(position_q) // 2  # the place of distance 0
    outputs, start = [], 0
    for length in [length for n, length in runs for _ in range(n)]:
        q, k, v = qkv[start : start + length].unbind(1)
        start += length
        distance = torch.arange(length)[:, None] - torch.arange(length)[None, :] + zero
        heads = []
        for h in range(qkv.shape[2]):
            scores = q[:, h] @ k[:, h].T
            scores = scores + (q[:, None, h] * position_k[distance, h]).sum(-1)
            scores = scores + (k[None, :, h] * position_q[distance, h]).sum(-1)
            root = torch.tensor(3.0 * qkv.shape[3]).sqrt().double()  # float32's, as transformers has it
            heads.append((scores / root).softmax(-1) @ v[:, h])
        outputs.append(torch.stack(heads, dim=1).flatten(1))
    return torch.cat(outputs)


def inputs(batch: PackedBatch) -> list[Tensor]:
    """Queries, keys and values of tokens; queries and keys of positions."""
    random = torch.Generator().manual_seed(1)
    n_distances = 2 * batch.runs[-1].length - 1
    shapes = [(batch.n_tokens, 3), (n_distances,), (n_distances,)]
    return [
        torch.randn(*shape, N_HEADS, HEAD_DIM, generator=random, dtype=torch.float64).requires_grad_()
        for shape in shapes
    ]


@pytest.mark.parametrize(
    ("block", "piece", "kept"), [(64, 1 << 22, 512), (7, 1 << 22, 512), (7, 2000, 512), (64, 1, 16)]
)
def test_values_and_gradients_are_those_of_the_formula(
    monkeypatch: pytest.MonkeyPatch, block: int, piece: int, kept: int
) -> None:
    """Whole, in blocks of rows, in pieces of runs, and with probabilities that are made twice."""
    monkeypatch.setattr(module, "_BLOCK", block)
    monkeypatch.setattr(module, "_PIECE", piece)
    monkeypatch.setattr(module, "_KEPT", kept)
    batch = packed(LENGTHS)
    tensors = inputs(batch)
    found, expected = disentangled(*tensors, batch.runs), plain(*tensors, batch.runs)
    assert float((found - expected).detach().abs().max()) < 1e-12
    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(2), dtype=found.dtype)
    ours, theirs = (torch.autograd.grad((one * direction).sum(), tensors) for one in (found, expected))
    for mine, right in zip(ours, theirs, strict=True):
        assert float(right.abs().max()) > 1e-3
        assert float((mine - right).abs().max()) < 1e-12


def attention_of(shared: bool) -> tuple[RelativeBuckets, DisentangledAttention]:
    torch.manual_seed(3)
    width = N_HEADS * HEAD_DIM
    positions = RelativeBuckets(6, 40, True, width, torch.nn.LayerNorm(width))
    projection = None if shared else torch.nn.Linear(width, 2 * width)
    return positions.double(), DisentangledAttention(width, N_HEADS, projection).double()


@pytest.mark.parametrize("shared", [True, False])
def test_first_tokens_are_those_of_all(shared: bool) -> None:
    positions, attention = attention_of(shared)
    batch = packed(LENGTHS)
    hidden = torch.randn(batch.n_tokens, N_HEADS * HEAD_DIM, dtype=torch.float64)
    gradients = []
    for states in (
        attention(hidden, batch, positions(batch))[batch.firsts],
        attention.first_tokens(hidden, batch, positions(batch)),
    ):
        weights = [*positions.parameters(), *attention.parameters()]
        gradients.append([states.detach(), *torch.autograd.grad(states.pow(3).sum(), weights)])
    for all_of_them, only_first in zip(*gradients, strict=True):
        assert float((all_of_them - only_first).abs().max()) < 1e-12 * float(all_of_them.abs().max() + 1)


@pytest.mark.parametrize(("n_buckets", "farthest"), [(256, 512), (16, 211), (32, 512), (8, 20), (256, 256)])
def test_buckets_are_those_of_transformers(n_buckets: int, farthest: int) -> None:
    deberta = pytest.importorskip("transformers.models.deberta_v2.modeling_deberta_v2")
    distances = torch.arange(-700, 701)
    expected = deberta.make_log_bucket_position(distances, n_buckets, farthest).long()
    found = log_buckets(distances, n_buckets, farthest)
    assert torch.equal(found, expected)
    assert torch.equal(found, -found.flip(0)), "one index serves both products"
    assert bool((found.diff() >= 0).all()), "the buckets that occur are neighbours"


def test_bf16_stays_near_float32() -> None:
    """Wide scores, under autocast, forward and backward; sequences whose probabilities are made twice too."""
    torch.manual_seed(4)
    config = {**CONFIG, "share_att_key": True, "position_buckets": 16, "norm_rel_ebd": "layer_norm"}
    config["position_biased_input"] = False
    encoder = FAMILY.encoder(FAMILY.spec(config), config).eval()
    for parameter in encoder.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    batch = packed((5, 5, 31, 130, 600))
    found = []
    for half in (False, True):
        encoder.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            tokens, firsts = encoder(batch).tokens, encoder.first_states(batch)
            (tokens.float().pow(3).sum() + firsts.float().pow(3).sum()).backward()
        found.append([tokens.detach(), firsts.detach(), *(p.grad for p in encoder.parameters())])
    for exact, near in zip(*found, strict=True):
        assert bool(near.isfinite().all())
        assert float(torch.cosine_similarity(exact.flatten(), near.float().flatten(), dim=0)) > 0.99


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relative_attention": False}, "relative_attention is False"),
        ({"pos_att_type": "c2p"}, "only relative attention of both types"),
        ({"pos_att_type": ["c2p", "p2p", "p2c"]}, "only relative attention of both types"),
        ({"attention_head_size": 13}, "attention_head_size is 13; only 11 fits"),
        ({"pooler_hidden_size": 45}, "pooler_hidden_size is 45; only 44 fits"),
        ({"conv_kernel_size": 4}, "conv_kernel_size is 4, and must be odd"),
        ({"conv_kernel_size": 3, "conv_act": "swish7"}, "conv_act is 'swish7'"),
        ({"pooler_hidden_act": "swish7"}, "pooler_hidden_act is 'swish7'"),
    ],
)
def test_what_is_not_built_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        FAMILY.spec({**CONFIG, **changes})
