"""What happens to memory that is free for the moment, on processors."""

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of glibc's mallopt, malloc.h
_LARGEST = (1 << 31) - 1
_CACHES = {"LRU_CACHE_CAPACITY": "32", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "512"}


def keep_freed_memory() -> None:
    """Have glibc reuse freed blocks of any size instead of giving them back.

    The gradient of a word embedding is tens of megabytes, made anew in every step; fresh memory comes page by
    page, and each page costs a fault. Does nothing where the C library is not glibc."""
    mallopt = _of_c("mallopt")
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 1 << 30)
        mallopt(_TRIM_THRESHOLD, _LARGEST)


def bound_caches() -> None:
    """Have oneDNN, and torch above it, keep fewer of the programs that they make for each size of a bf16
    product: 1,024 each, which is what they do by themselves, grow by some 30 MB with every model that a
    process trains, to half a gigabyte and more (docs/benchmarks.md).

    Counts where no bf16 product has been computed yet; what the user's environment says stands."""
    for name, value in _CACHES.items():
        os.environ.setdefault(name, value)


def give_back_memory() -> None:
    """All that is free, to the system: between two trainings, where `keep_freed_memory` gains nothing."""
    gc.collect()  # a model may stand in a circle
    trim = _of_c("malloc_trim")
    if trim is not None:
        trim(0)


def _of_c(name: str) -> Callable[..., Any] | None:
    """A function of glibc; None where that is not the C library."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
