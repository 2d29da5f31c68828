"""What every test shares: the shared data sets, and the rule that no test reaches the network.

The guard sits in Python's `socket`. It does not see programs that a test starts, nor native code that opens
connections of its own (pyarrow's file systems, hf_xet); such tests set HF_HUB_OFFLINE for what they start.
"""

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

_attempts: list[str] = []


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The shared data sets, ../shared/data beside the repository; without them the test is skipped."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data sets (../shared/data beside the repository) are not on this machine")
    return folder


@pytest.fixture(autouse=True, scope="session")
def _network_guard() -> Iterator[None]:
    """Refuse whatever does not stay on this machine, as a machine without a network would, and note it."""
    real = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}
    lookups = ("getaddrinfo", "gethostbyname", "gethostbyname_ex")
    real_lookup = {name: getattr(socket, name) for name in lookups}

    def connect(self: socket.socket, address: Any) -> Any:
        _refuse_unless_local(self, address)
        return real["connect"](self, address)

    def connect_ex(self: socket.socket, address: Any) -> Any:
        _refuse_unless_local(self, address)
        return real["connect_ex"](self, address)

    def sendto(self: socket.socket, data: Any, *rest: Any) -> Any:
        _refuse_unless_local(self, rest[-1])
        return real["sendto"](self, data, *rest)

    def lookup(name: str) -> Any:
        def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
            if not _is_local(host):
                _attempts.append(f"looked up {_text(host)}")
                raise socket.gaierror(socket.EAI_AGAIN, f"tests reach no network: {_text(host)}")
            return real_lookup[name](host, *args, **kwargs)

        return guarded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        patch.setattr(socket.socket, "sendto", sendto)
        for name in lookups:
            patch.setattr(socket, name, lookup(name))
        yield


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that tried, even where the code under test swallowed the refusal."""
    _attempts.clear()
    yield
    tried = list(dict.fromkeys(_attempts))
    _attempts.clear()
    if tried and "without_network" not in request.fixturenames:
        pytest.fail(f"{request.node.nodeid} tried to reach the network: {'; '.join(tried)}", pytrace=False)


@pytest.fixture
def without_network() -> list[str]:
    """For tests of what happens without a network: attempts are refused, listed here, and are no failure."""
    return _attempts


def _refuse_unless_local(sock: socket.socket, address: Any) -> None:
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or _is_local(address[0]):
        return
    _attempts.append(f"connected to {_text(address[0])}:{address[1]}")
    raise OSError(f"tests reach no network: {_text(address[0])}:{address[1]}")


def _is_local(host: Any) -> bool:
    """Whether a host, as socket functions take it, is this machine. None and "" are its own wildcards."""
    name = _text(host)
    if name in ("", "localhost", "localhost.localdomain", "ip6-localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _text(host: Any) -> str:
    return "" if host is None else host.decode() if isinstance(host, bytes | bytearray) else str(host)
