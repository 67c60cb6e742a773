"""Ranking arithmetic: what must hold for every list."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from searchsvc.fusion import (
    MOST_NEW,
    SEATS,
    WeightedList,
    followed_by,
    lexical_scores,
    reciprocal_rank_fusion,
    reorder,
    standardised_sum,
    window_of,
    z_scores,
)
from searchsvc.model import Candidate, Ranking, ScoreKind

_IDS = st.text("abcde", min_size=1, max_size=2)


def _ranking(scores: dict[str, float]) -> Ranking:
    order = sorted(scores, key=lambda doc_id: (-scores[doc_id], doc_id))
    return Ranking(candidates=tuple(Candidate(doc_id=doc_id, score=scores[doc_id]) for doc_id in order))


rankings = st.dictionaries(_IDS, st.floats(0.1, 100), max_size=12).map(_ranking)
lists = st.lists(st.builds(WeightedList, rankings, st.floats(0.1, 2)), max_size=4)


@given(lists)
def test_rrf_holds_every_document_once_by_score_then_id(parts: list[WeightedList]) -> None:
    fused = reciprocal_rank_fusion(parts)

    doc_ids = [candidate.doc_id for candidate in fused]
    assert sorted(doc_ids) == sorted({candidate.doc_id for part in parts for candidate in part.ranking})
    keys = [(-candidate.score, candidate.doc_id) for candidate in fused]
    assert keys == sorted(keys)


@given(lists, st.randoms())
def test_rrf_does_not_depend_on_the_order_of_its_lists(parts: list[WeightedList], random) -> None:
    shuffled = list(parts)
    random.shuffle(shuffled)

    one, other = reciprocal_rank_fusion(parts), reciprocal_rank_fusion(shuffled)

    scores = {candidate.doc_id: candidate.score for candidate in one}
    for candidate in other:
        assert math.isclose(scores[candidate.doc_id], candidate.score, rel_tol=1e-9)


def test_rrf_is_the_sum_of_weighted_reciprocal_ranks() -> None:
    one, other = _ranking({"a": 2, "b": 1}), _ranking({"b": 9, "c": 3})

    fused = reciprocal_rank_fusion([WeightedList(one), WeightedList(other, 0.5)])

    assert [candidate.doc_id for candidate in fused] == ["b", "a", "c"]
    assert math.isclose(fused.candidates[0].score, 1 / 62 + 0.5 / 61)
    assert fused.score_kind is ScoreKind.RRF


@given(rankings, st.floats(-5, 0))
def test_a_list_without_real_hits_is_dropped(ranking: Ranking, score: float) -> None:
    unreal = _ranking({"zz": score})

    for fuse in (reciprocal_rank_fusion, standardised_sum):
        fused = fuse([WeightedList(ranking), WeightedList(unreal), WeightedList(Ranking())])

        assert fused == ranking


@given(rankings, rankings)
def test_standardised_sum_holds_every_document_once(one: Ranking, other: Ranking) -> None:
    fused = standardised_sum([WeightedList(one), WeightedList(other, 0.5)])

    assert sorted(candidate.doc_id for candidate in fused) == sorted({each.doc_id for each in (*one, *other)})


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_z_scores_have_mean_zero_and_keep_the_order(values: list[float]) -> None:
    scores = z_scores(values)

    assert math.isclose(sum(scores), 0, abs_tol=1e-6 * len(values))
    assert all(map(math.isfinite, scores))
    ordered = [score for _, score in sorted(zip(values, scores, strict=True))]
    assert all(before <= after + 1e-9 for before, after in pairwise(ordered))


def test_z_scores_of_equal_values_are_zero() -> None:
    assert z_scores([0.1] * 3) == [0.0, 0.0, 0.0]
    assert z_scores([]) == []


@given(rankings, st.data())
def test_reorder_keeps_the_documents_and_the_order_of_ties(ranking: Ranking, data: st.DataObject) -> None:
    scores = data.draw(st.lists(st.sampled_from([-1.0, 0.0, 2.5]), min_size=len(ranking), max_size=len(ranking)))

    reordered = reorder(ranking, scores, ScoreKind.LOGIT)

    before = ranking.ranks()
    by_id = {candidate.doc_id: score for candidate, score in zip(ranking, scores, strict=True)}
    keys = [(-candidate.score, before[candidate.doc_id]) for candidate in reordered]
    assert keys == sorted(keys)
    assert {candidate.doc_id: candidate.score for candidate in reordered} == by_id


def test_reorder_leaves_out_what_has_no_score() -> None:
    reordered = reorder(_ranking({"a": 3, "b": 2, "c": 1}), [None, 0.5, 2.0], ScoreKind.LOGIT)

    assert [(candidate.doc_id, candidate.score) for candidate in reordered] == [("c", 2.0), ("b", 0.5)]


def test_lexical_scores_are_those_of_the_base_and_zero_elsewhere() -> None:
    fused = reciprocal_rank_fusion([WeightedList(_ranking({"a": 3, "b": 2})), WeightedList(_ranking({"n": 9}))])

    rescored = lexical_scores(fused, _ranking({"a": 3, "b": 2}))

    assert {candidate.doc_id: candidate.score for candidate in rescored} == {"a": 3, "b": 2, "n": 0.0}
    assert [candidate.doc_id for candidate in rescored] == [candidate.doc_id for candidate in fused]


def _numbered(prefix: str, count: int) -> Ranking:
    return Ranking(candidates=tuple(Candidate(doc_id=f"{prefix}{place}", score=99.0 - place) for place in range(count)))


def _mixed(first: Ranking, second: Ranking) -> Ranking:
    return Ranking(candidates=(*first, *second))


def test_the_reranker_always_reads_the_best_of_the_original_query() -> None:
    base = _numbered("base", 30)

    window = window_of(_numbered("new", 50), base, 20)

    assert {f"base{place}" for place in range(SEATS)} <= set(window.ranks())
    assert len(window) == 20


def test_documents_that_only_the_expansion_found_take_no_more_than_their_share() -> None:
    base = _numbered("base", 40)

    window = window_of(_mixed(_numbered("new", 40), base), base, 30)

    new = [candidate.doc_id for candidate in window if candidate.doc_id.startswith("new")]
    assert new == [f"new{place}" for place in range(int(MOST_NEW * 30))]
    assert len(window) == 30


def test_places_that_the_original_query_cannot_fill_are_free() -> None:
    base = _numbered("base", 2)

    window = window_of(_mixed(_numbered("new", 40), base), base, 20)

    assert len(window) == 20
    assert {"base0", "base1"} <= set(window.ranks())


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 30), st.integers(1, 50))
def test_a_window_is_as_deep_as_it_can_be_and_in_order(found: int, new: int, also: int, depth: int) -> None:
    base = _numbered("base", found)
    retrieved = _mixed(_numbered("new", new), base.head(also))

    window = window_of(retrieved, base, depth)

    everything = {*retrieved.ranks(), *base.ranks()}
    assert len(window) == min(depth, len(everything))
    places = followed_by(retrieved, base).ranks()
    assert [places[doc_id] for doc_id in window.ranks()] == sorted(places[doc_id] for doc_id in window.ranks())
