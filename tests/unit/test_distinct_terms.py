"""What an engine is asked for of a weighted query."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchsvc.forms import MAX_TERMS, distinct_terms
from searchsvc.model import WeightedQuery, WeightedTerm


def term(text: str, weight: float = 1.0) -> WeightedTerm:
    return WeightedTerm(term=text, weight=weight)


def weighted(*terms: WeightedTerm) -> WeightedQuery:
    return WeightedQuery(text="", terms=terms)


def test_weights_of_a_doubled_term_add_up() -> None:
    assert distinct_terms(weighted(term("a", 1.0), term("b", 0.5), term("a", 0.25))) == (
        (term("a", 1.25), term("b", 0.5)),
        0,
    )


def test_a_term_without_weight_asks_for_nothing() -> None:
    assert distinct_terms(weighted(term("a", 0.0), term("b", -1.0))) == ((), 0)


@settings(max_examples=20)
@given(st.integers(1, 300), st.integers())
def test_the_heaviest_stay_of_more_than_elasticsearch_takes(more: int, seed: int) -> None:
    random = Random(seed)
    weights = [random.uniform(0.001, 1000) for _ in range(MAX_TERMS + more)]
    kept, left_out = distinct_terms(weighted(*(term(f"t{n}", weight) for n, weight in enumerate(weights))))

    assert len(kept) == MAX_TERMS
    assert left_out == more
    assert sorted(each.weight for each in kept) == sorted(weights)[more:]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0.001, 1000)), max_size=20))
def test_the_sum_of_weights_is_kept(pairs: list[tuple[str, float]]) -> None:
    kept, _ = distinct_terms(weighted(*(term(*pair) for pair in pairs)))

    assert len({each.term for each in kept}) == len(kept)
    assert sum(each.weight for each in kept) == pytest.approx(sum(weight for _, weight in pairs))


def test_of_equals_the_first_stay() -> None:
    kept, _ = distinct_terms(weighted(*(term(f"t{number}") for number in range(MAX_TERMS + 10))))

    assert [each.term for each in kept] == [f"t{number}" for number in range(MAX_TERMS)]
