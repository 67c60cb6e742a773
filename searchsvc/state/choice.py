"""`state.store: auto` on Elasticsearch: which of the two stores it is, found out at the first use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from searchsvc.protocols import StateStore, Stored


class AskedStore(StateStore, Protocol):
    """A store that may be closed to the account of the service."""

    async def may_write(self) -> bool:
        """Raises StageError if that cannot be found out now."""
        ...


class ChosenStateStore:
    """StateStore in `first` if the account may write there, else in `second`; decided once.

    While the cluster does not answer nothing is decided, and every access raises StageError: state must not be split
    between the two by a moment's outage.
    """

    def __init__(self, first: AskedStore, second: StateStore) -> None:
        self._first = first
        self._second = second
        self._chosen: StateStore | None = None

    @property
    def place(self) -> str:
        return "undecided" if self._chosen is None else self._chosen.place

    async def read(self, kind: str, name: str) -> Stored | None:
        return await (await self._store()).read(kind, name)

    async def write(self, kind: str, name: str, value: Mapping[str, Any], *, expected: str | None) -> str:
        return await (await self._store()).write(kind, name, value, expected=expected)

    async def names(self, kind: str) -> tuple[str, ...]:
        return await (await self._store()).names(kind)

    async def _store(self) -> StateStore:
        if self._chosen is None:
            self._chosen = self._first if await self._first.may_write() else self._second
        return self._chosen
