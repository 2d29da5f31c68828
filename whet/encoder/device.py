"""Where tensors live and how wide they are."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from whet.errors import ConfigError, nearest


def resolve_device(name: str) -> torch.device:
    """`auto` is the first CUDA device where there is one, else the processor.

    Raises ConfigError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "meta":  # which computes nothing
            raise RuntimeError
    except (RuntimeError, AssertionError):
        raise ConfigError(f"device={name}: there is no such device here. Use auto or cpu.") from None
    return device


def computes_bf16(device: torch.device) -> bool:
    """Whether bf16 matrix products run natively, rather than emulated and several times slower."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return device.type == "cpu" and bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))


PRECISIONS = ("auto", "float32", "bf16", "float64")


def resolve_precision(name: str, device: torch.device) -> str:
    """`auto` -> bf16 or float32; any other name as it is. Raises ConfigError for one that is none."""
    if name not in PRECISIONS:
        raise ConfigError(f"precision={name}: must be {', '.join(PRECISIONS)}.{nearest(name, PRECISIONS)}")
    if name == "auto":
        return "bf16" if computes_bf16(device) else "float32"
    return name


@contextmanager
def computing(precision: str, device: torch.device) -> Iterator[None]:
    """Matrix products in bf16 where `precision` says so; weights, sums and norms stay as they are."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        yield
