"""Completions by key: the ones used last in memory, all of them in a file where there is one."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from searchsvc.errors import BadModelOutput, QueryRefused
from searchsvc.expansion.guard.entries import Entry, Refusal
from searchsvc.expansion.guard.store import CompletionStore
from searchsvc.protocols import ChatReply

DAY_S = 86_400.0
IN_MEMORY = 10_000
"""Entries; a completion is about a kilobyte."""
_UNUSABLE_S = 600.0
"""How long a reply that could not be used is remembered: the same model may say something better."""
_REFUSED_S = DAY_S
"""How long a query that was refused is."""


class CompletionCache:
    """Least recently used out first; expired entries are never given."""

    def __init__(
        self,
        *,
        ttl_s: float = 7 * DAY_S,
        store: CompletionStore | None = None,
        size: int = IN_MEMORY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`ttl_s`: how long a reply holds; a refusal never holds longer. `clock`: seconds since the epoch."""
        self._ttl_s = ttl_s
        self._store = store
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    @property
    def place(self) -> str:
        """Where completions are kept, and what is wrong with that."""
        if self._store is None:
            return "memory"
        return f"memory ({self._store.problem})" if self._store.problem else "sqlite"

    def __len__(self) -> int:
        return len(self._entries)

    def at_hand(self, key: str) -> Entry | None:
        """What memory holds."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_at <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry

    async def find(self, key: str) -> Entry | None:
        """What memory holds, or else the file."""
        entry = self.at_hand(key)
        if entry is not None or self._store is None:
            return entry
        entry = await self._store.read(key)
        if entry is not None:
            self._remember(key, entry)
        return entry

    async def keep(
        self, key: str, outcome: ChatReply | QueryRefused | BadModelOutput, masked: tuple[str, ...]
    ) -> Entry:
        """The entry of `outcome`, in memory and in the file from now on."""
        kept: ChatReply | Refusal
        if isinstance(outcome, ChatReply):
            kept, lasts_s = outcome, self._ttl_s
        else:
            kept = Refusal(reason=outcome.reason, message=outcome.message)
            lasts_s = min(self._ttl_s, _REFUSED_S if isinstance(outcome, QueryRefused) else _UNUSABLE_S)
        entry = Entry(outcome=kept, expires_at=self._clock() + lasts_s, masked=masked)
        self._remember(key, entry)
        if self._store is not None:
            await self._store.write(key, entry)
        return entry

    def _remember(self, key: str, entry: Entry) -> None:
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
