"""Orders by a field, one document for each value, and counts of values."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchsvc.documents import Document
from searchsvc.embedded.retriever import EmbeddedRetriever
from searchsvc.model import AnyOf, Facet, Range, RangesFacet, SortKey, TermsFacet
from searchsvc.result import FacetCount, FacetCounts
from tests.support.embedded import lexical_index, retrieved_ids, words_query
from tests.support.requests import wanted

DOCUMENTS = [
    Document(doc_id="a", text="apple", lang="en", tags=("x", "y"), updated_at="2026-01-03"),
    Document(doc_id="b", text="apple apple", lang="zh", tags=("y",), updated_at="2026-01-01T08:00:00+08:00"),
    Document(doc_id="c", text="apple pear", url="https://c", updated_at="2026-01-01"),
    Document(doc_id="d", text="apple", lang="en", tags=("z",)),
    Document(doc_id="e", text="pear", lang="de", tags=("y",), updated_at="2025-01-01"),
]
MATCHING = DOCUMENTS[:4]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedRetriever:
    """In two segments, and one document was there before in another form."""
    old = Document(doc_id="d", text="apple", lang="old", tags=("old",), updated_at="2020-01-01")
    return lexical_index(tmp_path_factory.mktemp("library"), [[*DOCUMENTS[:2], old], DOCUMENTS[2:]])


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ((SortKey(field="updated_at"),), "bcad"),
        ((SortKey(field="updated_at", descending=True),), "abcd"),
        ((SortKey(field="lang"),), "adbc"),
        ((SortKey(field="lang", descending=True),), "badc"),
        ((SortKey(field="lang"), SortKey(field="updated_at", descending=True)), "adbc"),
        ((SortKey(field="doc_id", descending=True),), "dcba"),
        ((SortKey(field="url"),), "cabd"),
    ],
)
async def test_documents_without_a_value_come_last_and_ties_are_settled_by_id(library, sort, expected) -> None:
    every = await library.retrieve(wanted(words_query("apple"), sort=sort))
    first = await library.retrieve(wanted(words_query("apple"), sort=sort, top_k=2))

    assert "".join(retrieved_ids(every)) == expected
    assert "".join(retrieved_ids(first)) == expected[:2]
    assert first.total.value == 4


async def test_a_sorted_document_has_its_score_and_what_it_was_sorted_by(library) -> None:
    plain = await library.retrieve(wanted(words_query("apple")))
    both = (SortKey(field="updated_at"), SortKey(field="lang"))
    found = await library.retrieve(wanted(words_query("apple"), sort=both, explain=True))

    assert {each.doc_id: each.score for each in found.ranking} == {each.doc_id: each.score for each in plain.ranking}
    assert [each.sort_values for each in found.ranking] == [
        ("2026-01-01T00:00:00.000Z", "zh"),
        ("2026-01-01T00:00:00.000Z", None),
        ("2026-01-03T00:00:00.000Z", "en"),
        (None, "en"),
    ]
    assert all(set(each.contributions) == {"appl"} for each in found.ranking)


async def test_collapsing_keeps_the_best_of_each_value_and_one_without_any(library) -> None:
    found = await library.retrieve(wanted(words_query("apple"), collapse="lang"))
    sort = (SortKey(field="doc_id", descending=True),)
    last = await library.retrieve(wanted(words_query("apple"), collapse="lang", sort=sort))

    assert [(each.doc_id, each.group) for each in found.ranking] == [("b", "zh"), ("a", "en"), ("c", None)]
    assert [(each.doc_id, each.group) for each in last.ranking] == [("d", "en"), ("c", None), ("b", "zh")]
    assert found.total.value == 4


async def test_facets_count_the_matches_only_the_most_frequent_value_first(library) -> None:
    facets = (
        TermsFacet(field="tags", size=2),
        TermsFacet(field="lang"),
        TermsFacet(field="url"),
        TermsFacet(field="updated_at", size=1),
    )
    found = await library.retrieve(wanted(words_query("apple"), facets=facets, top_k=1))

    assert found.facets == (
        FacetCounts(field="tags", counts=(FacetCount(value="y", count=2), FacetCount(value="x", count=1)), other=1),
        FacetCounts(field="lang", counts=(FacetCount(value="en", count=2), FacetCount(value="zh", count=1))),
        FacetCounts(field="url", counts=(FacetCount(value="https://c", count=1),)),
        FacetCounts(field="updated_at", counts=(FacetCount(value="2026-01-01T00:00:00.000Z", count=2),), other=1),
    )


async def test_facets_count_what_the_filters_let_through(library) -> None:
    filters = (AnyOf(field="lang", values=("en",)),)
    found = await library.retrieve(wanted(words_query("apple"), facets=(TermsFacet(field="tags"),), filters=filters))

    assert {each.value: each.count for each in found.facets[0].counts} == {"x": 1, "y": 1, "z": 1}


async def test_ranges_are_counted_in_the_order_of_the_request_with_their_bounds(library) -> None:
    ranges = (
        Range(field="updated_at", gt="2026-01-01"),
        Range(field="updated_at", lte="2026-01-01"),
        Range(field="updated_at"),
    )
    found = await library.retrieve(
        wanted(words_query("apple"), facets=(RangesFacet(field="updated_at", ranges=ranges),))
    )

    assert [(each.value, each.count) for each in found.facets[0].counts] == list(zip(ranges, (1, 2, 3), strict=True))


@pytest.mark.parametrize("text", ["", "zebra"])
async def test_where_nothing_is_found_nothing_is_counted(library, text: str) -> None:
    ranges = (Range(field="updated_at", gt="2026-01-01"),)
    facets: tuple[Facet, ...] = (TermsFacet(field="tags"), RangesFacet(field="updated_at", ranges=ranges))
    found = await library.retrieve(
        wanted(words_query(text), facets=facets, sort=(SortKey(field="lang"),), collapse="lang")
    )

    assert len(found.ranking) == 0
    assert [[each.count for each in facet.counts] for facet in found.facets] == [[], [0]]


VALUES = st.lists(st.sampled_from(("p", "q", "r", None)), min_size=1, max_size=12)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=VALUES, descending=st.booleans(), top_k=st.integers(1, 15))
async def test_the_order_of_any_documents_is_that_of_a_plain_sort(tmp_path_factory, values, descending, top_k) -> None:
    documents = [Document(doc_id=f"{place * 5 % 13:02}", text="word", lang=value) for place, value in enumerate(values)]
    index = lexical_index(tmp_path_factory.mktemp("any"), [documents])
    key = SortKey(field="lang", descending=descending)
    facet = TermsFacet(field="lang", size=2)
    found = await index.retrieve(wanted(words_query("word"), top_k=top_k, sort=(key,), facets=(facet,)))

    having = sorted((each for each in documents if each.lang), key=lambda each: each.doc_id)
    having.sort(key=lambda each: each.lang or "", reverse=descending)
    lacking = sorted(each.doc_id for each in documents if each.lang is None)
    assert retrieved_ids(found) == [*(each.doc_id for each in having), *lacking][:top_k]
    counted = sorted(Counter(each.lang for each in having).items(), key=lambda each: (-each[1], each[0] or ""))
    assert [(each.value, each.count) for each in found.facets[0].counts] == counted[:2]
    assert found.facets[0].other == sum(count for _, count in counted[2:])
