"""How heavily the expansion of one search weighs in `auto`: the gain model asked with the evidence of that search."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from searchsvc.joining import Joined
from searchsvc.model import Form, Ranking, SearchRequest, WeightedQuery
from searchsvc.policy.evidence import Evidence, features
from searchsvc.protocols import TermCounts
from searchsvc.reranking import Known
from searchsvc.result import Retrieval

if TYPE_CHECKING:
    from searchsvc.policy.model import Choice, GainModel

_LEARNED = ("llm", "recorded")
"""The model learned from texts that language models wrote, and knows nothing of other methods alone."""


def is_weighable(joined: Joined) -> bool:
    """Whether the model can say anything of this expansion."""
    main = joined.main
    if main is None or not main.says_more or main.form is not Form.MIXTURE:
        return False
    sources = {source for term in main.composed.terms for source in term.source.split("+")}
    return not sources.isdisjoint(_LEARNED)


def weigh(
    model: GainModel,
    request: SearchRequest,
    query: WeightedQuery,
    *,
    counts: TermCounts,
    base: Retrieval,
    joined: Joined,
    expanded: Ranking,
    early: Known | None,
) -> tuple[Choice, dict[str, Any]]:
    """The choice, and what it went by as JSON values."""
    scores = None
    if early is not None:
        scores = tuple(early.scores.get(candidate.doc_id) for candidate in base.ranking)
    evidence = Evidence(
        user_query=request.user_query,
        query_terms=query.terms,
        counts=counts,
        base=base.ranking,
        total=base.total,
        expansion=() if joined.main is None else joined.main.composed.terms,
        expanded=expanded,
        rerank_scores=scores,
    )
    seen = features(evidence)
    choice = model.choose(seen)
    shown = {name: round(value, 4) for name, value in seen.items() if math.isfinite(value)}
    detail = {
        "weight": choice.weight,
        "gain": round(choice.gain, 4),
        "harm_chance": round(choice.harm_chance, 4),
        "features": shown,
    }
    return choice, detail
