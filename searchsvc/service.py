"""The service: check the request, open its index, run that index's pipeline inside one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from searchsvc import forms
from searchsvc.account import Account
from searchsvc.checks import check_fields, checked
from searchsvc.cursor import first_cursor, read_cursor
from searchsvc.errors import BackendTimeout, InvalidRequest, UnknownIndex
from searchsvc.model import FIRST_PAGE, Deadline, Mode, SearchRequest
from searchsvc.paging import page_after
from searchsvc.pipeline import Pipeline
from searchsvc.protocols import Engine, OpenIndex, Retriever
from searchsvc.result import SearchResult
from searchsvc.suggest import did_you_mean


class SearchService:
    """Searches the indices of one engine."""

    def __init__(
        self,
        engine: Engine,
        assemble: Callable[[OpenIndex], Pipeline],
        *,
        methods: Sequence[str] = (),
        raw_filters: bool = False,
    ) -> None:
        """`assemble` makes the pipeline of an index; it is called once per physical index.

        `methods`: of expansion, those that an index can have. `raw_filters`: whether requests may filter in the search
        engine's own words.
        """
        self.methods = tuple(methods)
        self._engine = engine
        self._raw_filters = raw_filters
        self._assemble = assemble
        self._pipelines: dict[str, tuple[OpenIndex, Pipeline]] = {}

    async def search(self, request: SearchRequest, *, retriever: Retriever | None = None) -> SearchResult:
        """Run one search; `retriever` takes the place of the index's own (recorded candidates).

        Raises InvalidRequest, UnknownIndex, StageError.
        """
        deadline = Deadline.after_ms(request.timeout_ms)
        request = checked(request)
        try:
            async with asyncio.timeout(deadline.left_s()):
                opened, pipeline = await self._opened(request.index)
        except TimeoutError as error:
            raise BackendTimeout(f"The index {request.index} could not be opened in time.") from error
        check_fields(request, opened.schema, raw_filters=self._raw_filters)
        if retriever is not None:
            pipeline = replace(pipeline, retriever=retriever)
        if request.cursor in (None, FIRST_PAGE):
            return _with_cursor(await pipeline.search(request, deadline), request, opened)
        return await self._later_page(request, opened, pipeline, deadline)

    async def expand(self, request: SearchRequest) -> SearchResult:
        """What the expansion of the query comes to: no hits, no second retrieval, no reranking.

        The original query is retrieved for the methods that read what it finds. Raises as `search`.
        """
        options = replace(request.expansion, retrieves=False)
        rerank = replace(request.rerank, mode=Mode.OFF)
        return await self.search(replace(request, top_k=0, offset=0, cursor=None, expansion=options, rerank=rerank))

    async def opened(self, index: str) -> OpenIndex:
        """A published index. Raises UnknownIndex with the nearest right name, StageError."""
        return (await self._opened(index))[0]

    async def pipeline(self, index: str) -> Pipeline:
        """The pipeline of a published index. Raises UnknownIndex, StageError."""
        return (await self._opened(index))[1]

    async def _opened(self, index: str) -> tuple[OpenIndex, Pipeline]:
        try:
            opened = await self._engine.open(index)
        except UnknownIndex as error:
            names = await self._engine.names()
            raise UnknownIndex(error.message, hint=did_you_mean(index, names) if names else error.hint) from None
        known = self._pipelines.get(index)
        if known is None or known[0] is not opened:
            known = (opened, self._assemble(opened))
            self._pipelines[index] = known
        return known

    async def _later_page(
        self, request: SearchRequest, opened: OpenIndex, pipeline: Pipeline, deadline: Deadline
    ) -> SearchResult:
        cursor = read_cursor(request.cursor or "", request, opened.physical)
        if not request.top_k:
            raise InvalidRequest("A page of size 0 leads nowhere.", pointer="/size", hint="Ask for 1 or more.")
        query = forms.plain_query(request.user_query, pipeline.analyze(request.user_query))
        return await page_after(
            cursor,
            pages=opened.pages,
            query=query,
            account=Account(request, deadline),
            marks=pipeline.marks(request.user_query),
        )


def _with_cursor(result: SearchResult, request: SearchRequest, opened: OpenIndex) -> SearchResult:
    """The result, with where the next page begins if that was asked for."""
    if request.cursor is None:
        return result
    cursor = first_cursor(request, opened.physical, result.window, result.total)
    return replace(result, next_cursor=None if cursor.exhausted else cursor.encoded())
