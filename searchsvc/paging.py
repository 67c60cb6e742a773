"""Pages after the first: the rest of the window, then the original query's own order without the window's documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from searchsvc.account import Account
from searchsvc.cursor import Cursor, Line
from searchsvc.errors import Reason
from searchsvc.model import Candidate, Ranking, ScoreKind, WeightedQuery
from searchsvc.policy.rules import Decision
from searchsvc.protocols import Pages, RetrieveRequest
from searchsvc.result import Placement, RankedCandidate, Retrieval, SearchResult, Stage, Total

_LATER = "decided on the first page"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The lines of one page, and where the next one begins."""

    lines: tuple[RankedCandidate, ...]
    following: Cursor | None
    """None: this is the last page."""


async def page_after(
    cursor: Cursor, *, pages: Pages, query: WeightedQuery, account: Account, marks: Sequence[str]
) -> SearchResult:
    """The page that begins at `cursor`. Raises InvalidRequest if the cursor's view of the index is gone, StageError."""
    request = account.request
    wanted = RetrieveRequest(
        query=query,
        top_k=request.top_k,
        deadline=account.deadline,
        filters=request.filters,
        sort=request.sort,
        collapse=request.collapse,
        caller=request.caller,
    )
    reading = _Reading(cursor, wanted, pages)
    await account.required(Stage.RETRIEVE, reading.read())
    account.skip_expansion(Reason.NOTHING_TO_DO, Decision(False, _LATER))
    account.skip(Stage.RERANK, Reason.NOTHING_TO_DO, _LATER)
    return SearchResult(
        query_id=request.query_id,
        user_query=request.user_query,
        expanded_query=None,
        expansion=account.expansion_account(),
        total=cursor.total,
        hits=reading.page.lines,
        stages=account.stages(),
        took_ms=account.took_ms(),
        matched_terms=frozenset(marks),
        next_cursor=None if reading.page.following is None else reading.page.following.encoded(),
    )


class _Reading:
    """Reads one page."""

    def __init__(self, cursor: Cursor, request: RetrieveRequest, pages: Pages) -> None:
        self._cursor = cursor
        self._request = request
        self._pages = pages
        self.page = Page(lines=(), following=cursor)

    async def read(self) -> Retrieval:
        """Fill `page`; what the account is told of it."""
        cursor, size = self._cursor, self._request.top_k
        rest = cursor.window[cursor.shown : cursor.shown + size]
        lines = list(await self._of_window(rest)) if rest else []
        cursor = replace(cursor, shown=cursor.shown + len(rest))
        following = None if cursor.exhausted else cursor
        if len(rest) < size and not cursor.exhausted:
            base = await self._behind(cursor, size - len(rest))
            lines += base.lines
            following = base.following
        self.page = Page(lines=tuple(lines), following=following)
        detail = {"from_window": len(rest), "behind_window": len(lines) - len(rest)}
        return Retrieval(ranking=_ranking(lines), total=Total(value=len(lines)), detail=detail)

    async def _of_window(self, rest: Sequence[Line]) -> Iterator[RankedCandidate]:
        """The lines whose documents are still there."""
        found = await self._pages.documents(self._request, [line.doc_id for line in rest])
        numbered = enumerate(rest, self._cursor.shown + 1)
        return (_as_it_was(line, rank, found[line.doc_id]) for rank, line in numbered if line.doc_id in found)

    async def _behind(self, cursor: Cursor, size: int) -> Page:
        """Up to `size` lines of the original order, without the window's documents and groups."""
        in_window = {line.doc_id for line in cursor.window}
        groups = set() if self._request.collapse is None else {line.group for line in cursor.window}
        wanted = replace(self._request, top_k=size + len(in_window))
        stretch = await self._pages.base(wanted, start=cursor.base, view=cursor.view)
        lines: list[RankedCandidate] = []
        place = cursor.base
        for candidate in stretch.candidates:
            if len(lines) == size:
                break
            place += 1
            if candidate.doc_id not in in_window and candidate.group not in groups:
                lines.append(_behind_window(candidate, place, rank=cursor.shown + len(lines) + 1))
        seen = tuple(await self._still_there(lines))
        if stretch.last and place - cursor.base == len(stretch.candidates):
            return Page(lines=seen, following=None)
        following = replace(cursor, shown=cursor.shown + len(lines), base=place, view=stretch.view)
        return Page(lines=seen, following=following)

    async def _still_there(self, lines: Sequence[RankedCandidate]) -> Iterator[RankedCandidate]:
        """The lines with their documents as they are now.

        The view comes from a client, and one of another index or without the filter of an alias is easily made.
        """
        found = await self._pages.documents(self._request, [line.candidate.doc_id for line in lines])
        return (
            replace(line, candidate=replace(line.candidate, source=now.source, reading=now.reading))
            for line in lines
            if (now := found.get(line.candidate.doc_id)) is not None
        )


def _as_it_was(line: Line, rank: int, candidate: Candidate) -> RankedCandidate:
    return RankedCandidate(
        candidate=candidate,
        rank=rank,
        score=line.score,
        score_kind=line.score_kind,
        retrieval=line.retrieval,
        rerank=line.rerank,
    )


def _behind_window(candidate: Candidate, place: int, *, rank: int) -> RankedCandidate:
    return RankedCandidate(
        candidate=candidate,
        rank=rank,
        score=candidate.score,
        score_kind=ScoreKind.BM25,
        retrieval=Placement(rank=place, score=candidate.score),
        rerank=None,
    )


def _ranking(lines: Sequence[RankedCandidate]) -> Ranking:
    return Ranking(candidates=tuple(line.candidate for line in lines))
