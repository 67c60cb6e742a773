"""What is known of one search before its expansion is used, as plain numbers: what the gain model reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from searchsvc.forms import idf
from searchsvc.model import Ranking, WeightedTerm
from searchsvc.protocols import TermCounts
from searchsvc.result import ExpansionTerm, Total
from searchsvc.text import is_stop_word

WINDOW = 50
"""How many candidates of a list are looked at."""
TOP = 10
"""How many a reader sees."""
_PERSISTENCE = 0.9
"""Of rank-biased overlap: the top 10 have some 86 % of its weight."""
RERANK_WORDS = {
    "rerank_best": "best score of the reranker",
    "rerank_gap_2": "gap behind the reranker's best",
    "rerank_gap_10": "gap behind the reranker's top 10",
    "rerank_base_top": "reranker's opinion of the top 10",
    "rerank_base_first": "reranker's opinion of the first",
    "rerank_agreement": "agreement of retrieval and reranker",
    "rerank_expanded_agreement": "agreement of expansion and reranker",
    "rerank_expanded_gain": "reranker's opinion of what the expansion puts on top",
}
"""What the features of a reranker are, for a reader of logs."""
WORDS = {
    "query_length": "number of words in the query",
    "stop_word_share": "share of stop words",
    "unknown_share": "share of words that the index lacks",
    "max_idf": "rarity of the rarest word",
    "mean_idf": "rarity of the words",
    "idf_spread": "spread of the words' rarity",
    "hit_share": "number of matches",
    "base_gap_2": "gap behind the first",
    "base_gap_10": "gap behind the top 10",
    "base_gap_50": "gap behind the window",
    "base_spread": "spread of scores",
    "repeated_words": "share of the query's words in the expansion",
    "repeated_idf": "share of the query's information in the expansion",
    "expansion_size": "number of expansion terms",
    "expansion_focus": "weight of the commonest expansion term",
    "new_mass": "share of new words in the expansion",
    "new_mean_idf": "rarity of the new words",
    "overlap_10": "overlap of the two top 10",
    "overlap_50": "overlap of the two top 50",
    "agreement": "agreement of the two rankings from the top",
    "base_best_in_expanded": "place of the first under the expansion",
    "expanded_best_in_base": "place of the expansion's first without it",
    "top_from_window": "share of the expansion's top 10 that was found without it",
    "expanded_gap_2": "gap behind the expansion's first",
    "expanded_gap_10": "gap behind the expansion's top 10",
    "expanded_gap_50": "gap behind the expansion's window",
    "expanded_spread": "spread of the expansion's scores",
} | RERANK_WORDS
"""What every feature is, for a reader of logs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One search, after the original query and the expanded one have been run once."""

    user_query: str
    query_terms: tuple[WeightedTerm, ...]
    """Of the original query, stop words too."""
    counts: TermCounts
    """Of those terms."""
    base: Ranking
    """By the original query."""
    total: Total
    """How many documents match it."""
    expansion: tuple[ExpansionTerm, ...]
    """All that was proposed; those `kept` are in the expanded query."""
    expanded: Ranking
    """By the mixture at the default λ."""
    rerank_scores: tuple[float | None, ...] | None = None
    """Of the first candidates of `base`, in its order; None for one that has no score; None: no reranker was asked."""


def features(evidence: Evidence) -> dict[str, float]:
    """The evidence by name; those named `rerank_…` are there only where at least TOP candidates have scores.

    No feature depends on the scale of an engine's or a reranker's scores: they are shares, logarithms or standard
    deviations. The spread is after NQC (Shtok et al., ACM TOIS 2012), the agreement is rank-biased overlap (Webber et
    al., ACM TOIS 2010) cut at WINDOW.
    """
    found = _of_query(evidence) | _of_first_pass(evidence) | _of_expansion(evidence) | _of_lists(evidence)
    return found | _of_reranker(evidence)


def _content(terms: Sequence[WeightedTerm]) -> dict[str, float]:
    """The weights of the content words; of all words where there is no other."""
    content = {each.term: each.weight for each in terms if not is_stop_word(each.term)}
    return content or {each.term: each.weight for each in terms}


def _idf(df: int, doc_count: int) -> float:
    """1 for a word that no document has, towards 0 for one that all have."""
    return idf(df, doc_count) / idf(0, doc_count)


def _of_query(evidence: Evidence) -> dict[str, float]:
    content, counts = _content(evidence.query_terms), evidence.counts
    known = [_idf(counts.df.get(term, 0), counts.doc_count) for term in content if counts.df.get(term, 0) > 0]
    length = sum(each.weight for each in evidence.query_terms)
    return {
        "query_length": math.log1p(sum(content.values())),
        "stop_word_share": 1 - sum(content.values()) / length if length > 0 else 0.0,
        "unknown_share": 1 - len(known) / len(content) if content else 0.0,
        "max_idf": max(known, default=0.0),
        "mean_idf": fmean(known) if known else 0.0,
        "idf_spread": pstdev(known) if known else 0.0,
    }


def _of_first_pass(evidence: Evidence) -> dict[str, float]:
    share = math.log10((evidence.total.value + 1) / (evidence.counts.doc_count + 1))
    return {"hit_share": share} | _shape("base", evidence.base)


def _shape(name: str, ranking: Ranking) -> dict[str, float]:
    scores = [each.score for each in ranking.head(WINDOW)]
    best = scores[0] if scores else 0.0
    if best <= 0:
        return dict.fromkeys((f"{name}_gap_2", f"{name}_gap_10", f"{name}_gap_50", f"{name}_spread"), 0.0)
    return {
        f"{name}_gap_2": 1 - scores[min(1, len(scores) - 1)] / best,
        f"{name}_gap_10": 1 - scores[min(TOP, len(scores)) - 1] / best,
        f"{name}_gap_50": 1 - scores[-1] / best,
        f"{name}_spread": pstdev(scores) / best,
    }


def _of_expansion(evidence: Evidence) -> dict[str, float]:
    content, counts = _content(evidence.query_terms), evidence.counts
    kept = [each for each in evidence.expansion if each.kept]
    mass = sum(each.frequency for each in kept)
    said = {each.term for each in kept}
    weights = {term: weight * _idf(counts.df.get(term, 0), counts.doc_count) for term, weight in content.items()}
    new = [each for each in kept if each.term not in content]
    idfs = [_idf(each.df, counts.doc_count) for each in new]
    total = sum(weights.values())
    return {
        "repeated_words": fmean(term in said for term in content) if content else 0.0,
        "repeated_idf": sum(weight for term, weight in weights.items() if term in said) / total if total > 0 else 0.0,
        "expansion_size": math.log1p(len(kept)),
        "expansion_focus": max((each.frequency for each in kept), default=0.0) / mass if mass > 0 else 0.0,
        "new_mass": sum(each.frequency for each in new) / mass if mass > 0 else 0.0,
        "new_mean_idf": fmean(idfs) if idfs else 0.0,
    }


def _of_lists(evidence: Evidence) -> dict[str, float]:
    base, expanded = _ids(evidence.base), _ids(evidence.expanded)
    return {
        "overlap_10": _overlap(base[:TOP], expanded[:TOP]),
        "overlap_50": _overlap(base, expanded),
        "agreement": _rank_biased_overlap(base, expanded),
        "base_best_in_expanded": _reciprocal(base, expanded),
        "expanded_best_in_base": _reciprocal(expanded, base),
        "top_from_window": _overlap(expanded[:TOP], base),
    } | _shape("expanded", evidence.expanded)


def _ids(ranking: Ranking) -> list[str]:
    return [each.doc_id for each in ranking.head(WINDOW)]


def _overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """How much of `one` is in `other`; 0 if `one` is empty."""
    return len(set(one) & set(other)) / len(one) if one else 0.0


def _rank_biased_overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """1 for the same order, 0 for lists that share nothing; the shorter list decides how far it looks."""
    seen: tuple[set[str], set[str]] = (set(), set())
    found = most = 0.0
    for place, pair in enumerate(zip(one, other, strict=False)):
        for ids, doc_id in zip(seen, pair, strict=True):
            ids.add(doc_id)
        weight = _PERSISTENCE**place
        found += weight * len(seen[0] & seen[1]) / (place + 1)
        most += weight
    return found / most if most else 0.0


def _reciprocal(one: Sequence[str], other: Sequence[str]) -> float:
    """1 / rank of the best of `one` in `other`, 0 if it is not there."""
    return 1 / (1 + other.index(one[0])) if one and one[0] in other else 0.0


def _of_reranker(evidence: Evidence) -> dict[str, float]:
    ids = _ids(evidence.base)
    scores = _standardised(ids, evidence.rerank_scores or ())
    if len(scores) < TOP:
        return {}
    read = sorted(scores, key=lambda doc_id: -scores[doc_id])
    expanded = _ids(evidence.expanded)[:TOP]
    seen = [scores[doc_id] for doc_id in expanded if doc_id in scores]
    before = fmean(scores.get(doc_id, 0.0) for doc_id in ids[:TOP])
    return {
        "rerank_best": scores[read[0]],
        "rerank_gap_2": scores[read[0]] - scores[read[1]],
        "rerank_gap_10": scores[read[0]] - scores[read[TOP - 1]],
        "rerank_base_top": before,
        "rerank_base_first": scores.get(ids[0], 0.0),
        "rerank_agreement": _overlap(read[:TOP], ids[:TOP]),
        "rerank_expanded_agreement": _overlap(read[:TOP], expanded),
        "rerank_expanded_gain": (fmean(seen) if seen else 0.0) - before,
    }


def _standardised(ids: Sequence[str], scores: Sequence[float | None]) -> Mapping[str, float]:
    """Scores by document in standard deviations from their mean; empty where all are equal."""
    known = {doc_id: score for doc_id, score in zip(ids, scores, strict=False) if score is not None}
    spread = pstdev(known.values()) if known else 0.0
    if spread <= 0:
        return {}
    mean = fmean(known.values())
    return {doc_id: (score - mean) / spread for doc_id, score in known.items()}
