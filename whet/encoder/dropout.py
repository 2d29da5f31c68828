"""Dropout whose masks are a function of (seed, step, text, place), never of generator state.

So a step cut into pieces, a text in another batch, or a resumed run drops the same units. A mask is made by
hashing: SplitMix64's finaliser (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators") over a counter, four 16-bit lanes a hash. That is also several times cheaper than a generator.
"""

import math
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: SplitMix64's increment
_MIX1, _MIX2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # SplitMix64's multipliers
_LEVELS = 1 << 16


def _signed(value: int) -> int:
    """A 64-bit constant as the int64 that torch multiplies with."""
    return value - (1 << 64) if value >= 1 << 63 else value


def sequence_keys(seed: int, step: int, texts: np.ndarray) -> np.ndarray:
    """One key for each text of a step: (n_texts,) int64 indices of texts -> (n_texts,) uint64."""
    with np.errstate(over="ignore"):
        key = _mix_numpy(np.uint64(seed % (1 << 64)) + np.uint64(_GOLDEN))
        key = _mix_numpy(key + np.uint64(step) * np.uint64(_GOLDEN))
        return _mix_numpy(key + (texts.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN))


def draws(keys: np.ndarray, number: int) -> np.ndarray:
    """The number-th draw, from 0, of each key: (n,) uint64 -> (n,) float64 from 0 up, below 1."""
    with np.errstate(over="ignore"):
        found = _mix_numpy(keys + np.uint64(((number + 1) * _GOLDEN) % (1 << 64)))
    uniform: np.ndarray = (found >> np.uint64(11)) * 2.0**-53
    return uniform


def _mix_numpy(value: np.ndarray | np.uint64) -> np.ndarray:
    x: np.ndarray = np.asarray(value, dtype=np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_MIX1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_MIX2)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed


def _mix(x: Tensor) -> Tensor:
    """The same on int64 tensors, in place; a shift of int64 keeps the sign, so the mask clears it."""
    for shift, multiplier in ((30, _MIX1), (27, _MIX2)):
        x.bitwise_xor_((x >> shift) & ((1 << (64 - shift)) - 1)).mul_(_signed(multiplier))
    return x.bitwise_xor_((x >> 31) & ((1 << 33) - 1))


def keep_mask(keys: Tensor, site: int, width: int, p: float) -> Tensor:
    """(n,) int64 keys -> (n, width) bool, False with probability round(p * 65536) / 65536.

    site tells the dropouts of one network apart."""
    lanes = math.ceil(width / 4)
    counters = torch.arange(lanes, device=keys.device) + ((site + 1) << 32)
    hashes = _mix(keys[:, None] + counters * _signed(_GOLDEN))
    return hashes.view(torch.int16)[:, :width] >= round(p * _LEVELS) - _LEVELS // 2


def keys_for_sites(keys: Tensor, further: int) -> Tensor:
    """Keys with which every dropout acts as one whose site is `further` more: (n,) int64 -> (n,) int64."""
    return keys + _signed(((further << 32) * _GOLDEN) % (1 << 64))


@final
class KeyedDropout(nn.Module):
    """Zeroes units with probability p and scales the rest by 1 / (1 - p), while training."""

    def __init__(self, p: float, site: int) -> None:
        super().__init__()
        self.p = p
        self.site = site

    def forward(self, x: Tensor, keys: Tensor) -> Tensor:
        """x (n, width) any float, keys (n,) int64 -> (n, width)."""
        if not self.training or self.p == 0.0:
            return x
        keep = keep_mask(keys, self.site, x.shape[1], self.p)
        kept = 1.0 - round(self.p * _LEVELS) / _LEVELS
        return x * keep.to(x.dtype).mul_(1.0 / kept)

    def extra_repr(self) -> str:
        return f"p={self.p}, site={self.site}"
