"""Keeping the memory of one step for the next, on processors."""

import ctypes
import sys

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of glibc's mallopt, malloc.h
_LARGEST = (1 << 31) - 1


def keep_freed_memory() -> None:
    """Have glibc reuse freed blocks of any size instead of giving them back.

    The gradient of a word embedding is tens of megabytes, made anew in every step; fresh memory comes page by
    page, and each page costs a fault. Does nothing where the C library is not glibc."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 1 << 30)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
