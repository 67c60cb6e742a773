"""Cursors: where the next page begins, as an opaque text that holds all that the next page needs.

No replica keeps anything. A cursor holds the order of the window, which another run of the models might give
differently, the place in the original query's order that goes on behind it, and a fingerprint of the search that it
belongs to. It grants nothing: every page asks the index again, with the rights of whoever asks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from dataclasses import dataclass, replace
from typing import Any, Literal

from searchsvc.errors import InvalidRequest
from searchsvc.model import ScoreKind, SearchRequest, Value
from searchsvc.result import Placement, RankedCandidate, Total

_VERSION = 1
_MAX_BYTES = 1 << 20
"""Of a decoded cursor: a window of 200 documents with the longest ids is half of it."""
_MAX_LINES = 200
"""Of a window: as deep as a search may go."""
_AGAIN = 'Start again with cursor "*".'


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One document of the window, and where the stages put it."""

    doc_id: str
    score: float
    score_kind: ScoreKind
    retrieval: Placement | None
    rerank: Placement | None
    group: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where the next page begins."""

    fingerprint: str
    """Of the search: `fingerprint`."""
    window: tuple[Line, ...]
    """In the final order."""
    total: Total
    shown: int
    """Lines of all pages so far."""
    base: int = 0
    """Places of the original query's order that were looked at behind the window."""
    view: str = ""
    """The state of the index that they were read from."""

    @property
    def exhausted(self) -> bool:
        """Every match of the original query is in the window, and all of it was shown."""
        found = sum(line.retrieval is not None for line in self.window)
        return self.shown >= len(self.window) and self.total.relation == "eq" and found >= self.total.value

    def encoded(self) -> str:
        """As text: URL-safe, some 20 bytes a document of the window beside its id."""
        lines = [
            [line.doc_id, line.score, line.score_kind, _pair(line.retrieval), _pair(line.rerank), line.group]
            for line in self.window
        ]
        value = [_VERSION, self.fingerprint, lines, [self.total.value, self.total.relation]]
        written = json.dumps([*value, self.shown, self.base, self.view], separators=(",", ":"))
        return base64.urlsafe_b64encode(zlib.compress(written.encode())).decode().rstrip("=")


def first_cursor(request: SearchRequest, index: str, window: tuple[RankedCandidate, ...], total: Total) -> Cursor:
    """The cursor behind the first page of a search on the physical index `index`."""
    lines = tuple(
        Line(
            doc_id=each.candidate.doc_id,
            score=each.score,
            score_kind=each.score_kind,
            retrieval=each.retrieval,
            rerank=each.rerank,
            group=each.candidate.group,
        )
        for each in window
    )
    shown = min(request.top_k, len(lines))
    return Cursor(fingerprint=fingerprint(request, index), window=lines, total=total, shown=shown)


def read_cursor(written: str, request: SearchRequest, index: str) -> Cursor:
    """The cursor that a client sends back. Raises InvalidRequest if it is damaged or belongs to another search."""
    try:
        cursor = _decoded(written)
    except (ValueError, TypeError, LookupError, ArithmeticError, binascii.Error, zlib.error, RecursionError):
        raise InvalidRequest("The cursor is damaged.", pointer="/cursor", hint=_AGAIN) from None
    if cursor.fingerprint != fingerprint(request, index):
        raise InvalidRequest(
            "The cursor belongs to another search: query, index, filters, expansion, rerank, sort, collapse and the"
            " caller must be those of the first page, and the index behind the name must not have changed.",
            pointer="/cursor",
            hint=_AGAIN,
        )
    return cursor


def fingerprint(request: SearchRequest, index: str) -> str:
    """The same for all pages of a search and for no other search, caller or physical index."""
    caller = "" if request.caller is None else request.caller.identity
    same = replace(
        request, query_id="", top_k=0, offset=0, explain=False, timeout_ms=0, client_id=None, cursor=None, caller=None,
        fields=None, facets=(), highlight=(),
    )  # fmt: skip
    return hashlib.sha256(repr((index, caller, same)).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _decoded(written: str) -> Cursor:
    packed = base64.b64decode(written.encode() + b"=" * (-len(written) % 4), altchars=b"-_", validate=True)
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(packed, _MAX_BYTES)
    if not unpacking.eof:
        raise ValueError("too long")
    version, found, lines, total, shown, base, view = json.loads(text)
    if len(lines) > _MAX_LINES:
        raise ValueError("too long")
    if version != _VERSION or not (isinstance(shown, int) and isinstance(base, int) and shown >= 0 and base >= 0):
        raise ValueError("not of this version")
    return Cursor(
        fingerprint=str(found),
        window=tuple(_line(line) for line in lines),
        total=Total(value=int(total[0]), relation=_relation(total[1])),
        shown=shown,
        base=base,
        view=str(view),
    )


def _line(written: Any) -> Line:
    doc_id, score, kind, retrieval, rerank, group = written
    if not isinstance(group, Value | None):
        raise TypeError(group)
    return Line(
        doc_id=str(doc_id),
        score=float(score),
        score_kind=ScoreKind(kind),
        retrieval=_placement(retrieval),
        rerank=_placement(rerank),
        group=group,
    )


def _pair(placement: Placement | None) -> list[float] | None:
    return None if placement is None else [placement.rank, placement.score]


def _placement(pair: Any) -> Placement | None:
    return None if pair is None else Placement(rank=int(pair[0]), score=float(pair[1]))


def _relation(word: str) -> Literal["eq", "gte"]:
    return "gte" if word == "gte" else "eq"
