"""A PostgreSQL of one's own, from the system's packages, for the time of a test."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def programs() -> Path | None:
    """The folder with initdb and postgres, the newest where there are several; Debian keeps it off PATH."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    places = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(places, key=lambda path: int(path.parts[-2]), default=None)


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The URL of an empty database. Skips where there is no PostgreSQL, or no user that may run it."""
    bin_ = programs()
    if bin_ is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    user: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="whet-postgres-"))
    if os.geteuid() == 0:  # it refuses to run as root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        user = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    data, log = folder / "data", folder / "log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server: subprocess.Popen[bytes] | None = None
    try:
        make = [*user, str(bin_ / "initdb"), "-D", str(data), "-A", "trust", "-U", "whet", "--no-sync"]
        subprocess.run(make, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        start = [*user, str(bin_ / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder), "-F"]
        with log.open("wb") as out:
            server = subprocess.Popen(start, cwd=folder, stdout=out, stderr=out)
        limit = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < limit, log.read_text()
            time.sleep(0.1)
        yield f"postgresql+psycopg2://whet@127.0.0.1:{port}/postgres"
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)  # which does not wait for those who are connected
            server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
