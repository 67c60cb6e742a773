from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from searchsvc.text import Word
from searchsvc.vocabulary.words import WordForms, is_chinese

FORMS = (("run", "run"), ("run", "Running"), ("run", "runs"), ("网络", "网络"), ("the", "the"), ("x1", "x1"))
DOCUMENTS = st.lists(st.lists(st.sampled_from(FORMS), max_size=6), max_size=12)


def _counted(documents: list[list[tuple[str, str]]]) -> WordForms:
    forms = WordForms()
    for document in documents:
        forms.add([Word(term, surface) for term, surface in document])
    return forms


@given(documents=DOCUMENTS)
def test_each_document_counts_once_for_every_form_that_it_holds(documents) -> None:
    forms = _counted(documents)

    expected = Counter(
        (term, surface.lower())
        for document in documents
        for term, surface in set(document)
        if term not in ("the", "x1")
    )
    assert Counter({(term, form): forms.of(term)[form] for term in forms for form in forms.of(term)}) == expected


@given(documents=DOCUMENTS, cut=st.integers(0, 12))
def test_documents_counted_in_two_loads_are_counted_as_in_one(documents, cut) -> None:
    together, first, second = _counted(documents), _counted(documents[:cut]), _counted(documents[cut:])
    for term in first:
        second.add_counted(term, first.of(term))

    assert {term: second.of(term) for term in second} == {term: together.of(term) for term in together}
    assert second.most_frequent(10) == together.most_frequent(10)
    assert all(second.surface(term) == together.surface(term) for term in together)


def test_a_term_is_shown_by_its_commonest_form_and_of_several_by_the_first() -> None:
    forms = _counted([[("run", "running")], [("run", "runs")], [("run", "runs"), ("网络", "网络")]])

    assert forms.surface("run") == "runs"
    assert forms.most_frequent(1) == ["run"]
    assert _counted([[("run", "runs"), ("run", "running")]]).surface("run") == "running"


def test_a_word_is_chinese_or_in_latin_letters() -> None:
    assert [is_chinese(word) for word in ("网络", "㐀㐀", "network", "über", "")] == [True, True, False, False, False]
