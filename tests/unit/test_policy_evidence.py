from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.model import Candidate, Ranking, WeightedTerm
from searchsvc.policy.evidence import RERANK_WORDS, WORDS, Evidence, features
from searchsvc.protocols import TermCounts
from searchsvc.result import ExpansionTerm, Total


def ranking(*ids, scores=None):
    values = scores or [float(len(ids) - place) for place in range(len(ids))]
    return Ranking(
        candidates=tuple(Candidate(doc_id=doc_id, score=score) for doc_id, score in zip(ids, values, strict=True))
    )


def term(name, *, frequency=1.0, df=10, kept=True):
    return ExpansionTerm(term=name, frequency=frequency, df=df, source="llm", source_text=name, kept=kept)


def evidence(**given):
    found = {
        "user_query": "the wireless driver",
        "query_terms": tuple(WeightedTerm(term=each, weight=1.0) for each in ("the", "wireless", "driver")),
        "counts": TermCounts(doc_count=1000, df={"the": 900, "wireless": 10, "driver": 50}),
        "base": ranking(*"abcdefghijkl"),
        "total": Total(value=99),
        "expansion": (term("wireless"), term("adapter", frequency=3.0), term("gone", kept=False)),
        "expanded": ranking(*"lkjihgfedcba"),
    }
    return Evidence(**(found | given))


def test_every_feature_has_words_for_a_reader_and_none_other_has():
    seen = features(evidence(rerank_scores=tuple(map(float, range(12)))))

    assert seen.keys() == WORDS.keys()
    assert features(evidence()).keys() == WORDS.keys() - RERANK_WORDS.keys()


def test_the_query_is_seen_without_its_stop_words():
    seen = features(evidence())

    assert seen["query_length"] == pytest.approx(math.log1p(2))
    assert seen["stop_word_share"] == pytest.approx(1 / 3)
    assert seen["unknown_share"] == 0
    assert 0 < seen["mean_idf"] < seen["max_idf"] < 1
    assert seen["hit_share"] == pytest.approx(math.log10(100 / 1001))


def test_a_word_that_the_index_lacks_is_unknown():
    seen = features(evidence(counts=TermCounts(doc_count=1000, df={"wireless": 10, "driver": 0})))

    assert seen["unknown_share"] == 0.5


def test_only_terms_that_joined_the_query_are_seen():
    seen = features(evidence())

    assert seen["expansion_size"] == pytest.approx(math.log1p(2))
    assert seen["expansion_focus"] == 0.75
    assert seen["repeated_words"] == 0.5
    assert seen["new_mass"] == 0.75


def test_the_same_list_agrees_wholly_and_a_list_of_others_not_at_all():
    same = features(evidence(expanded=ranking(*"abcdefghijkl")))
    other = features(evidence(expanded=ranking(*"ABCDEFGHIJKL")))

    assert (same["agreement"], same["overlap_50"], same["base_best_in_expanded"]) == pytest.approx((1, 1, 1))
    assert (other["agreement"], other["overlap_50"], other["base_best_in_expanded"]) == (0, 0, 0)


def test_the_upper_places_count_more_for_the_agreement():
    upper = features(evidence(expanded=ranking(*"abcdefghijkx")))
    lower = features(evidence(expanded=ranking(*"xbcdefghijkl")))

    assert upper["agreement"] > lower["agreement"]
    assert upper["overlap_50"] == lower["overlap_50"]


def test_a_reranker_that_scored_few_or_says_the_same_of_all_is_not_looked_at():
    few = features(evidence(rerank_scores=(*([1.0] * 5), *([None] * 7))))
    flat = features(evidence(rerank_scores=(0.5,) * 12))

    assert not few.keys() & RERANK_WORDS.keys()
    assert not flat.keys() & RERANK_WORDS.keys()


def test_the_reranker_likes_what_the_expansion_puts_on_top():
    liked = features(evidence(rerank_scores=tuple(map(float, range(12)))))
    not_liked = features(evidence(rerank_scores=tuple(float(-each) for each in range(12))))

    assert liked["rerank_expanded_gain"] > 0 > not_liked["rerank_expanded_gain"]


def test_nothing_found_and_nothing_proposed_is_still_evidence():
    empty = evidence(
        query_terms=(),
        counts=TermCounts(doc_count=0, df={}),
        base=ranking(),
        total=Total(value=0),
        expansion=(),
        expanded=ranking(),
        rerank_scores=(),
    )

    assert all(math.isfinite(value) for value in features(empty).values())


@given(st.floats(1e-3, 1e3), st.lists(st.floats(0.1, 50), min_size=12, max_size=12))
def test_the_scale_of_the_scores_does_not_matter(factor, scores):
    ordered = sorted(scores, reverse=True)
    one = features(evidence(base=ranking(*"abcdefghijkl", scores=ordered), rerank_scores=tuple(scores)))
    scaled = [factor * each for each in ordered]
    other = features(
        evidence(base=ranking(*"abcdefghijkl", scores=scaled), rerank_scores=tuple(factor * each for each in scores))
    )

    base = [name for name in WORDS if name.startswith("base_")]
    assert [other[name] for name in base] == pytest.approx([one[name] for name in base], abs=1e-6)
