"""From the rankings of a search to its lines: placements by stage, and the explanation tree. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from searchsvc.model import Candidate, Explanation, Ranking, SearchRequest
from searchsvc.result import Placement, RankedCandidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Rankings:
    """What each stage left."""

    base: Ranking
    """By the original query alone."""
    expanded: Ranking | None
    """By the expanded query, which takes the original's place; None without one."""
    expanded_label: str
    """How that query was made."""
    lists: Mapping[str, Ranking]
    """Those that were fused with that of the query, each by how it was made."""
    retrieved: Ranking
    """What went to the reranker: `base`, `expanded`, or all of them fused."""
    reranked: Ranking | None
    """The best by the reranker, as many as are read; None if reranking did not run."""
    label: str
    """The expansion and its form, for the explanation."""
    model: str
    """What made `reranked`."""
    parts: Mapping[str, Mapping[str, float]]
    """What its scores are sums of: by name, then by doc_id."""


def ranked_candidates(rankings: Rankings, request: SearchRequest) -> tuple[RankedCandidate, ...]:
    """The page that was asked for, each line with its way through the stages."""
    page = _final_order(rankings)[request.offset : request.offset + request.top_k]
    return _lines(rankings, page, after=request.offset, explain=request.explain)


def whole_window(rankings: Rankings) -> tuple[RankedCandidate, ...]:
    """All lines, without explanations: what later pages are cut from."""
    return _lines(rankings, _final_order(rankings), after=0, explain=False)


def _lines(
    rankings: Rankings, page: tuple[Candidate, ...], *, after: int, explain: bool
) -> tuple[RankedCandidate, ...]:
    base = rankings.base.ranks()
    prefix = rankings.reranked or Ranking()
    return tuple(
        RankedCandidate(
            candidate=candidate,
            rank=rank,
            score=candidate.score,
            score_kind=prefix.score_kind if rank <= len(prefix) else rankings.retrieved.score_kind,
            retrieval=_placement(rankings.base, base.get(candidate.doc_id)),
            rerank=Placement(rank=rank, score=candidate.score) if rank <= len(prefix) else None,
            explanation=_explain(candidate, rank, rankings) if explain else None,
        )
        for rank, candidate in enumerate(page, after + 1)
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
    retrieved = _explain_retrieval(candidate.doc_id, rankings)
    if rankings.reranked is None or rank > len(rankings.reranked):
        return Explanation(
            value=retrieved.value, description=f"rank {rank} by {retrieved.description}", details=retrieved.details
        )
    description = f"rank {rank} by {rankings.reranked.score_kind} of {rankings.model}"
    return Explanation(
        value=candidate.score, description=description, details=(retrieved, *_explain_parts(candidate.doc_id, rankings))
    )


def _explain_parts(doc_id: str, rankings: Rankings) -> tuple[Explanation, ...]:
    return tuple(Explanation(value=values[doc_id], description=name) for name, values in rankings.parts.items())


def _explain_retrieval(doc_id: str, rankings: Rankings) -> Explanation:
    base = _explain_list(doc_id, rankings.base, "bm25 of the original query")
    own = rankings.retrieved.candidates[rankings.retrieved.ranks()[doc_id] - 1]
    lists = [_explain_list(doc_id, ranking, label) for label, ranking in rankings.lists.items()]
    main = base
    if rankings.expanded is not None:
        main = _explain_list(doc_id, rankings.expanded, rankings.expanded_label)
        shown = (replace(base, details=()),) if base else ()
        main = replace(main, details=(*main.details, *shown)) if main is not None else base
    if rankings.lists:
        details = tuple(each for each in (main, *lists) if each is not None)
        return Explanation(value=own.score, description=rankings.label, details=details)
    return main or Explanation(value=own.score, description="not retrieved")


def _explain_list(doc_id: str, ranking: Ranking, description: str) -> Explanation | None:
    """The score of a document in one list, made of its terms'; None if it is not there."""
    rank = ranking.ranks().get(doc_id)
    if rank is None:
        return None
    candidate = ranking.candidates[rank - 1]
    terms = sorted(candidate.contributions.items(), key=lambda item: -item[1])
    details = tuple(Explanation(value=value, description=f"term {term}") for term, value in terms)
    return Explanation(value=candidate.score, description=f"{description}, rank {rank}", details=details)
