"""The service: check the request, open its index, run that index's pipeline inside one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from searchsvc.documents import FILTER_FIELDS, clean
from searchsvc.errors import BackendTimeout, InvalidRequest, UnknownIndex, json_pointer
from searchsvc.model import AnyOf, Deadline, Range, SearchRequest
from searchsvc.pipeline import Pipeline
from searchsvc.protocols import Engine, OpenIndex, Retriever
from searchsvc.result import SearchResult
from searchsvc.suggest import did_you_mean

MAX_QUERY_CHARACTERS = 8192
MAX_DEPTH = 200
"""How many candidates may be retrieved and reranked for one answer (rerankers get worse beyond: arXiv 2411.11767)."""


class SearchService:
    """Searches the indices of one engine."""

    def __init__(self, engine: Engine, assemble: Callable[[OpenIndex], Pipeline]) -> None:
        """`assemble` makes the pipeline of an index; it is called once per physical index."""
        self._engine = engine
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
                pipeline = await self.pipeline(request.index)
        except TimeoutError as error:
            raise BackendTimeout(f"The index {request.index} could not be opened in time.") from error
        if retriever is not None:
            pipeline = replace(pipeline, retriever=retriever)
        return await pipeline.search(request, deadline)

    async def pipeline(self, index: str) -> Pipeline:
        """The pipeline of a published index. Raises UnknownIndex, StageError."""
        try:
            opened = await self._engine.open(index)
        except UnknownIndex as error:
            names = await self._engine.names()
            raise UnknownIndex(error.message, hint=did_you_mean(index, names) if names else error.hint) from None
        known = self._pipelines.get(index)
        if known is None or known[0] is not opened:
            known = (opened, self._assemble(opened))
            self._pipelines[index] = known
        return known[1]


def checked(request: SearchRequest) -> SearchRequest:
    """The request with a clean query. Raises InvalidRequest naming the field and the next step."""
    if len(request.user_query) > MAX_QUERY_CHARACTERS:
        raise InvalidRequest(
            f"The query has {len(request.user_query)} characters; at most {MAX_QUERY_CHARACTERS} are allowed.",
            pointer="/query",
            hint="Shorten it to what you are looking for.",
        )
    query = clean(request.user_query).strip()
    if not query:
        raise InvalidRequest("The query is empty.", pointer="/query", hint="Send at least one word.")
    _check_filters(request)
    return replace(request, user_query=query)


def check_window(request: SearchRequest) -> None:
    """Pages are cut from one window of `depth` candidates. Raises InvalidRequest if this one reaches past it."""
    depth = request.rerank.depth
    if request.offset + request.top_k <= depth:
        return
    raise InvalidRequest(
        f"from + size is {request.offset + request.top_k}, beyond depth, which is {depth}.",
        pointer="/size",
        hint="Ask for less." if depth == MAX_DEPTH else f"Ask for less, or raise rerank.depth (at most {MAX_DEPTH}).",
    )


def _check_filters(request: SearchRequest) -> None:
    for condition in request.filters:
        pointer = json_pointer("filters", condition.field)
        kind = FILTER_FIELDS.get(condition.field)
        if kind is None:
            raise InvalidRequest(
                f"There is no filter field {condition.field!r}.",
                pointer=pointer,
                hint=f"Fields that can be filtered: {', '.join(FILTER_FIELDS)}.",
            )
        if isinstance(condition, Range) and kind != "date":
            raise InvalidRequest(
                f"The field {condition.field!r} holds words; gte, gt, lte and lt work on updated_at only.",
                pointer=pointer,
                hint="Give a value or a list of values.",
            )
        if kind == "date":
            _check_times(condition, pointer)


def _check_times(condition: AnyOf | Range, pointer: str) -> None:
    if isinstance(condition, AnyOf):
        values: tuple[str | None, ...] = condition.values
    else:
        values = (condition.gte, condition.gt, condition.lte, condition.lt)
    for value in values:
        if value is None:
            continue
        try:
            time = datetime.fromisoformat(value)
            if (time.utcoffset() or timedelta()) % timedelta(minutes=1):
                raise ValueError(value)
            time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            raise InvalidRequest(
                f"{value!r} is no time.", pointer=pointer, hint="Write ISO 8601, such as 2026-01-31T12:00:00Z."
            ) from None
