"""Runs the queries of a collection through the service, one after the other, and keeps what came of each."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from searchsvc.errors import Reason, SearchError
from searchsvc.evaluation.variants import Variant
from searchsvc.model import SearchRequest
from searchsvc.result import Decided, ExpansionAccount, ExpansionTerm, SearchResult, StageStatus, StageTrace

Search = Callable[[SearchRequest], Awaitable[SearchResult]]
"""The service's search."""
_KNOWN = ("cache", "shared")
"""Where the answer of a model came from that was asked for somebody else."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a search asked of language models."""

    calls: int = 0
    input: int = 0
    output: int = 0
    unknown: int = 0
    """Calls whose tokens the server did not tell: they are in neither sum."""
    cached: int = 0
    """Answers that were there already, for another query or variant, and cost no call."""
    recorded: int = 0
    """Tokens that replayed answers took when they were recorded: in no other sum."""

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.calls + other.calls,
            self.input + other.input,
            self.output + other.output,
            self.unknown + other.unknown,
            self.cached + other.cached,
            self.recorded + other.recorded,
        )

    def __sub__(self, earlier: Tokens) -> Tokens:
        return Tokens(
            self.calls - earlier.calls,
            self.input - earlier.input,
            self.output - earlier.output,
            self.unknown - earlier.unknown,
            self.cached - earlier.cached,
            self.recorded - earlier.recorded,
        )

    def as_json(self) -> dict[str, int]:
        """The calls and what they took, as JSON values."""
        return {"calls": self.calls, "input": self.input, "output": self.output, "unknown": self.unknown}


Meter = Callable[[], Tokens]
"""What a chat model was asked so far: also what no search tells of, a call that came too late or to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A variant's way through the service."""

    search: Search
    meter: Meter | None = None
    """Of the chat model of its searches; None: what the searches tell is all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of the expansion of one query."""

    decision: Decided
    reason: str
    method: str | None = None
    terms: tuple[str, ...] = ()
    """Those that joined the query, as a person reads them, the heaviest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one variant made of one query."""

    ranking: tuple[str, ...]
    """Ids of documents, best first."""
    took_ms: float
    """Of the whole search."""
    missed: tuple[StageTrace, ...]
    """The stages that the variant asks for and the query did without."""
    tokens: Tokens
    added: Added


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
    added: Mapping[str, Added] = field(default_factory=dict)
    """What became of the expansion, by query id."""


class Outcomes:
    """What came of the queries so far: of each either all variants or none, so that the rest stays paired."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        self.variants = tuple(variants)
        self._by_query: dict[str, tuple[Outcome, ...]] = {}

    def __len__(self) -> int:
        """How many queries all variants have answered."""
        return len(self._by_query)

    def __contains__(self, query_id: object) -> bool:
        """Whether all variants have answered the query."""
        return query_id in self._by_query

    def add(self, query_id: str, outcomes: Sequence[Outcome]) -> None:
        """One outcome for each variant, in their order."""
        self._by_query[query_id] = tuple(outcomes)

    def runs(self) -> list[VariantRun]:
        """By variant what is there."""
        return [self._run(place, variant) for place, variant in enumerate(self.variants)]

    def _run(self, place: int, variant: Variant) -> VariantRun:
        found = {query_id: outcomes[place] for query_id, outcomes in self._by_query.items()}
        return VariantRun(
            variant=variant,
            rankings={query_id: each.ranking for query_id, each in found.items()},
            took_ms={query_id: each.took_ms for query_id, each in found.items()},
            missed={query_id: each.missed for query_id, each in found.items() if each.missed},
            tokens={query_id: each.tokens for query_id, each in found.items()},
            added={query_id: each.added for query_id, each in found.items()},
        )


async def run_queries(
    outcomes: Outcomes,
    queries: Mapping[str, str],
    *,
    index: str,
    depth: int,
    ways: Sequence[Way],
    done: Callable[[], None],
) -> None:
    """Search for every query by every variant, one at a time so that the times are those of a lone search.

    Query by query, so that what is done when somebody interrupts is done by all variants. Which variant is first goes
    round: whoever comes second finds the pages of the index read already. `ways` are those of the variants, in
    their order. `done` is called after each query.

    Raises SearchError naming variant and query if a search has no answer: a figure without it would lie.
    """
    places = list(enumerate(zip(outcomes.variants, ways, strict=True)))
    for number, (query_id, user_query) in enumerate(queries.items()):
        first = number % len(places)
        found: dict[int, Outcome] = {}
        for place, (variant, way) in places[first:] + places[:first]:
            request = variant.request(query_id, user_query, index=index, depth=depth)
            found[place] = await _outcome(way, variant, request)
        outcomes.add(query_id, [found[place] for place in sorted(found)])
        done()


async def answered(search: Search, variant: Variant, request: SearchRequest) -> SearchResult:
    """The answer. Raises SearchError naming variant and query."""
    try:
        return await search(request)
    except SearchError as error:
        error.message = f"Variant {variant.name}, query {request.query_id!r}: {error.message}"
        raise


def is_missed(trace: StageTrace) -> bool:
    """Degraded, or skipped for want of a part: then the variant is not what its name says. Pending is no fault."""
    return trace.status is StageStatus.DEGRADED or trace.reason is Reason.NOT_CONFIGURED


def timed(search: Search) -> Search:
    """`search`; its results tell the time that the caller waited, to which nothing wrapped around it adds."""

    async def searched(request: SearchRequest) -> SearchResult:
        started = time.perf_counter()
        result = await search(request)
        return replace(result, took_ms=(time.perf_counter() - started) * 1000)

    return searched


async def _outcome(way: Way, variant: Variant, request: SearchRequest) -> Outcome:
    before = Tokens() if way.meter is None else way.meter()
    result = await answered(way.search, variant, request)
    told = tokens_of(result)
    return Outcome(
        took_ms=result.took_ms,
        ranking=tuple(hit.candidate.doc_id for hit in result.hits),
        missed=tuple(filter(is_missed, result.stages)),
        tokens=told if way.meter is None else _metered(way.meter() - before, told),
        added=_added(result.expansion),
    )


def _metered(taken: Tokens, told: Tokens) -> Tokens:
    """What the model itself counts, with what only the search tells."""
    return replace(taken, unknown=told.unknown, cached=told.cached, recorded=told.recorded)


def _added(account: ExpansionAccount) -> Added:
    def weight(term: ExpansionTerm) -> float:
        return -term.weight

    kept = sorted((term for term in account.terms if term.kept), key=weight)
    return Added(
        decision=account.decision,
        reason=account.reason,
        method=account.method,
        terms=tuple(dict.fromkeys(term.surface or term.term for term in kept)),
    )


def tokens_of(result: SearchResult) -> Tokens:
    """What the search asked of language models."""
    return sum(map(_tokens, result.stages), Tokens())


def _tokens(trace: StageTrace) -> Tokens:
    """Of a stage whatever became of it: a call whose answer could not be used has cost the same."""
    counts = [(call.get("input_tokens"), call.get("output_tokens")) for call in trace.detail.get("calls", ())]
    methods = trace.detail.get("methods") or (trace.detail,)
    return Tokens(
        calls=len(counts),
        input=sum(read or 0 for read, _ in counts),
        output=sum(written or 0 for _, written in counts),
        unknown=sum(read is None or written is None for read, written in counts),
        cached=sum(method.get("completion") in _KNOWN for method in methods),
        recorded=sum(_recorded(method.get("recorded") or {}) for method in methods),
    )


def _recorded(cost: Mapping[str, Any]) -> int:
    return (cost.get("input_tokens") or 0) + (cost.get("output_tokens") or 0)
