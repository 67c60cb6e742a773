from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchsvc.documents import Document
from searchsvc.embedded.retriever import EmbeddedRetriever
from searchsvc.errors import BackendTimeout, InvalidRequest
from searchsvc.forms import MAX_TERMS
from searchsvc.model import (
    AnyOf,
    Condition,
    Deadline,
    Exists,
    Filters,
    Not,
    Range,
    RawFilter,
    WeightedQuery,
    WeightedTerm,
)
from tests.support.embedded import lexical_index, retrieved_ids, words_query
from tests.support.requests import wanted

COPIES = {"red": 1, "red red": 90, "red green": 150, "green blue red": 30, "blue": 2, "green": 60}
"""Documents that tie in groups smaller and larger than what is fetched at once."""


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedRetriever:
    """Three segments; the ids are in no order."""
    texts = [text for text, count in COPIES.items() for _ in range(count)]
    documents = [Document(doc_id=f"{place * 7919 % 1000:03}", text=text) for place, text in enumerate(texts)]
    documents.sort(key=lambda document: document.doc_id[::-1])
    return lexical_index(tmp_path_factory.mktemp("tied"), [documents[:100], documents[100:250], documents[250:]])


WEIGHTS = st.sampled_from((0.25, 1.0, 2.0))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(weights=st.dictionaries(st.sampled_from(("red", "green", "blue")), WEIGHTS), top_k=st.integers(1, 350))
async def test_the_cut_falls_where_sorting_all_by_score_and_id_puts_it(tied, weights, top_k) -> None:
    terms = tuple(WeightedTerm(term=term, weight=weight) for term, weight in weights.items())
    query = WeightedQuery(text="", terms=terms)

    every = await tied.retrieve(wanted(query, top_k=1000))
    cut = await tied.retrieve(wanted(query, top_k=top_k))

    matching = sum(count for text, count in COPIES.items() if set(text.split()) & weights.keys())
    best_first = sorted(every.ranking, key=lambda candidate: (-candidate.score, candidate.doc_id))
    assert len(every.ranking) == matching
    assert list(cut.ranking) == best_first[:top_k]
    assert cut.total.value == matching


async def test_a_tie_of_hundreds_at_the_cut_is_resolved_by_id(tmp_path: Path) -> None:
    numbers = [number * 7919 % 900 for number in range(900)]
    retriever = lexical_index(tmp_path, [[Document(doc_id=f"{number:04}", text="same words") for number in numbers]])

    found = await retriever.retrieve(wanted(words_query("words"), top_k=3))

    assert retrieved_ids(found) == ["0000", "0001", "0002"]
    assert found.total.value == 900


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedRetriever:
    documents = [
        Document(doc_id="1", text="apple pear", lang="en", tags=("fruit", "a b"), updated_at="2026-01-01"),
        Document(doc_id="2", text="apple apple", lang="en", url="https://x/2", updated_at="2026-01-02T12:00:00+02:00"),
        Document(doc_id="3", text="苹果 apple", lang="zh", tags=("fruit",), url="https://x/\n3"),
        Document(doc_id="4", text="!!!", extra={"large": 2**70, "nested": {"深": [1.5, None]}}),
    ]
    return lexical_index(tmp_path_factory.mktemp("library"), [documents])


async def _found(retriever: EmbeddedRetriever, *filters: Condition) -> set[str]:
    conditions: Filters = filters
    found = await retriever.retrieve(wanted(words_query("apple"), filters=conditions))
    assert found.total.value == len(found.ranking)
    return set(retrieved_ids(found))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (AnyOf(field="tags", values=("a b",)), {"1"}),
        (AnyOf(field="tags", values=("fruit", "none")), {"1", "3"}),
        (AnyOf(field="tags", values=()), set()),
        (AnyOf(field="doc_id", values=("2", "3", "9")), {"2", "3"}),
        (AnyOf(field="url", values=("https://x/2",)), {"2"}),
        (AnyOf(field="updated_at", values=("2026-01-02T10:00:00Z",)), {"2"}),
        (Range(field="updated_at", gte="2026-01-01"), {"1", "2"}),
        (Range(field="updated_at", gt="2026-01-01"), {"2"}),
        (Range(field="updated_at", gt="2025-12-31T23:59:59", lte="2026-01-01T00:00:00"), {"1"}),
        (Range(field="updated_at", lt="2026-01-02T10:00:00Z"), {"1"}),
        (Range(field="updated_at", gte="2026-02-01", lte="2026-01-01"), set()),
        (Exists(field="doc_id"), {"1", "2", "3"}),
        (Exists(field="lang"), {"1", "2", "3"}),
        (Exists(field="tags"), {"1", "3"}),
        (Exists(field="tags", present=False), {"2"}),
        (Exists(field="url"), {"2", "3"}),
        (Exists(field="updated_at"), {"1", "2"}),
        (Exists(field="updated_at", present=False), {"3"}),
        (Not(condition=AnyOf(field="tags", values=("fruit",))), {"2"}),
        (Not(condition=AnyOf(field="tags", values=("none",))), {"1", "2", "3"}),
        (Not(condition=Range(field="updated_at", gt="2026-01-01")), {"1", "3"}),
        (Not(condition=Exists(field="url", present=False)), {"2", "3"}),
    ],
)
async def test_a_filter_keeps_what_it_says(library, condition, expected) -> None:
    assert await _found(library, condition) == expected


async def test_a_filter_in_the_words_of_elasticsearch_is_refused(library) -> None:
    for text in ("apple", ""):
        with pytest.raises(InvalidRequest, match="on Elasticsearch only") as caught:
            await library.retrieve(wanted(words_query(text), filters=(RawFilter(query={"match_all": {}}),)))
        assert caught.value.pointer == "/filters/es"


async def test_filters_all_hold_and_do_not_change_the_scores(library) -> None:
    plain = await library.retrieve(wanted(words_query("apple")))
    both = (AnyOf(field="lang", values=("en",)), AnyOf(field="tags", values=("fruit",)))
    filtered = await library.retrieve(wanted(words_query("apple"), filters=both))

    score = {candidate.doc_id: candidate.score for candidate in plain.ranking}
    assert [(candidate.doc_id, candidate.score) for candidate in filtered.ranking] == [("1", score["1"])]


@pytest.mark.parametrize(
    "condition",
    [
        AnyOf(field="colour", values=("red",)),
        Range(field="lang", gt="en"),
        Range(field="updated_at", gte="yesterday"),
    ],
)
async def test_a_filter_that_the_service_refuses_finds_nothing_by_mistake(library, condition) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        await _found(library, condition)


async def test_of_more_terms_than_elasticsearch_takes_the_heaviest_are_asked_for(library) -> None:
    light = [WeightedTerm(term="pear", weight=0.5), WeightedTerm(term="苹果", weight=0.5)]
    heavy = [WeightedTerm(term=f"w{number}", weight=1.0) for number in range(MAX_TERMS - 1)]
    query = WeightedQuery(text="", terms=(*light, *heavy, WeightedTerm(term="!", weight=0.0)))

    found = await library.retrieve(wanted(query, explain=True))

    assert retrieved_ids(found) == ["1"]
    assert found.detail == {"terms_left_out": 1}
    assert found.ranking.candidates[0].contributions.keys() == {"pear"}


async def test_contributions_add_up_to_the_score(library) -> None:
    terms = (("appl", 2.0), ("pear", 0.5), ("苹果", 0.25), ("absent", 1.0), ("pear", 0.5))
    query = WeightedQuery(text="", terms=tuple(WeightedTerm(term=term, weight=weight) for term, weight in terms))

    found = await library.retrieve(wanted(query, explain=True))

    assert len(found.ranking) == 3
    for candidate in found.ranking:
        assert sum(candidate.contributions.values()) == pytest.approx(candidate.score, rel=1e-5)
    by_id = {candidate.doc_id: set(candidate.contributions) for candidate in found.ranking}
    assert by_id == {"1": {"appl", "pear"}, "2": {"appl"}, "3": {"appl", "苹果"}}


async def test_without_terms_nothing_is_found(library) -> None:
    found = await library.retrieve(wanted(WeightedQuery(text="?", terms=())))

    assert (len(found.ranking), found.total.value) == (0, 0)


async def test_unknown_words_find_nothing_even_when_explained(library) -> None:
    found = await library.retrieve(wanted(words_query("zebra"), explain=True))

    assert (len(found.ranking), found.total.value) == (0, 0)


async def test_the_document_comes_back_as_it_was_loaded(tmp_path: Path) -> None:
    document = Document(doc_id="4", text="text", extra={"large": 2**70, "nested": {"深": [1.5, None]}})
    retriever = lexical_index(tmp_path, [[document]])

    found = await retriever.retrieve(wanted(words_query("text"), top_k=1))

    assert found.ranking.candidates[0].source == document.source()


async def test_a_deadline_that_has_passed_is_a_timeout(library) -> None:
    with pytest.raises(BackendTimeout):
        await library.retrieve(wanted(words_query("apple"), deadline=Deadline.after_ms(0)))
