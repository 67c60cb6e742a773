"""State in one file on this machine. Processes on it may share the file; replicas on other machines do not see it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from searchsvc.errors import BackendRejected, ConfigurationError, Overloaded
from searchsvc.protocols import Stored
from searchsvc.state.content import as_text, conflict, from_text

FILE = "state.sqlite"
"""Its name in the data folder; SQLite keeps two more beside it while it is open."""

WAIT_S = 5.0
"""How long an access waits for other processes."""

_STEP_S = 0.01
_TABLE = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, name)
)
"""
_READ = "SELECT value, revision FROM documents WHERE kind = ? AND name = ?"
_NAMES = "SELECT name FROM documents WHERE kind = ? ORDER BY name"
_WRITE = "INSERT OR REPLACE INTO documents (kind, name, revision, value) VALUES (?, ?, ?, ?)"


class SqliteStateStore:
    """StateStore in a file, which the first write makes.

    Each access opens the file for itself, in a worker thread: nothing is kept open, and a folder that is replaced
    while the service runs is used from the next access on. An access that is cancelled may still take effect.
    """

    place = "sqlite"

    def __init__(self, folder: Path) -> None:
        """`folder` is the data folder."""
        self._path = folder / FILE

    async def read(self, kind: str, name: str) -> Stored | None:
        return await asyncio.to_thread(self._read, kind, name)

    async def write(self, kind: str, name: str, value: Mapping[str, Any], *, expected: str | None) -> str:
        return await asyncio.to_thread(self._write, kind, name, as_text(value), expected)

    async def names(self, kind: str) -> tuple[str, ...]:
        return await asyncio.to_thread(self._names, kind)

    def _read(self, kind: str, name: str) -> Stored | None:
        if not self._path.exists():
            return None
        with self._opened("read") as database:
            row = database.execute(_READ, (kind, name)).fetchone()
        return None if row is None else Stored(value=from_text(row[0], kind=kind, name=name), revision=str(row[1]))

    def _write(self, kind: str, name: str, text: str, expected: str | None) -> str:
        with self._opened("written") as database:
            database.execute("BEGIN IMMEDIATE")  # the lock first: what is read now cannot change before the write
            row = database.execute(_READ, (kind, name)).fetchone()
            current = None if row is None else str(row[1])
            if current != expected:
                raise conflict(kind, name)
            revision = 1 if row is None else row[1] + 1
            database.execute(_WRITE, (kind, name, revision, text))
            database.execute("COMMIT")
        return str(revision)

    def _names(self, kind: str) -> tuple[str, ...]:
        if not self._path.exists():
            return ()
        with self._opened("read") as database:
            return tuple(name for (name,) in database.execute(_NAMES, (kind,)))

    @contextmanager
    def _opened(self, doing: str) -> Iterator[sqlite3.Connection]:
        """A connection of its own; closing it rolls back what was not committed."""
        with _translated(doing, self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=WAIT_S, isolation_level=None)) as database:
                _prepare(database)
                yield database


def _prepare(database: sqlite3.Connection) -> None:
    """Write-ahead log and table, where they are not there yet.

    SQLite does not wait while another process switches the log on, so that is tried again here.
    """
    until = time.monotonic() + WAIT_S
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(_TABLE)
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(_STEP_S)
        else:
            return


@contextmanager
def _translated(doing: str, path: Path) -> Iterator[None]:
    """Raise SQLite's exceptions, and those of the file system, as ours; `doing` ends the sentence "it cannot be …"."""
    try:
        yield
    except sqlite3.Error as error:
        raise _of_sqlite(error, doing, path) from error
    except OSError as error:
        raise _refused(doing, path, error.strerror or type(error).__name__) from error


def _of_sqlite(error: sqlite3.Error, doing: str, path: Path) -> Overloaded | BackendRejected | ConfigurationError:
    if _is_busy(error):
        return Overloaded(f"The state cannot be {doing}: other processes hold {path}.", hint="Try again.")
    if _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}:
        return BackendRejected(
            f"The state cannot be {doing}: {path} is damaged: {error}.",
            hint="Move it away: the service makes a new one.",
        )
    return _refused(doing, path, str(error))


def _refused(doing: str, path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"The state cannot be {doing}: {path}: {reason}.",
        hint="Name a folder that this user may write to, on a disk with room (SEARCHSVC_DATA_DIR).",
    )


def _is_busy(error: sqlite3.Error) -> bool:
    return _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _code(error: sqlite3.Error) -> int:
    """The primary result code (https://www.sqlite.org/rescode.html); 0 where the module itself raised."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
