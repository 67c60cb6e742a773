"""What an adopted index looked like when it was opened last, and what has changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from searchsvc.errors import Conflict
from searchsvc.protocols import StateStore
from searchsvc.schema import IndexSchema

KIND = "mapping"
_NAMED = 5
"""At most so many fields are named in one part of a line, then counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenIndex:
    """An adopted index at one moment."""

    physical: str
    """What its name stood for."""
    fields: Mapping[str, str]
    """The kind of each field."""
    seen_at: str
    """ISO 8601, UTC."""


async def changes_since(store: StateStore, name: str, schema: IndexSchema, physical: str) -> list[str]:
    """Remembers the index `name` as it is now; a line on what changed since it was seen last, no line if nothing did.

    Of several replicas that start at once, each compares with what it finds. Raises StageError, ConfigurationError.
    """
    stored = await store.read(KIND, name)
    now = SeenIndex(
        physical=physical,
        fields={each.name: each.kind.value for each in schema.fields.values()},
        seen_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    before = None if stored is None else _seen(stored.value)
    value = {"physical": now.physical, "fields": dict(now.fields), "seen_at": now.seen_at}
    with suppress(Conflict):  # another replica saw it at the same moment
        await store.write(KIND, name, value, expected=None if stored is None else stored.revision)
    return [] if before is None else difference(name, before, now)


def difference(name: str, before: SeenIndex, now: SeenIndex) -> list[str]:
    """One line on what changed between the two, none if nothing did."""
    gone = sorted(before.fields.keys() - now.fields.keys())
    new = sorted(now.fields.keys() - before.fields.keys())
    changed = [
        f"{field} is {now.fields[field]} (was {before.fields[field]})"
        for field in sorted(before.fields.keys() & now.fields.keys())
        if before.fields[field] != now.fields[field]
    ]
    parts = [
        *([_sentence(gone, "gone")] if gone else []),
        *([_sentence(new, "new")] if new else []),
        *([_listed(changed)] if changed else []),
        *([f"it stands for {now.physical} (was {before.physical})"] if now.physical != before.physical else []),
    ]
    return [f"{name}: {', '.join(parts)}, since {before.seen_at}"] if parts else []


def _sentence(fields: Sequence[str], state: str) -> str:
    return f"the field {fields[0]} is {state}" if len(fields) == 1 else f"the fields {_listed(fields)} are {state}"


def _listed(items: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = len(items) - _NAMED
    return ", ".join(items) if more <= 0 else f"{', '.join(items[:_NAMED])} and {more} more"


def _seen(value: Mapping[str, Any]) -> SeenIndex | None:
    """What an earlier version of the service stored; None where that cannot be read."""
    physical, fields, seen_at = value.get("physical"), value.get("fields"), value.get("seen_at")
    if not (isinstance(physical, str) and isinstance(fields, dict) and isinstance(seen_at, str)):
        return None
    return SeenIndex(physical=physical, fields={str(key): str(kind) for key, kind in fields.items()}, seen_at=seen_at)
