"""Arithmetic on rankings: fuse lists, reorder a list by new scores. Pure; ties always have one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from searchsvc.model import Candidate, Ranking, ScoreKind

RANK_CONSTANT = 60
"""k of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""

SEATS = 10
"""Of the original query's best, so many are always read by the reranker."""
MOST_NEW = 0.4
"""Of the places that a reranker reads, the share that documents may take which only the expansion found."""


@dataclass(frozen=True, slots=True)
class WeightedList:
    """A ranking and its weight in a fusion."""

    ranking: Ranking
    weight: float = 1.0


def reciprocal_rank_fusion(lists: Sequence[WeightedList]) -> Ranking:
    """The candidates of all lists by Σ weight / (60 + rank), ties by doc_id.

    A list without real hits (empty, or best score not above 0) is dropped first: fusing it is destructive.
    If one list is left it is returned as it is.
    """
    real = _real(lists)
    if len(real) < 2:
        return real[0].ranking if real else Ranking()
    scores: dict[str, float] = {}
    for each in real:
        for rank, candidate in enumerate(each.ranking, 1):
            scores[candidate.doc_id] = scores.get(candidate.doc_id, 0.0) + each.weight / (RANK_CONSTANT + rank)
    return _by_score(real, scores, ScoreKind.RRF)


def standardised_sum(lists: Sequence[WeightedList]) -> Ranking:
    """The candidates of all lists by Σ weight · z(score), ties by doc_id; a list in which a document is absent gives
    it that list's lowest z. Lists without real hits are dropped, as in `reciprocal_rank_fusion`.
    """
    real = _real(lists)
    if len(real) < 2:
        return real[0].ranking if real else Ranking()
    doc_ids = {candidate.doc_id for each in real for candidate in each.ranking}
    scores = dict.fromkeys(doc_ids, 0.0)
    for each in real:
        standard = z_scores([candidate.score for candidate in each.ranking])
        known = {candidate.doc_id: z for candidate, z in zip(each.ranking, standard, strict=True)}
        floor = min(standard)
        for doc_id in doc_ids:
            scores[doc_id] += each.weight * known.get(doc_id, floor)
    return _by_score(real, scores, ScoreKind.BLEND)


def z_scores(values: Sequence[float]) -> list[float]:
    """(value − mean) / standard deviation; all 0 where the values do not differ."""
    if not values:
        return []
    mean, deviation = fmean(values), pstdev(values)
    if deviation <= abs(mean) * 1e-12:
        return [0.0] * len(values)
    return [(value - mean) / deviation for value in values]


def reorder(ranking: Ranking, scores: Sequence[float | None], kind: ScoreKind) -> Ranking:
    """The candidates that have a new score, best first; equal scores keep the order of `ranking`."""
    pairs = zip(ranking, scores, strict=True)
    rescored = [candidate.scored(score) for candidate, score in pairs if score is not None]
    rescored.sort(key=lambda candidate: -candidate.score)
    return Ranking(candidates=tuple(rescored), score_kind=kind)


def one_of_each_group(ranking: Ranking) -> Ranking:
    """The best of the candidates that were collapsed on one value; those without a value are one group, too.

    So Elasticsearch has it within one list.
    """
    seen = set()
    kept = []
    for candidate in ranking:
        if candidate.group not in seen:
            seen.add(candidate.group)
            kept.append(candidate)
    return Ranking(candidates=tuple(kept), score_kind=ranking.score_kind)


def window_of(retrieved: Ranking, base: Ranking, depth: int) -> Ranking:
    """The `depth` candidates that a reranker reads, in the order of `retrieved`, those that only `base` has at the end.

    The best SEATS of the original query are among them; those that only the expansion found take at most MOST_NEW of
    the places, unless there is nothing else to fill them. A candidate that `retrieved` lacks gets its lowest score.
    """
    known = base.ranks()
    own = retrieved.ranks()
    floor = retrieved.candidates[-1].score if len(retrieved) else 0.0
    seats = {candidate.doc_id for candidate in base.head(min(SEATS, depth))}
    absent = [
        candidate.scored(min(candidate.score, floor)) for candidate in base.head(depth) if candidate.doc_id not in own
    ]
    order = [*retrieved, *absent]
    most_new = max(depth - len(known), int(MOST_NEW * depth))
    places = depth - len(seats)
    chosen = set(seats)
    for candidate in order:
        new = candidate.doc_id not in known
        if candidate.doc_id in chosen or places == 0 or (new and most_new == 0):
            continue
        chosen.add(candidate.doc_id)
        places -= 1
        most_new -= new
    return Ranking(candidates=tuple(each for each in order if each.doc_id in chosen), score_kind=retrieved.score_kind)


def followed_by(ranking: Ranking, others: Ranking) -> Ranking:
    """`ranking`, and after it those of `others` that it lacks, in their order."""
    own = ranking.ranks()
    absent = tuple(candidate for candidate in others if candidate.doc_id not in own)
    return Ranking(candidates=ranking.candidates + absent, score_kind=ranking.score_kind) if absent else ranking


def lexical_scores(fused: Ranking, base: Ranking) -> Ranking:
    """`fused` in its order with the scores of `base`, 0 where that did not find the document.

    A fused score tells a place, not how well the words match; a reranker that adds the lexical score needs the latter.
    """
    scores = {candidate.doc_id: candidate.score for candidate in base}
    rescored = (candidate.scored(scores.get(candidate.doc_id, 0.0)) for candidate in fused)
    return Ranking(candidates=tuple(rescored), score_kind=base.score_kind)


def _real(lists: Sequence[WeightedList]) -> list[WeightedList]:
    return [each for each in lists if len(each.ranking) and each.ranking.candidates[0].score > 0]


def _by_score(lists: Sequence[WeightedList], scores: dict[str, float], kind: ScoreKind) -> Ranking:
    first: dict[str, Candidate] = {}
    for each in lists:
        for candidate in each.ranking:
            first.setdefault(candidate.doc_id, candidate)
    order = sorted(scores, key=lambda doc_id: (-scores[doc_id], doc_id))
    return Ranking(candidates=tuple(first[doc_id].scored(scores[doc_id]) for doc_id in order), score_kind=kind)
