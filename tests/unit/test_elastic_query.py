"""What goes to Elasticsearch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from searchsvc.documents import Document
from searchsvc.elastic.query import (
    alias_body,
    document_lines,
    documents_body,
    frequencies_body,
    index_body,
    page_body,
    search_body,
)
from searchsvc.model import (
    AnyOf,
    Condition,
    Exists,
    Not,
    Range,
    RangesFacet,
    RawFilter,
    SortKey,
    TermsFacet,
    WeightedQuery,
    WeightedTerm,
)
from searchsvc.protocols import RetrieveRequest
from searchsvc.schema import MANAGED, IndexField
from tests.support.requests import wanted

INJECTION = 'python" OR *:* AND (_exists_:x) /[a-z]+/ \\ } ] {"match_all":{}}'


def term(text: str, weight: float = 1.0) -> WeightedTerm:
    return WeightedTerm(term=text, weight=weight)


def asked(**parts: Any) -> RetrieveRequest:
    return wanted(WeightedQuery(text="", terms=()), **parts)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def stored(document: Document, *tokens: str) -> tuple[dict[str, Any], dict[str, Any]]:
    action, fields = document_lines(document, tokens).splitlines()
    return json.loads(action), json.loads(fields)


class TestSearch:
    def test_is_a_weighted_sum_of_terms_in_a_total_order(self) -> None:
        body = search_body((term("python", 1.5), term("导入")), asked(top_k=50))

        assert body == {
            "size": 50,
            "query": {
                "bool": {
                    "should": [
                        {"term": {"tokens": {"value": "python", "boost": 1.5}}},
                        {"term": {"tokens": {"value": "导入", "boost": 1.0}}},
                    ],
                    "minimum_should_match": 1,
                }
            },
            "sort": ["_score", {"doc_id": "asc"}],
            "track_total_hits": 1000,
        }

    def test_names_every_clause_by_its_term_if_asked_to_explain(self) -> None:
        body = search_body((term("python"), term("导入")), asked(explain=True))
        names = [clause["term"]["tokens"]["_name"] for clause in body["query"]["bool"]["should"]]

        assert names == ["python", "导入"]

    def test_takes_the_text_of_a_query_as_data(self) -> None:
        body = search_body((term(INJECTION),), asked())

        assert body["query"]["bool"]["should"] == [{"term": {"tokens": {"value": INJECTION, "boost": 1.0}}}]
        assert "query_string" not in set(strings(body))

    def test_still_asks_for_a_term_where_there_are_filters(self) -> None:
        filters = (AnyOf(field="lang", values=("zh", "en")), AnyOf(field="tags", values=("a*",)))
        boolean = search_body((term("python"),), asked(filters=filters))["query"]["bool"]

        assert boolean["minimum_should_match"] == 1
        assert boolean["filter"] == [{"terms": {"lang": ["zh", "en"]}}, {"terms": {"tags": ["a*"]}}]

    def test_takes_a_date_for_an_instant(self) -> None:
        filters = (Range(field="updated_at", gte="2026-01-31", lt="20260201T10:00+08:00"),)
        boolean = search_body((term("python"),), asked(filters=filters))["query"]["bool"]

        assert boolean["filter"] == [
            {"range": {"updated_at": {"gte": "2026-01-31T00:00:00.000000", "lt": "2026-02-01T02:00:00.000000+00:00"}}}
        ]

    @pytest.mark.parametrize("field", MANAGED.fields.values())
    def test_can_filter_by_every_field_that_a_filter_may_name(self, field: IndexField) -> None:
        assert index_body({})["mappings"]["properties"][field.name]["type"] == field.kind


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "written"),
        [
            (Exists(field="url"), {"exists": {"field": "url"}}),
            (Exists(field="url", present=False), {"bool": {"must_not": [{"exists": {"field": "url"}}]}}),
            (
                Not(condition=AnyOf(field="tags", values=("a", "b"))),
                {"bool": {"must_not": [{"terms": {"tags": ["a", "b"]}}]}},
            ),
            (
                Not(condition=Range(field="updated_at", gt="2026-01-31")),
                {"bool": {"must_not": [{"range": {"updated_at": {"gt": "2026-01-31T00:00:00.000000"}}}]}},
            ),
            (RawFilter(query={"prefix": {"url": "https"}}), {"prefix": {"url": "https"}}),
        ],
    )
    def test_are_filters_beside_the_terms(self, condition: Condition, written: dict[str, Any]) -> None:
        body = search_body((term("python"),), asked(filters=(condition,)))

        assert body["query"]["bool"]["filter"] == [written]
        assert body["query"]["bool"]["minimum_should_match"] == 1


class TestOrder:
    def test_of_a_field_puts_documents_without_it_last_and_settles_ties_by_id(self) -> None:
        keys = (SortKey(field="lang"), SortKey(field="updated_at", descending=True))
        body = search_body((term("python"),), asked(sort=keys))

        assert body["sort"] == [
            {"lang": {"order": "asc", "missing": "_last"}},
            {"updated_at": {"order": "desc", "missing": "_last", "format": "strict_date_optional_time"}},
            {"doc_id": "asc"},
        ]
        assert body["track_scores"] is True

    def test_of_one_document_a_value_stays_the_order_of_all(self) -> None:
        body = search_body((term("python"),), asked(collapse="lang"))

        assert body["collapse"] == {"field": "lang"}
        assert body["sort"] == ["_score", {"doc_id": "asc"}]


class TestFacets:
    def test_are_counted_beside_the_hits_in_the_order_of_the_request(self) -> None:
        ranges = (Range(field="updated_at", lt="2026-01-31"), Range(field="updated_at", gt="2026-01-31"))
        facets = (RangesFacet(field="updated_at", ranges=ranges), TermsFacet(field="tags", size=3))
        aggregations = search_body((term("python"),), asked(facets=facets))["aggs"]

        assert list(aggregations.values()) == [
            {
                "filters": {
                    "filters": [
                        {"range": {"updated_at": {"lt": "2026-01-31T00:00:00.000000"}}},
                        {"range": {"updated_at": {"gt": "2026-01-31T00:00:00.000000"}}},
                    ]
                }
            },
            {"terms": {"field": "tags", "size": 3}},
        ]

    def test_cost_nothing_where_none_is_asked_for(self) -> None:
        assert "aggs" not in search_body((term("python"),), asked())


class TestPages:
    def test_begin_anywhere_and_count_nothing(self) -> None:
        filters = (AnyOf(field="lang", values=("zh",)),)
        first = search_body((term("python"),), asked(filters=filters, top_k=7))
        later = page_body((term("python"),), asked(filters=filters, top_k=7), start=40)

        assert later == {**first, "from": 40, "track_total_hits": False}

    def test_fetch_documents_that_the_filters_let_through(self) -> None:
        body = documents_body(["1", "2"], (Exists(field="url"),))

        assert body["size"] == 2
        assert body["query"] == {"bool": {"filter": [{"terms": {"doc_id": ["1", "2"]}}, {"exists": {"field": "url"}}]}}


def test_frequencies_are_asked_for_in_order_and_over_all_documents() -> None:
    body = frequencies_body(("a", "b"))

    assert body["size"] == 0
    assert body["track_total_hits"] is True
    assert body["aggs"]["df"]["filters"]["filters"] == [{"term": {"tokens": "a"}}, {"term": {"tokens": "b"}}]


def test_frequencies_of_no_term_still_count_the_documents() -> None:
    assert frequencies_body(()) == {"size": 0, "track_total_hits": True, "aggs": {}}


class TestDocument:
    def test_is_put_under_its_own_id_with_its_tokens(self) -> None:
        document = Document(doc_id="kb/1", title="T", text="导入 失败", lang="zh", tags=("a", "b"), url="http://x")
        action, fields = stored(document, "t", "导入", "失败")

        assert action == {"index": {"_id": "kb/1"}}
        assert fields == {
            "doc_id": "kb/1",
            "tokens": "t 导入 失败",
            "title": "T",
            "text": "导入 失败",
            "lang": "zh",
            "tags": ["a", "b"],
            "url": "http://x",
        }

    def test_keeps_other_keys_apart_whatever_they_are_called(self) -> None:
        extra = {"doc_id": 1, "tokens": "x", "source": {"": [None]}, "a.b": 2}
        _, fields = stored(Document(doc_id="1", text="x", extra=extra), "x")

        assert fields == {"doc_id": "1", "tokens": "x", "text": "x", "source": extra}

    @pytest.mark.parametrize("extra", [{"big": 2**70}, {"deep": json.loads("[" * 300 + "]" * 300)}])
    def test_keeps_values_that_the_fast_writer_refuses(self, extra: dict[str, Any]) -> None:
        _, fields = stored(Document(doc_id="1", text="x", extra=extra), "x")

        assert fields["source"] == extra

    @pytest.mark.parametrize(
        "time", ["2026-01-31", "2026-01-31T12:00Z", "2026-01-31T12:00:00.123456789+08:00", "2026-01-31T12:00:00"]
    )
    def test_leaves_a_time_as_it_is_that_elasticsearch_reads_as_we_do(self, time: str) -> None:
        _, fields = stored(Document(doc_id="1", text="x", updated_at=time), "x")

        assert fields["updated_at"] == time
        assert "source" not in fields

    @pytest.mark.parametrize(
        ("time", "indexed"),
        [
            ("20260131", "2026-01-31T00:00:00.000000"),
            ("2026-W05-6", "2026-01-31T00:00:00.000000"),
            ("2026-01-31 12:00:00", "2026-01-31T12:00:00.000000"),
            ("2026-01-31T12:00:00+20:00", "2026-01-30T16:00:00.000000+00:00"),
        ],
    )
    def test_mends_a_time_of_another_form_and_keeps_what_was_loaded(self, time: str, indexed: str) -> None:
        _, fields = stored(Document(doc_id="1", text="x", updated_at=time), "x")

        assert fields["updated_at"] == indexed
        assert fields["source"] == {"updated_at": time}

    def test_has_only_fields_of_the_mapping(self) -> None:
        document = Document(
            doc_id="1", title="t", text="x", lang="zh", tags=("a",), url="u", updated_at="2026-01-31", extra={"k": 1}
        )
        _, fields = stored(document, "x")

        assert set(fields) == set(index_body({})["mappings"]["properties"])


def test_an_index_needs_no_module_outside_the_core_and_has_the_measured_similarity() -> None:
    body = index_body({"analyzer": "abc", "complete": False})

    assert body["settings"]["similarity"] == {"default": {"type": "BM25", "k1": 1.2, "b": 0.75}}
    assert body["settings"]["number_of_shards"] == 1
    assert "analysis" not in body["settings"]
    assert body["mappings"]["properties"]["tokens"] == {"type": "text", "analyzer": "whitespace"}
    assert body["mappings"]["dynamic"] == "strict"
    assert body["mappings"]["_meta"] == {
        "product": "searchsvc",
        "mapping": "documents.v1",
        "analyzer": "abc",
        "complete": False,
    }


def test_a_swap_is_one_change() -> None:
    assert alias_body("documents", add="new", remove=["old"]) == {
        "actions": [
            {"remove": {"index": "old", "alias": "documents"}},
            {"add": {"index": "new", "alias": "documents"}},
        ]
    }
