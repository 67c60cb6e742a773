"""The formulas by which an expansion joins the query."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.forms import compose, idf, merged, plain_query
from searchsvc.model import Form
from searchsvc.result import Expansion, ExpansionTerm


def _term(term: str, frequency: float = 1, df: int = 3, **more) -> ExpansionTerm:
    return ExpansionTerm(term=term, frequency=frequency, df=df, source="llm", source_text=term.upper(), **more)


def _expansion(*terms: ExpansionTerm) -> Expansion:
    return Expansion(method="llm", text="", terms=terms, doc_count=100)


def _weights(composed) -> dict[str, float]:
    return {each.term: each.weight for each in composed.query.terms}


def test_plain_query_counts_repeated_terms() -> None:
    query = plain_query("no no route", ["no", "no", "route"])

    assert {each.term: each.weight for each in query.terms} == {"no": 2.0, "route": 1.0}


def test_mixture_is_the_published_formula_times_the_length_of_the_query() -> None:
    query = plain_query("p b", ["p", "b"])

    composed = compose(query, _expansion(_term("p", 1), _term("x", 3)), form=Form.MIXTURE, weight=0.5)

    assert _weights(composed) == pytest.approx({"p": 2 * (0.5 / 2 + 0.5 / 4), "b": 2 * 0.5 / 2, "x": 2 * 0.5 * 3 / 4})


@pytest.mark.parametrize(
    ("query", "words"),
    [("what is the fault code", ["what", "is", "the", "fault", "code"]), ("的 故障 怎么办", ["的", "故障", "怎么办"])],
)
def test_stop_words_of_the_query_give_the_expansion_no_mass(query: str, words: list[str]) -> None:
    content = [word for word in words if word in ("fault", "code", "故障")]

    weights = _weights(compose(plain_query(query, words), _expansion(_term("x", 4)), form=Form.MIXTURE, weight=0.25))

    assert weights["x"] == pytest.approx(0.25 * len(content))
    assert all(weights[word] == pytest.approx(0.75) for word in words)


def test_a_query_of_stop_words_alone_counts_them() -> None:
    weights = _weights(
        compose(plain_query("to be", ["to", "be"]), _expansion(_term("x")), form=Form.MIXTURE, weight=0.5)
    )

    assert weights == pytest.approx({"to": 0.5, "be": 0.5, "x": 1.0})


_terms = st.lists(
    st.builds(_term, st.text("abcdefgh", min_size=1, max_size=2), st.integers(1, 9), st.integers(1, 90)),
    max_size=12,
    unique_by=lambda term: term.term,
)


@given(_terms, st.floats(0, 1), st.sampled_from(Form), st.integers(1, 6))
def test_every_form_accounts_for_every_term(terms, weight: float, form: Form, limit: int) -> None:
    query = plain_query("a zz", ["a", "zz"])

    composed = compose(query, _expansion(*terms), form=form, weight=weight, terms=limit)

    assert sorted(each.term for each in composed.terms) == sorted(each.term for each in terms)
    assert all(each.kept or each.reason for each in composed.terms)
    assert sum(each.kept for each in composed.terms) <= limit
    assert all(each.weight > 0 and math.isfinite(each.weight) for each in composed.query.terms)


@given(_terms, st.floats(0.01, 0.99))
def test_mixture_keeps_the_mass_of_the_query_and_lambda_is_its_share(terms, weight: float) -> None:
    query = plain_query("q r s", ["q", "r", "s"])

    weights = _weights(compose(query, _expansion(*terms), form=Form.MIXTURE, weight=weight))

    assert math.isclose(sum(weights.values()), 3.0)
    if terms:
        assert math.isclose(sum(weights[term] for term in ("q", "r", "s")), 3 * (1 - weight), abs_tol=1e-9)


def test_the_terms_with_the_largest_f_idf_are_kept() -> None:
    rare, common, often = _term("rare", 1, df=1), _term("common", 1, df=90), _term("often", 9, df=50)

    composed = compose(plain_query("q", ["q"]), _expansion(common, rare, often), form=Form.MIXTURE, weight=0.5, terms=2)

    assert {each.term for each in composed.terms if each.kept} == {"rare", "often"}
    assert [each.reason for each in composed.terms if not each.kept] == ["beyond the limit of 2"]


def test_keywords_adds_five_new_terms_of_weight_one() -> None:
    terms = [_term(name) for name in "abcdefgh"]

    composed = compose(plain_query("a b", ["a", "b"]), _expansion(*terms), form=Form.KEYWORDS, weight=0.5)

    assert _weights(composed) == dict.fromkeys("abcdefg", 1.0)
    assert {each.reason for each in composed.terms if not each.kept} == {
        "already in the query",
        "beyond the limit of 5",
    }


def test_concat_repeats_the_query() -> None:
    expansion = replace(_expansion(*(_term(name, 5) for name in "cdef")), text="x" * 44)

    composed = compose(plain_query("p b", ["p", "b"]), expansion, form=Form.CONCAT, weight=0.5)

    assert _weights(composed)["p"] == round(44 / 3 / 5)
    assert _weights(composed)["c"] == 5


def test_concat_says_the_query_once_beside_a_short_expansion() -> None:
    expansion = replace(_expansion(_term("c")), text="c")

    assert _weights(compose(plain_query("p", ["p"]), expansion, form=Form.CONCAT, weight=0.5)) == {"p": 1.0, "c": 1.0}


def test_several_expansions_share_the_mass_whatever_their_counts() -> None:
    many = replace(_expansion(_term("x", 30), _term("y", 10)), method="llm")
    few = Expansion(
        method="dictionary",
        text="",
        terms=(ExpansionTerm(term="y", frequency=0.5, df=3, source="dictionary", source_text="y"),),
        doc_count=100,
    )

    weights = _weights(
        compose(plain_query("q", ["q"]), merged([(many, 1.0), (few, 1.0)]), form=Form.MIXTURE, weight=0.5)
    )

    assert weights == pytest.approx({"q": 0.5, "x": 0.5 * 0.375, "y": 0.5 * (0.125 + 0.5)})
    (both,) = [term for term in merged([(many, 1.0), (few, 1.0)]).terms if term.term == "y"]
    assert both.source == "llm+dictionary"


def test_a_share_counts_for_as_much_of_the_query_as_the_terms_stand_for() -> None:
    whole, quarter = _expansion(_term("x")), replace(_expansion(_term("y")), stands_for=0.25)
    nothing = replace(_expansion(_term("z", kept=False, reason="not in the index")), stands_for=0.0)

    both = merged([(whole, 1.0), (quarter, 1.0), (nothing, 1.0)])

    assert both.stands_for == pytest.approx(0.625)  # what says nothing takes nothing away
    composed = compose(plain_query("q", ["q"]), both, form=Form.MIXTURE, weight=0.4 * both.stands_for)
    assert _weights(composed) == pytest.approx({"q": 0.75, "x": 0.2, "y": 0.05})


@given(
    st.lists(
        st.tuples(
            st.floats(0.1, 10), st.floats(0.05, 1), st.dictionaries(st.sampled_from("vwxyz"), st.floats(0.1, 50))
        ),
        min_size=2,
        max_size=4,
    )
)
def test_each_method_spends_its_share_of_the_weight_on_the_words_that_it_stands_for(
    methods: list[tuple[float, float, dict[str, float]]],
) -> None:
    """λ·stands_for·f/Σf of the merged expansion is the mean, by share, of what each says by itself."""
    every = [
        (replace(_expansion(*(_term(term, count) for term, count in said.items())), stands_for=stands_for), share)
        for share, stands_for, said in methods
    ]
    speaking = [(share, stands_for, said) for share, stands_for, said in methods if said]
    expected: dict[str, float] = {}
    for share, stands_for, said in speaking:
        for term, count in said.items():
            part = share * stands_for * count / sum(said.values()) / sum(each[0] for each in speaking)
            expected[term] = expected.get(term, 0.0) + part

    both = merged(every)

    total = sum(each.frequency for each in both.terms)
    assert {each.term: both.stands_for * each.frequency / total for each in both.terms} == pytest.approx(expected)
    assert total == pytest.approx(sum(sum(said.values()) for _, _, said in methods))
    assert both.stands_for == pytest.approx(sum(expected.values()))


def test_a_term_that_one_method_keeps_is_kept_and_one_alone_is_as_it_was() -> None:
    kept, dropped = _expansion(_term("x")), _expansion(_term("x", kept=False, reason="stop word"))

    assert [term.kept for term in merged([(dropped, 1.0), (kept, 1.0)]).terms] == [True]
    assert merged([(dropped, 0.3)]) is dropped


@pytest.mark.parametrize("form", [Form.RRF, Form.ZSCORE])
def test_a_second_list_holds_the_expansion_alone(form: Form) -> None:
    composed = compose(plain_query("a", ["a"]), _expansion(_term("x", 1), _term("y", 3)), form=form, weight=0.5)

    assert _weights(composed) == {"x": 0.25, "y": 0.75}


def test_an_expansion_without_usable_terms_leaves_the_query() -> None:
    refused = _term("x", kept=False, reason="not in the index")
    query = plain_query("a", ["a"])

    for form in Form:
        assert compose(query, _expansion(refused), form=form, weight=0.5).query == query


def test_the_expanded_query_shows_what_was_added() -> None:
    composed = compose(
        plain_query("net down", ["net", "down"]),
        _expansion(_term("net", 4), _term("dns")),
        form=Form.MIXTURE,
        weight=0.5,
    )

    assert composed.expanded_query == "net down dns"


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_idf_falls_with_document_frequency(one: int, other: int) -> None:
    low, high = sorted((one, other))

    assert idf(low, 1000) >= idf(high, 1000) > 0


def _phrases(composed) -> dict[str, float]:
    return {each.term: each.weight for each in composed.query.phrases}


@pytest.mark.parametrize("word_weight", [1.0, 2.5])
def test_on_an_adopted_index_the_mixture_keeps_the_text_and_adds_phrases_in_its_scale(word_weight: float) -> None:
    query = plain_query("p b", ["p", "b"])
    expansion = _expansion(_term("p", 1), _term("x", 3))

    composed = compose(query, expansion, form=Form.MIXTURE, weight=0.25, word_weight=word_weight)

    assert composed.query.text == "p b"
    assert composed.query.text_weight == 0.75
    assert _phrases(composed) == pytest.approx({"p": word_weight * 0.25 * 2 / 4, "x": word_weight * 0.25 * 2 * 3 / 4})
    assert {each.term: each.weight for each in composed.terms} == pytest.approx(_phrases(composed))


@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=8),
    st.dictionaries(st.sampled_from("abxyz"), st.floats(0.1, 10), min_size=1),
    st.floats(0, 1),
    st.sampled_from([Form.MIXTURE, Form.CONCAT]),
)
def test_text_and_phrases_weigh_what_the_terms_of_one_sum_weigh(
    words: list[str], added: dict[str, float], weight: float, form: Form
) -> None:
    query = plain_query(" ".join(words), words)
    expansion = _expansion(*(_term(term, frequency) for term, frequency in added.items()))
    one = _weights(compose(query, expansion, form=form, weight=weight))
    apart = compose(query, expansion, form=form, weight=weight, word_weight=1.0).query

    together = {each.term: each.weight * apart.text_weight for each in query.terms}
    for phrase in apart.phrases:
        together[phrase.term] = together.get(phrase.term, 0.0) + phrase.weight
    assert {term: value for term, value in together.items() if value > 0} == pytest.approx(one)


@pytest.mark.parametrize("form", [Form.RRF, Form.ZSCORE])
def test_a_list_of_its_own_has_no_clause_for_the_original_text(form: Form) -> None:
    composed = compose(
        plain_query("a", ["a"]), _expansion(_term("x", 3), _term("y", 1)), form=form, weight=0.5, word_weight=7.0
    )

    assert composed.query.text_weight == 0.0
    assert _phrases(composed) == {"x": 0.75, "y": 0.25}


def test_keywords_beside_a_text_weigh_one_word_each() -> None:
    composed = compose(
        plain_query("a", ["a"]), _expansion(_term("a"), _term("x", 3)), form=Form.KEYWORDS, weight=0.5, word_weight=2.0
    )

    assert (composed.query.text_weight, _phrases(composed)) == (1.0, {"x": 2.0})
