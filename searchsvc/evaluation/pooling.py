"""What is to be judged: the best documents of some variants, each once, without a trace of who found it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from searchsvc.errors import StageError
from searchsvc.evaluation.judging import POOL_DEPTH, Pair, blind_order, can_be_written
from searchsvc.evaluation.runner import Search, is_missed
from searchsvc.evaluation.variants import Variant
from searchsvc.model import Candidate

_MAX_CHARACTERS = 4000
"""Of a text that is kept: judges see half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The pairs to be judged, and what is not among them."""

    pairs: tuple[Pair, ...]
    """Query by query, in the order of the file; within a query in blind order."""
    failed: Mapping[str, StageError]
    """Queries that a search failed for, by id: a pool that lacks one variant's documents would favour the others."""
    empty: tuple[str, ...]
    """Ids of the queries that no variant found a document for."""
    degraded: Mapping[str, int]
    """By name of a variant: how many of its searches lacked a stage that it asks for."""
    unwritable: int
    """Documents whose id cannot stand in a line of tab-separated columns."""


async def pool(
    queries: Mapping[str, str],
    variants: Sequence[Variant],
    *,
    index: str,
    search: Search,
    done: Callable[[], None],
) -> Pool:
    """Search for every query by every variant and pool the best of each; `done` is called after each query.

    Raises SearchError where no search can have an answer (an unknown index), and if every query failed.
    """
    pairs: list[Pair] = []
    failed: dict[str, StageError] = {}
    empty: list[str] = []
    degraded = {variant.name: 0 for variant in variants}
    unwritable = 0
    for query_id, user_query in queries.items():
        found: dict[str, Candidate] = {}
        try:
            for variant in variants:
                result = await search(variant.request(query_id, user_query, index=index, depth=POOL_DEPTH))
                found |= {hit.candidate.doc_id: hit.candidate for hit in result.hits[:POOL_DEPTH]}
                degraded[variant.name] += any(map(is_missed, result.stages))
        except StageError as error:
            failed[query_id] = error
            found = {}
        else:
            empty += [] if found else [query_id]
        written = list(filter(can_be_written, found))
        unwritable += len(found) - len(written)
        pairs += (_pair(query_id, user_query, found[doc_id]) for doc_id in blind_order(query_id, written))
        done()
    if failed and len(failed) == len(queries):
        raise next(iter(failed.values()))
    return Pool(pairs=tuple(pairs), failed=failed, empty=tuple(empty), degraded=degraded, unwritable=unwritable)


def _pair(query_id: str, user_query: str, candidate: Candidate) -> Pair:
    return Pair(
        query_id=query_id,
        doc_id=candidate.doc_id,
        user_query=user_query,
        title=candidate.title[:_MAX_CHARACTERS],
        text=(candidate.text or candidate.passage)[:_MAX_CHARACTERS],
        passage=candidate.passage[:_MAX_CHARACTERS],
    )
