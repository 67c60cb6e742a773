"""Scores for a window of candidates: all of it at once, or the first pass beside the expansion and then the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import cast

from searchsvc.errors import BadModelOutput
from searchsvc.model import Candidate, Deadline, Ranking, RerankQuery, SearchRequest
from searchsvc.protocols import Reranker
from searchsvc.result import Reranking


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Scores of an earlier pass, which hold whatever else is read: the reranker is pointwise."""

    reranking: Reranking
    scores: Mapping[str, float] = field(default_factory=dict)
    """By doc_id."""


def known(window: Ranking, reranking: Reranking) -> Known:
    """The scores of a first pass over `window`."""
    pairs = zip(window, reranking.scores, strict=True)
    return Known(reranking=reranking, scores={each.doc_id: score for each, score in pairs if score is not None})


async def first_scores(reranker: Reranker, window: Ranking, request: SearchRequest, deadline: Deadline) -> Reranking:
    """A score for every candidate by the original query. Raises StageError."""
    return await reranker.rerank(
        request.user_query,
        window.candidates,
        top_k=len(window),
        instruction=request.rerank.instruction,
        deadline=deadline,
    )


async def all_scores(
    reranker: Reranker, window: Ranking, request: SearchRequest, deadline: Deadline, *, expanded_query: str
) -> Reranking:
    """One score per candidate; for two queries the mean of both. Raises StageError."""
    queries = {
        RerankQuery.ORIGINAL: (request.user_query,),
        RerankQuery.EXPANDED: (expanded_query,),
        RerankQuery.BOTH: (request.user_query, expanded_query),
    }[request.rerank.query]
    whole = len(queries) > 1 or request.cursor is not None
    top_k = len(window) if whole else request.offset + request.top_k
    every = [
        await reranker.rerank(
            query, window.candidates, top_k=top_k, instruction=request.rerank.instruction, deadline=deadline
        )
        for query in queries
    ]
    if len(every) == 1:
        return every[0]
    means = (
        None if None in scores else fmean(cast("tuple[float, ...]", scores))
        for scores in zip(*(each.scores for each in every), strict=True)
    )
    return replace(every[0], scores=tuple(means))


async def with_new_scores(
    earlier: Known, reranker: Reranker, window: Ranking, request: SearchRequest, deadline: Deadline
) -> Reranking:
    """One score per candidate: those that are known, and new ones for the documents that only the expansion found.

    Raises StageError; scores of two models are never mixed.
    """
    new = tuple(each for each in window if each.doc_id not in earlier.scores)
    first, scores = earlier.reranking, dict(earlier.scores)
    if new:
        later = await first_scores(reranker, Ranking(candidates=new, score_kind=window.score_kind), request, deadline)
        if (later.model, later.score_kind) != (first.model, first.score_kind):
            raise BadModelOutput(f"The reranker changed from {first.model} to {later.model} between two calls.")
        scores |= _scored(new, later)
    return replace(
        first,
        scores=tuple(scores[each.doc_id] for each in window),
        detail={**first.detail, "first_pass": len(first.scores), "new": len(new)},
    )


def _scored(candidates: Sequence[Candidate], reranking: Reranking) -> dict[str, float]:
    pairs = zip(candidates, reranking.scores, strict=True)
    return {each.doc_id: cast("float", score) for each, score in pairs}
