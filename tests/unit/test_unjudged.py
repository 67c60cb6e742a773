from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.evaluation.runner import Tokens, VariantRun
from searchsvc.evaluation.unjudged import change_reports, rank_biased_overlap, worth_judging
from searchsvc.evaluation.variants import parse_variant

RANKINGS = st.lists(st.sampled_from("abcdefghijklmno"), unique=True, max_size=12)
PERSISTENCE = st.floats(0.05, 0.95)


def by_definition(one, other, p):
    """The infinite sum over both rankings, the agreement beyond their ends as the paper extrapolates it."""
    short, long = sorted((one, other), key=len)

    def common(depth):
        return len(set(short[:depth]) & set(long[:depth]))

    def agreement(depth):
        if depth > len(long):
            return agreement(len(long))
        if depth <= len(short):
            return common(depth) / depth
        return (common(depth) + common(len(short)) * (depth - len(short)) / len(short)) / depth

    return (1 - p) * sum(p ** (depth - 1) * agreement(depth) for depth in range(1, 1500))


@given(RANKINGS.filter(bool), RANKINGS.filter(bool), PERSISTENCE)
def test_rbo_is_the_infinite_sum(one, other, p):
    assert rank_biased_overlap(one, other, p) == pytest.approx(by_definition(one, other, p))


@given(RANKINGS, RANKINGS, PERSISTENCE)
def test_rbo_lies_between_0_and_1_and_does_not_depend_on_the_order_of_its_arguments(one, other, p):
    found = rank_biased_overlap(one, other, p)

    assert -1e-9 <= found <= 1 + 1e-9
    assert found == pytest.approx(rank_biased_overlap(other, one, p))


@given(RANKINGS, PERSISTENCE)
def test_a_ranking_is_like_itself_and_unlike_one_of_other_documents(ranking, p):
    assert rank_biased_overlap(ranking, ranking, p) == pytest.approx(1)
    assert rank_biased_overlap(ranking, ["x", "y"], p) == 0


@given(RANKINGS.filter(lambda ranking: len(ranking) > 2), PERSISTENCE)
def test_a_change_further_up_weighs_more(ranking, p):
    at_the_top = ["new", *ranking[1:]]
    at_the_end = [*ranking[:-1], "new"]

    assert rank_biased_overlap(ranking, at_the_top, p) < rank_biased_overlap(ranking, at_the_end, p)


def test_rbo_of_known_rankings():
    # A(1) = 0, A(2) = 1: (1 - .9)·(0 + .9·1) + .9²·1
    assert rank_biased_overlap(["a", "b"], ["b", "a"], 0.9) == pytest.approx(0.9)
    # A(1) = 1, A(2) = (1 + 1)/2: the shorter one goes on as it began
    assert rank_biased_overlap(["a"], ["a", "b"], 0.9) == pytest.approx(1)
    assert rank_biased_overlap([], [], 0.9) == 1
    assert rank_biased_overlap([], ["a"], 0.9) == 0


def run(name, rankings, tokens=Tokens()):
    return VariantRun(
        variant=parse_variant(f"{name}:"),
        rankings={query_id: tuple(doc_ids) for query_id, doc_ids in rankings.items()},
        took_ms=dict.fromkeys(rankings, 2.0),
        missed={},
        tokens=dict.fromkeys(rankings, tokens),
    )


def test_every_variant_is_compared_with_the_first():
    base = run("base", {"same": "abcd", "below": "abcd", "top": "abcd", "rescued": "", "lost": "a", "none": ""})
    other = run("other", {"same": "abcd", "below": "abce", "top": "bacd", "rescued": "xy", "lost": "", "none": ""})

    first, second = change_reports([base, other])

    assert first.changes == {}
    assert (first.empty, second.empty) == (2, 2)
    assert [name for name, change in second.changes.items() if change.top_3] == ["top", "rescued", "lost"]
    assert [name for name, change in second.changes.items() if change.top_10] == ["below", "top", "rescued", "lost"]
    assert [change.overlap for change in second.changes.values()] == [1, 0.75, 1, 0, 0, 1]
    assert [name for name, change in second.changes.items() if change.rescued] == ["rescued"]
    assert second.changes["below"].new == ("e",)
    assert (second.changes["top"].top, second.changes["top"].top_was) == ("b", 2)
    assert (second.changes["rescued"].top, second.changes["rescued"].top_was) == ("x", None)
    assert second.changes["lost"].top is None
    means = second.means()
    assert means["top_3_changed"] == pytest.approx(3 / 6)
    assert means["top_10_changed"] == pytest.approx(4 / 6)
    assert means["overlap_at_10"] == pytest.approx(3.75 / 6)
    assert means["rescued"] == 1


def test_only_the_first_ten_are_compared():
    _, second = change_reports([run("a", {"q": "abcdefghijKL"}), run("b", {"q": "abcdefghijLKM"})])

    assert not second.changes["q"].top_10
    assert second.changes["q"].rbo == pytest.approx(1)


def test_tokens_add_up_over_the_queries():
    runs = [run("a", {"q1": "a", "q2": "a"}, Tokens(1, 100, 20)), run("b", {"q1": "a", "q2": "a"}, Tokens(1, 0, 0, 1))]

    first, second = change_reports(runs)

    assert first.all_tokens == Tokens(calls=2, input=200, output=40)
    assert second.all_tokens == Tokens(calls=2, unknown=2)


def test_the_queries_that_differ_most_are_worth_judging_first():
    base = run("base", {"q1": "abcd", "q2": "abcd", "q3": "abcd"})
    small = run("small", {"q1": "abdc", "q2": "abcd", "q3": "abcd"})
    large = run("large", {"q1": "abcx", "q2": "abcd", "q3": "wxyz"})
    queries = {"q1": "one", "q2": "two", "q3": "three"}

    worth = worth_judging(change_reports([base, small, large]), queries, 10)

    assert [(each.query_id, each.user_query, each.variant) for each in worth] == [
        ("q3", "three", "large"),
        ("q1", "one", "large"),
    ]
    assert [each.query_id for each in worth_judging(change_reports([base, small, large]), queries, 1)] == ["q3"]
    assert worth_judging(change_reports([base]), queries, 10) == ()
