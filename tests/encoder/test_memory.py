"""What whet does about memory, seen from outside: resident pages and the environment."""

import os
import platform
import subprocess
import sys

import pytest

RESIDENT = """
import os, torch
from whet.encoder.memory import give_back_memory, keep_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

keep_freed_memory()
held = [torch.ones(50_000) for _ in range(1000)]
pin = torch.ones(10)  # above them, so that the heap has no free end
full = resident()
del held
kept = resident()
give_back_memory()
print(full - kept, kept - resident())
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="reads /proc, and speaks to glibc"
)
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    """200 MB; without `give_back_memory` they stay resident, which the first figure shows."""
    done = subprocess.run([sys.executable, "-c", RESIDENT], capture_output=True, text=True, check=True)
    left, given_back = map(float, done.stdout.split())
    assert left < 20
    assert given_back > 150


@pytest.mark.parametrize("own", [None, "7"])
def test_what_the_users_environment_says_of_caches_stands(own: str | None) -> None:
    code = "import os; from whet.encoder.memory import bound_caches; bound_caches(); " + (
        "print(os.environ['LRU_CACHE_CAPACITY'], os.environ['ONEDNN_PRIMITIVE_CACHE_CAPACITY'])"
    )
    names = "LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    environment = {key: value for key, value in os.environ.items() if key not in names}
    environment |= {} if own is None else {"LRU_CACHE_CAPACITY": own}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [own or "32", "512"]
