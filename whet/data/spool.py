"""Rows on their way from a reader to a table: in memory while they are few, in a memory-mapped file when not.

The file is opened and unlinked at once, so nothing is left behind however the process ends.
"""

import mmap
import os
import tempfile
from typing import IO, Any, final

import pyarrow as pa

from whet.errors import DataError

SPILL_BYTES = 64 * 1024 * 1024


@final
class Spool:
    """Collects pieces of a table. A piece with another schema than the last one opens a new part."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self._file: IO[bytes] | None = None
        self._writer: Any = None
        self._schema: pa.Schema | None = None

    def append(self, piece: pa.Table) -> None:
        """Add rows behind those already here."""
        if self._schema is not None and not piece.schema.equals(self._schema):
            self._close_part()
        self._schema = piece.schema
        if self._writer is None:
            self._held.append(piece)
            self._held_bytes += piece.nbytes
            if self._held_bytes > SPILL_BYTES:
                self._spill()
        else:
            self._write(piece)

    def finish(self) -> list[pa.Table]:
        """The parts in order, one for each run of pieces with the same schema."""
        if self._schema is not None:
            self._close_part()
        return self._parts

    def _spill(self) -> None:
        try:
            self._file = tempfile.TemporaryFile(prefix="whet-", dir=folder())  # noqa: SIM115
        except OSError as error:
            raise DataError(
                f"{folder()}: rows that do not fit into memory go here, and it cannot be written: "
                f"{error.strerror}. Set WHET_CACHE to another folder."
            ) from error
        self._writer = pa.ipc.new_file(self._file, self._schema)
        for piece in self._held:
            self._write(piece)
        self._held = []

    def _write(self, piece: pa.Table) -> None:
        try:
            self._writer.write_table(piece)
        except OSError as error:
            raise DataError(
                f"{folder()}: no room for the rows that do not fit into memory: {error}. "
                f"Free some space, or set WHET_CACHE to a folder on a larger disk."
            ) from error

    def _close_part(self) -> None:
        if self._writer is None:
            self._parts.append(pa.concat_tables(self._held))
        else:
            assert self._file is not None
            self._writer.close()
            self._file.flush()
            mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            self._file.close()
            self._parts.append(pa.ipc.open_file(pa.py_buffer(mapped)).read_all())
        self._held, self._held_bytes, self._file, self._writer, self._schema = [], 0, None, None, None


def folder() -> str:
    """Where large tables go: WHET_CACHE, else the system's temporary folder."""
    return os.environ.get("WHET_CACHE") or tempfile.gettempdir()
