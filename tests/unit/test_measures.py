from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.comparison import difference
from searchsvc.evaluation.measures import depth_of, parse_measures, values

_DOC_IDS = st.sampled_from([f"d{number}" for number in range(30)])
_QRELS = st.dictionaries(_DOC_IDS, st.integers(-1, 3), min_size=1, max_size=20)
_RANKING = st.lists(_DOC_IDS, unique=True, max_size=25)
_PER_QUERY = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12)


def ndcg(grades: dict[str, int], ranking: list[str], cutoff: int) -> float:
    """nDCG with linear gain (Järvelin and Kekäläinen 2002), written down once more."""
    gains = [max(0, grades.get(doc_id, 0)) for doc_id in ranking[:cutoff]]
    ideal = sorted((max(0, grade) for grade in grades.values()), reverse=True)[:cutoff]
    found, best = (sum(gain / math.log2(rank + 1) for rank, gain in enumerate(row, 1)) for row in (gains, ideal))
    return found / best if best else 0.0


@given(grades=_QRELS, ranking=_RANKING, cutoff=st.integers(1, 30))
def test_ndcg_has_linear_gain_and_follows_the_order_given(grades, ranking, cutoff):
    measure = f"nDCG@{cutoff}"

    found = values([measure], {"q": grades}, {"q": ranking})

    assert found[measure]["q"] == pytest.approx(ndcg(grades, ranking, cutoff), abs=1e-6)


@given(grades=_QRELS, ranking=_RANKING)
def test_recall_and_reciprocal_rank_count_grades_above_zero(grades, ranking):
    relevant = {doc_id for doc_id, grade in grades.items() if grade > 0}
    ranks = [rank for rank, doc_id in enumerate(ranking, 1) if doc_id in relevant]

    found = values(["R@100", "RR@10"], {"q": grades}, {"q": ranking})

    assert found["R@100"]["q"] == pytest.approx(len(ranks) / len(relevant) if relevant else 0)
    assert found["RR@10"]["q"] == pytest.approx(1 / ranks[0] if ranks and ranks[0] <= 10 else 0)


def test_a_query_that_found_nothing_counts_zero():
    qrels = {"q1": {"a": 1}, "q2": {"a": 1}, "q3": {"a": 1}}

    found = values(["RR@10", "Judged@10"], qrels, {"q1": ["a"], "q2": []})

    assert found == {"RR@10": {"q1": 1.0, "q2": 0.0, "q3": 0.0}, "Judged@10": {"q1": 1.0, "q2": 0.0, "q3": 0.0}}


def test_nothing_found_at_all_is_zero_everywhere():
    assert values(["nDCG@10"], {"q": {"a": 1}}, {}) == {"nDCG@10": {"q": 0.0}}


def test_the_grade_from_which_a_document_is_relevant_can_be_named():
    found = values(["R@10", "R(rel=2)@10"], {"q": {"a": 1, "b": 2}}, {"q": ["a"]})

    assert found["R@10"]["q"] == 0.5
    assert found["R(rel=2)@10"]["q"] == 0.0


def test_measures_are_listed_once_each_in_order():
    assert parse_measures("nDCG@10, R@100,R(rel=1)@100,RR,nDCG@10,") == ("nDCG@10", "R@100", "RR")


@pytest.mark.parametrize(
    ("written", "problem", "hint"),
    [
        ("ndcg@10", "There is no measure 'ndcg@10'", "Did you mean nDCG?"),
        ("Sucess@1", "There is no measure 'Sucess@1'", "Did you mean Success?"),
        ("ERR@10", "There is no measure 'ERR@10'", ""),
        ("nDCG", "'nDCG' is not complete", "For instance nDCG@10."),
        ("nDCG@0", "'nDCG@0' is not complete", "For instance nDCG@10."),
        ("P@-1", "'P@-1' is not complete", "For instance P(rel=2)@10."),
        ("R@x", "'R@x' is not complete", ""),
        ("nDCG(rel=2)@10", "is not complete", "For instance nDCG@10."),
        ("RR(rel=0)@10", "is not complete", ""),
        (" , ", "No measure is named", "nDCG@10"),
    ],
)
def test_a_measure_that_cannot_be_computed_is_refused(written, problem, hint):
    with pytest.raises(ConfigurationError) as caught:
        parse_measures(written)

    assert problem in caught.value.message
    assert hint in caught.value.hint


def test_the_depth_is_the_largest_cutoff_and_at_least_100():
    assert depth_of(["nDCG@10", "RR"]) == 100
    assert depth_of(["nDCG@10", "R(rel=2)@500", "R@200"]) == 500


@given(pairs=_PER_QUERY)
def test_a_difference_is_paired_by_query_whatever_their_order(pairs):
    first = {str(number): before for number, (before, _) in enumerate(pairs)}
    other = {str(number): after for number, (_, after) in reversed(list(enumerate(pairs)))}
    gains = [after - before for before, after in pairs]

    found = difference(first, other)

    assert found.mean == pytest.approx(sum(gains) / len(gains), abs=1e-12)
    assert found.harm == pytest.approx(sum(gain < -0.1 - 1e-9 for gain in gains) / len(gains))
    assert found.wins == sum(gain > 1e-9 for gain in gains)
    assert found.losses == sum(gain < -1e-9 for gain in gains)
    assert found.wins + found.ties + found.losses == len(gains)
    assert 0 < found.p_value <= 1
    assert found == difference(first, other)
    if found.interval is not None:
        assert min(gains) - 1e-9 <= found.interval[0] <= found.interval[1] <= max(gains) + 1e-9


def test_a_query_that_loses_exactly_a_tenth_is_not_harmed():
    assert difference({"a": 0.4, "b": 1.0}, {"a": 0.3, "b": 0.89}).harm == 0.5


def test_no_difference_is_no_difference():
    same = {"a": 0.1, "b": 0.7, "c": 0.3}

    found = difference(same, same)

    assert (found.mean, found.interval, found.p_value, found.harm) == (0.0, (0.0, 0.0), 1.0, 0.0)


def test_a_single_query_has_no_interval():
    found = difference({"a": 0.0}, {"a": 1.0})

    assert found.interval is None
    assert found.p_value == 1.0


def test_a_steady_gain_is_told_from_chance():
    first = {str(number): number / 50 for number in range(40)}
    gain = difference(first, {query: value + 0.05 + int(query) % 3 / 100 for query, value in first.items()})
    noise = difference(first, {query: value + (-1) ** int(query) / 10 for query, value in first.items()})

    assert gain.p_value < 0.001
    assert gain.interval[0] > 0
    assert noise.p_value > 0.5
    assert noise.interval[0] < 0 < noise.interval[1]
