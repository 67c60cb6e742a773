"""Completions in a file of this machine, for the time after a restart; a file that fails is done without."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from searchsvc.expansion.guard.entries import Entry, entry_of

T = TypeVar("T")
_LOG = logging.getLogger(__name__)

FILE = "completions.sqlite"
"""Its name in the data folder; SQLite keeps two more beside it while it is open."""
MAX_ROWS = 200_000
"""Beyond it those that expire first go."""
_WAIT_S = 0.05
"""How long an access waits for other processes: a search waits with it."""
_AWAY_S = 60.0
"""How long a file that failed is left alone."""
_BUSY_S = 1.0
"""How long one that another process is writing to."""
_TIDY_EVERY = 1000
"""Writes between two looks for what is expired."""
_TABLE = "CREATE TABLE IF NOT EXISTS completions (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires REAL NOT NULL)"
_READ = "SELECT value, expires FROM completions WHERE key = ? AND expires > ?"
_WRITE = "INSERT OR REPLACE INTO completions (key, value, expires) VALUES (?, ?, ?)"
_EXPIRE = "DELETE FROM completions WHERE expires <= ?"
_SHRINK = "DELETE FROM completions WHERE key IN (SELECT key FROM completions ORDER BY expires DESC LIMIT -1 OFFSET ?)"


class CompletionStore:
    """One file that processes may share; each access opens it anew, in a worker thread.

    Keys are digests, so that it holds no query; completions it holds as they are. A file that is locked, damaged or
    cannot be written is told once in the log, and is left alone for a minute each time, a locked one for a second.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        """`folder` is the data folder; `clock` gives seconds since the epoch."""
        self._path = folder / FILE
        self._clock = clock
        self._writes = 0
        self._away_until = 0.0
        self.problem = ""
        """Why the file is not used at present."""

    async def read(self, key: str) -> Entry | None:
        """What is stored and not expired."""
        row = await self._tried(lambda: self._read(key))
        return None if row is None else entry_of(*row)

    async def write(self, key: str, entry: Entry) -> None:
        """Stores `entry`, or not."""
        await self._tried(lambda: self._write(key, entry))

    async def _tried(self, access: Callable[[], T]) -> T | None:
        if self._clock() < self._away_until:
            return None
        try:
            found = await asyncio.to_thread(access)
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            return None
        self.problem = ""
        return found

    def _failed(self, error: Exception) -> None:
        busy = isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY
        self._away_until = self._clock() + (_BUSY_S if busy else _AWAY_S)
        if not self.problem:
            _LOG.warning("The cache of completions works from memory alone: %s: %s.", self._path, error)
        self.problem = f"{self._path.name}: {error}"

    def _read(self, key: str) -> tuple[str, float] | None:
        if not self._path.exists():
            return None
        with closing(self._opened()) as database:
            row: tuple[str, float] | None = database.execute(_READ, (key, self._clock())).fetchone()
            return row

    def _write(self, key: str, entry: Entry) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._opened()) as database, database:
            database.execute(_WRITE, (key, entry.as_text(), entry.expires_at))
            if self._writes % _TIDY_EVERY == 0:
                database.execute(_EXPIRE, (self._clock(),))
                database.execute(_SHRINK, (MAX_ROWS,))
            self._writes += 1

    def _opened(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=_WAIT_S)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(_TABLE)
        except BaseException:
            database.close()
            raise
        return database
