"""How much of a query's mass the dictionary's terms get: that of the words that they stand for."""

from __future__ import annotations

import pytest

from searchsvc.expanding import Method, Outcome
from searchsvc.expansion.dictionary.expander import DictionaryExpander
from searchsvc.expansion.dictionary.loading import load_dictionary
from searchsvc.forms import plain_query
from searchsvc.joining import join
from searchsvc.model import Deadline, ExpansionOptions, Form
from searchsvc.protocols import ExpandRequest
from tests.support.analyzers import analyzer
from tests.support.token_sets import TokenSets

INDEX = TokenSets([frozenset(["bsod"]), *[frozenset()] * 5])


async def weights(user_query: str, options: ExpansionOptions) -> tuple[dict[str, float], float]:
    """Of the query's terms, and λ as it was spent."""
    dictionary = load_dictionary((), analyzer())
    assert dictionary is not None
    expander = DictionaryExpander(dictionary, INDEX, analyzer())
    expansion = await expander.expand(ExpandRequest(user_query=user_query, deadline=Deadline.after_ms(5000), terms=32))
    outcome = Outcome(method="dictionary", share=1.0, took_ms=0.0, expansion=expansion)
    joined = join(
        plain_query(user_query, analyzer().terms(user_query)),
        [outcome],
        [Method(name="dictionary", share=1.0, expander=expander)],
        options,
        word_weight=None,
    )
    [part] = joined.parts
    return {each.term: each.weight for each in part.composed.query.terms}, part.weight


async def test_a_query_that_is_one_entry_spends_all_of_lambda() -> None:
    found, spent = await weights("蓝屏", ExpansionOptions())

    assert spent == pytest.approx(0.3)
    assert found == pytest.approx({"蓝屏": 0.7, "bsod": 0.3})


async def test_one_word_of_many_spends_its_own_part_alone() -> None:
    found, spent = await weights("蓝屏 red green blue", ExpansionOptions(weight=0.4))

    assert spent == pytest.approx(0.1)
    assert found["bsod"] == pytest.approx(0.4)
    assert found["red"] == found["蓝屏"] == pytest.approx(0.9)


async def test_a_list_of_its_own_weighs_as_much_as_its_words() -> None:
    found, spent = await weights("蓝屏 red green blue", ExpansionOptions(form=Form.RRF, weight=0.4))

    assert spent == pytest.approx(0.1)
    assert found == {"bsod": 1.0}
