"""Pages after the first: every document once, the window first, then the original order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from searchsvc.account import Account
from searchsvc.cursor import Cursor, Line
from searchsvc.model import Candidate, Deadline, ScoreKind, SearchRequest, WeightedQuery
from searchsvc.paging import page_after
from searchsvc.protocols import BasePage, RetrieveRequest
from searchsvc.result import SearchResult, Total

QUERY = WeightedQuery(text="q", terms=())


class ListedPages:
    """The original order as a list of ids; `gone` are no longer in the index."""

    def __init__(self, order: Sequence[str], gone: frozenset[str] = frozenset()) -> None:
        self.order = order
        self.gone = gone

    async def base(self, request: RetrieveRequest, *, start: int, view: str) -> BasePage:
        stretch = self.order[start : start + request.top_k]
        candidates = tuple(Candidate(doc_id=doc_id, score=1.0, group=doc_id[0]) for doc_id in stretch)
        if request.collapse is None:
            candidates = tuple(Candidate(doc_id=each.doc_id, score=1.0) for each in candidates)
        return BasePage(candidates=candidates, last=start + request.top_k >= len(self.order), view=view or "view")

    async def documents(self, request: RetrieveRequest, doc_ids: Sequence[str]) -> Mapping[str, Candidate]:
        return {doc_id: Candidate(doc_id=doc_id, score=0.0) for doc_id in doc_ids if doc_id not in self.gone}


def line(doc_id: str, group: str | None = None) -> Line:
    return Line(doc_id=doc_id, score=1.0, score_kind=ScoreKind.LOGIT, retrieval=None, rerank=None, group=group)


def page(cursor: Cursor, pages: ListedPages, size: int, collapse: str | None = None) -> tuple[SearchResult, Account]:
    account = Account(
        SearchRequest(query_id="1", user_query="q", top_k=size, collapse=collapse), Deadline.after_ms(10_000)
    )
    return asyncio.run(page_after(cursor, pages=pages, query=QUERY, account=account, marks=())), account


def every_page(
    monkey_cursor: Cursor, pages: ListedPages, sizes: Sequence[int], collapse: str | None = None
) -> list[tuple[int, str]]:
    from searchsvc.cursor import _decoded

    shown: list[tuple[int, str]] = []
    cursor: Cursor | None = monkey_cursor
    for turn in range(1000):
        result, _ = page(cursor, pages, sizes[turn % len(sizes)], collapse)
        shown += [(hit.rank, hit.candidate.doc_id) for hit in result.hits]
        if result.next_cursor is None:
            return shown
        cursor = _decoded(result.next_cursor)
    raise AssertionError("the pages do not end")


def start(window: Sequence[Line], total: int = 10**6) -> Cursor:
    return Cursor(fingerprint="f", window=tuple(window), total=Total(value=total, relation="gte"), shown=0)


ids = st.lists(st.text("abcdef", min_size=2, max_size=3), unique=True, max_size=40)


@given(ids, ids, st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_every_document_comes_once_the_window_first(window: list[str], order: list[str], sizes: list[int]) -> None:
    shown = every_page(start([line(doc_id) for doc_id in window]), ListedPages(order), sizes)
    expected = [*window, *(doc_id for doc_id in order if doc_id not in window)]
    assert [doc_id for _, doc_id in shown] == expected
    assert [rank for rank, _ in shown] == list(range(1, len(expected) + 1))


@given(ids, st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_a_group_that_the_window_has_does_not_come_again(order: list[str], sizes: list[int]) -> None:
    firsts = list({doc_id[0]: doc_id for doc_id in reversed(order)}.values())
    shown = every_page(start([line("zz", group="a")]), ListedPages(firsts), sizes, collapse="thread")
    assert [doc_id for _, doc_id in shown] == ["zz", *(doc_id for doc_id in firsts if doc_id[0] != "a")]


def test_a_document_that_was_deleted_since_leaves_a_gap_and_nothing_else() -> None:
    pages = ListedPages(["b", "d"], gone=frozenset("b"))
    assert every_page(start([line("a"), line("b"), line("c")]), pages, [2]) == [(1, "a"), (3, "c"), (4, "d")]


def test_what_a_view_of_the_index_holds_is_shown_only_if_the_index_itself_shows_it() -> None:
    """Views come back from clients: one may be forged."""
    pages = ListedPages(["b", "hidden", "d"], gone=frozenset({"hidden"}))
    assert every_page(start([line("a")]), pages, [2, 1]) == [(1, "a"), (2, "b"), (4, "d")]


def test_the_stages_say_that_later_pages_are_cut_and_not_made() -> None:
    result, account = page(start([line("a")]), ListedPages(["a", "b"]), 5)
    by_stage = {str(trace.stage): trace for trace in account.stages()}
    assert by_stage["retrieve"].detail["from_window"] == 1
    assert by_stage["retrieve"].detail["behind_window"] == 1
    assert by_stage["expand"].message == by_stage["rerank"].message == "decided on the first page"
    assert not result.degraded
