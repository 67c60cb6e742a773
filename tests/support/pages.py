"""Every page of a search, from a window that may hold anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

from searchsvc.account import Account
from searchsvc.cursor import Cursor, Line, fingerprint, read_cursor
from searchsvc.model import Deadline, ScoreKind, SearchRequest, WeightedQuery
from searchsvc.paging import page_after
from searchsvc.protocols import Pages
from searchsvc.result import Total

INDEX = "documents"


def behind(window: Sequence[str], *, request: SearchRequest, shown: int) -> Cursor:
    """The cursor of a first page that showed the first `shown` documents of such a window."""
    lines = tuple(
        Line(doc_id=doc_id, score=0.5, score_kind=ScoreKind.LOGIT, retrieval=None, rerank=None, group=None)
        for doc_id in window
    )
    total = Total(value=1, relation="gte")
    return Cursor(fingerprint=fingerprint(request, INDEX), window=lines, total=total, shown=shown)


async def all_pages(
    cursor: Cursor | None, *, request: SearchRequest, query: WeightedQuery, pages: Pages, sizes: Sequence[int]
) -> list[tuple[int, str]]:
    """Rank and id of every line of every page from there on; the sizes of the pages take turns."""
    lines: list[tuple[int, str]] = []
    for size in cycle(sizes):
        if cursor is None:
            return lines
        account = Account(replace(request, top_k=size), Deadline.after_ms(20_000))
        result = await page_after(cursor, pages=pages, query=query, account=account, marks=())
        assert len(result.hits) <= size
        lines += [(hit.rank, hit.candidate.doc_id) for hit in result.hits]
        cursor = None if result.next_cursor is None else read_cursor(result.next_cursor, request, INDEX)
    raise AssertionError
