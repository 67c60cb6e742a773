"""From the rankings of a search to its lines: placements by stage, and the explanation tree. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from searchsvc.model import Candidate, Explanation, Ranking, SearchRequest
from searchsvc.result import Placement, RankedCandidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Rankings:
    """What each stage left."""

    base: Ranking
    """By the original query alone."""
    retrieved: Ranking
    """After expansion, before reranking; `base` itself if there was none."""
    reranked: Ranking | None
    """The best by the reranker, as many as are read; None if reranking did not run."""
    label: str
    """What made `retrieved`, for the explanation."""
    model: str
    """What made `reranked`."""


def ranked_candidates(rankings: Rankings, request: SearchRequest) -> tuple[RankedCandidate, ...]:
    """The page that was asked for, each line with its way through the stages."""
    base = rankings.base.ranks()
    prefix = rankings.reranked or Ranking()
    order = _final_order(rankings)
    page = order[request.offset : request.offset + request.top_k]
    return tuple(
        RankedCandidate(
            candidate=candidate,
            rank=rank,
            score=candidate.score,
            score_kind=prefix.score_kind if rank <= len(prefix) else rankings.retrieved.score_kind,
            retrieval=_placement(rankings.base, base.get(candidate.doc_id)),
            rerank=Placement(rank=rank, score=candidate.score) if rank <= len(prefix) else None,
            explanation=_explain(candidate, rank, rankings) if request.explain else None,
        )
        for rank, candidate in enumerate(page, request.offset + 1)
    )


def _final_order(rankings: Rankings) -> tuple[Candidate, ...]:
    """The reranked, then the others in the order that they had."""
    if rankings.reranked is None:
        return rankings.retrieved.candidates
    placed = rankings.reranked.ranks()
    return rankings.reranked.candidates + tuple(each for each in rankings.retrieved if each.doc_id not in placed)


def _placement(ranking: Ranking, rank: int | None) -> Placement | None:
    return None if rank is None else Placement(rank=rank, score=ranking.candidates[rank - 1].score)


def _explain(candidate: Candidate, rank: int, rankings: Rankings) -> Explanation:
    retrieved = next(each for each in rankings.retrieved if each.doc_id == candidate.doc_id)
    terms = tuple(
        Explanation(value=value, description=f"term {term}")
        for term, value in sorted(candidate.contributions.items(), key=lambda item: -item[1])
    )
    details = [Explanation(value=retrieved.score, description=rankings.label, details=terms)]
    before = _placement(rankings.base, rankings.base.ranks().get(candidate.doc_id))
    if before is not None:
        details.append(Explanation(value=before.score, description=f"bm25 of the original query, rank {before.rank}"))
    if rankings.reranked is None or rank > len(rankings.reranked):
        return Explanation(
            value=candidate.score, description=f"rank {rank} by {rankings.label}", details=tuple(details)
        )
    description = f"rank {rank} by {rankings.reranked.score_kind} of {rankings.model}"
    return Explanation(value=candidate.score, description=description, details=tuple(details))
