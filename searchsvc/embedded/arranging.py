"""Matches in another order than by score, and one for each value of a field.

The fields of the index have no columns, so that an index of every version can be read: values come from the stored
documents of all that match, which costs 15 µs each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import tantivy

from searchsvc.embedded.fields import KEYWORD_CHARACTERS
from searchsvc.embedded.filters import milliseconds, written
from searchsvc.model import Candidate, SortKey, Value
from searchsvc.protocols import RetrieveRequest
from searchsvc.schema import MANAGED, FieldKind


@dataclass(frozen=True, slots=True)
class Found:
    """A document that a query found, and where it lies in the index."""

    candidate: Candidate
    address: tantivy.DocAddress


def arranged(matches: Iterable[Found], request: RetrieveRequest) -> list[Found]:
    """The first `top_k` in the order of `sort`, or by (-score, doc_id) without one, and of each group only the first.

    Documents without the value come last, and are one group together.
    """
    sort, collapse = request.sort, request.collapse
    rows = list(matches)
    rows.sort(key=lambda row: row.candidate.doc_id if sort else (-row.candidate.score, row.candidate.doc_id))
    for key in reversed(sort):
        rows = _by_key(rows, key)
    if collapse is not None:
        first: dict[Value | None, Found] = {}
        for row in rows:
            first.setdefault(value_of(row.candidate, collapse), row)
        rows = [_changed(row, group=group) for group, row in first.items()]
    rows = rows[: request.top_k]
    if sort:
        rows = [_changed(row, sort_values=tuple(_shown(row.candidate, key.field) for key in sort)) for row in rows]
    return rows


def value_of(candidate: Candidate, field: str) -> Any:
    """What the field of one value holds, a date in milliseconds since 1970; None if it holds nothing."""
    value = candidate.doc_id if field == "doc_id" else candidate.source.get(field)
    if value is None or len(value) > KEYWORD_CHARACTERS:
        return None
    return milliseconds(datetime.fromisoformat(value)) if _is_date(field) else value


def _by_key(rows: Sequence[Found], key: SortKey) -> list[Found]:
    """Stable, in both directions."""
    valued = [(value_of(row.candidate, key.field), row) for row in rows]
    having = [each for each in valued if each[0] is not None]
    having.sort(key=lambda each: each[0], reverse=key.descending)
    return [row for _, row in having] + [row for value, row in valued if value is None]


def _shown(candidate: Candidate, field: str) -> Any:
    value = value_of(candidate, field)
    return written(value) if value is not None and _is_date(field) else value


def _changed(row: Found, **parts: Any) -> Found:
    return Found(replace(row.candidate, **parts), row.address)


def _is_date(field: str) -> bool:
    return MANAGED.fields[field].kind is FieldKind.DATE
