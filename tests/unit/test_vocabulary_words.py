from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.text import Word
from searchsvc.vocabulary import words as words_module
from searchsvc.vocabulary.words import WordForms, commonest, is_chinese

FORMS = (("run", "run"), ("run", "Running"), ("run", "runs"), ("网络", "网络"), ("the", "the"), ("x1", "x1"))
DOCUMENTS = st.lists(st.lists(st.sampled_from(FORMS), max_size=6), max_size=12)


def _counted(documents: list[list[tuple[str, str]]]) -> WordForms:
    forms = WordForms()
    for document in documents:
        forms.add([Word(term, surface) for term, surface in document])
    return forms


@given(documents=DOCUMENTS)
def test_each_document_counts_once_for_every_form_that_it_holds(documents) -> None:
    found = _counted(documents).most_frequent(10)

    expected = Counter(
        (term, surface.lower())
        for document in documents
        for term, surface in set(document)
        if term not in ("the", "x1")
    )
    assert Counter({(term, form): count for term, forms in found.items() for form, count in forms.items()}) == expected


@given(documents=DOCUMENTS, cut=st.integers(0, 12))
def test_documents_counted_in_two_loads_are_counted_as_in_one(documents, cut) -> None:
    first, second = _counted(documents[:cut]), _counted(documents[cut:])
    for term, forms in first.most_frequent(10).items():
        second.add_counted(term, forms)

    assert second.most_frequent(10) == _counted(documents).most_frequent(10)


def test_a_term_is_shown_by_its_commonest_form_and_of_several_by_the_first() -> None:
    assert commonest({"running": 1, "runs": 2}) == "runs"
    assert commonest({"runs": 2, "running": 2, "run": 1}) == "running"


def test_the_most_frequent_come_first_and_of_several_the_first_by_alphabet() -> None:
    forms = _counted([[("run", "running"), ("net", "net")], [("run", "runs")], [("网络", "网络")]])

    assert list(forms.most_frequent(2)) == ["run", "net"]


def test_of_very_many_forms_the_rarest_are_forgotten_and_the_frequent_counted_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(words_module, "MAX_FORMS", 100)
    rare = ["".join(letters) for letters in product("abcdefgh", repeat=4)]
    forms = WordForms()
    for word in rare:
        forms.add([Word(word, word), Word("network", "network")])

    found = forms.most_frequent(2 * len(rare))
    assert next(iter(found.items())) == ("network", {"network": len(rare)})
    assert len(found) <= 101


def test_a_word_is_chinese_or_in_latin_letters() -> None:
    assert [is_chinese(word) for word in ("网络", "㐀㐀", "network", "über", "")] == [True, True, False, False, False]
