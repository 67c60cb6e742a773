"""Runs the queries of a collection through the service, one after the other, and keeps what came of each."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from searchsvc.errors import Reason, SearchError
from searchsvc.evaluation.variants import Variant
from searchsvc.model import SearchRequest
from searchsvc.result import SearchResult, StageStatus, StageTrace

Search = Callable[[SearchRequest], Awaitable[SearchResult]]
"""The service's search."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a search asked of language models."""

    calls: int = 0
    input: int = 0
    output: int = 0
    unknown: int = 0
    """Calls whose tokens the server did not tell: they are in neither sum."""

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.calls + other.calls,
            self.input + other.input,
            self.output + other.output,
            self.unknown + other.unknown,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantRun:
    """What one variant made of the queries."""

    variant: Variant
    rankings: Mapping[str, tuple[str, ...]]
    """Ids of documents, best first, by query id."""
    took_ms: Mapping[str, float]
    """Of the whole search, by query id."""
    missed: Mapping[str, tuple[StageTrace, ...]]
    """The stages that the variant asks for and a query did without, by query id; nothing for all others."""
    tokens: Mapping[str, Tokens]
    """By query id."""


async def run_variant(
    variant: Variant,
    queries: Mapping[str, str],
    *,
    index: str,
    depth: int,
    search: Search,
    done: Callable[[], None],
) -> VariantRun:
    """Search for every query, one at a time so that the times are those of a lone search.

    `done` is called after each.
    Raises SearchError naming variant and query if a search has no answer: a figure without it would lie.
    """
    rankings: dict[str, tuple[str, ...]] = {}
    took_ms: dict[str, float] = {}
    missed: dict[str, tuple[StageTrace, ...]] = {}
    tokens: dict[str, Tokens] = {}
    for query_id, user_query in queries.items():
        started = time.perf_counter()
        result = await answered(search, variant, variant.request(query_id, user_query, index=index, depth=depth))
        took_ms[query_id] = (time.perf_counter() - started) * 1000
        rankings[query_id] = tuple(hit.candidate.doc_id for hit in result.hits)
        if traces := tuple(filter(is_missed, result.stages)):
            missed[query_id] = traces
        tokens[query_id] = sum(map(_tokens, result.stages), Tokens())
        done()
    return VariantRun(variant=variant, rankings=rankings, took_ms=took_ms, missed=missed, tokens=tokens)


async def answered(search: Search, variant: Variant, request: SearchRequest) -> SearchResult:
    """The answer. Raises SearchError naming variant and query."""
    try:
        return await search(request)
    except SearchError as error:
        error.message = f"Variant {variant.name}, query {request.query_id!r}: {error.message}"
        raise


def is_missed(trace: StageTrace) -> bool:
    """Degraded, or skipped for want of a part: then the variant is not what its name says."""
    return trace.status is StageStatus.DEGRADED or trace.reason is Reason.NOT_CONFIGURED


def _tokens(trace: StageTrace) -> Tokens:
    counts = [(call.get("input_tokens"), call.get("output_tokens")) for call in trace.detail.get("calls", ())]
    return Tokens(
        calls=len(counts),
        input=sum(read or 0 for read, _ in counts),
        output=sum(written or 0 for _, written in counts),
        unknown=sum(read is None or written is None for read, written in counts),
    )
