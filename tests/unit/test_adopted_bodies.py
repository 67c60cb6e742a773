"""Bodies for adopted indices, and the reading of answers: pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.elastic.adopted.bodies import (
    PHRASE,
    QUERY,
    WORD,
    Prepared,
    documents_body,
    frequencies_body,
    page_body,
    search_body,
)
from searchsvc.elastic.adopted.hits import ranking, word_weight
from searchsvc.errors import BackendRejected, ConfigurationError
from searchsvc.forms import plain_query
from searchsvc.model import AnyOf, Exists, Not, Range, RawFilter, SortKey, TermsFacet, WeightedQuery, WeightedTerm
from searchsvc.protocols import RetrieveRequest
from searchsvc.schema import AdoptedIndex, FieldKind, IndexField, IndexSchema, TextField
from tests.support.requests import wanted

ACCESS = {"term": {"visible_to": "everyone"}}
BASE = json.dumps(
    {
        "query": {
            "function_score": {
                "query": {
                    "bool": {
                        "must": [{"multi_match": {"query": "{{query}}", "fields": ["title", "body"]}}],
                        "filter": [ACCESS],
                    }
                }
            }
        },
        "rescore": {"query": {"rescore_query": {"match_all": {}}}},
        "min_score": 0.1,
    }
)
SCHEMA = IndexSchema(
    fields={
        "lang": IndexField(name="lang", kind=FieldKind.KEYWORD, facet=True, sort=True),
        "at": IndexField(name="at", kind=FieldKind.DATE, sort=True),
        "price": IndexField(name="price", kind=FieldKind.NUMBER, sort=True),
        "hot": IndexField(name="hot", kind=FieldKind.BOOLEAN, sort=True),
        "c.author": IndexField(name="c.author", kind=FieldKind.KEYWORD, nested="c", facet=True),
        "c.stars": IndexField(name="c.stars", kind=FieldKind.NUMBER, nested="c"),
    }
)
WORDS = st.lists(st.builds(WeightedTerm, term=st.text(), weight=st.floats(0.01, 10)), max_size=5).map(tuple)
FILTERS = st.lists(
    st.one_of(
        st.builds(
            AnyOf, field=st.sampled_from(["lang", "c.author"]), values=st.lists(st.text(), min_size=1).map(tuple)
        ),
        st.builds(Range, field=st.sampled_from(["price", "c.stars"]), gte=st.floats(-10, 10)),
        st.builds(Exists, field=st.sampled_from(sorted(SCHEMA.fields)), present=st.booleans()),
        st.builds(Not, condition=st.builds(Exists, field=st.sampled_from(sorted(SCHEMA.fields)))),
        st.just(RawFilter(query={"prefix": {"lang": "z"}})),
    ),
    max_size=4,
).map(tuple)


def table(**changes: Any) -> AdoptedIndex:
    index = AdoptedIndex(
        name="articles",
        target="theirs",
        text_fields=(TextField(name="title", boost=3), TextField(name="c.text"), TextField(name="c.deep.text")),
        nested=("c", "c.deep"),
    )
    return replace(index, **changes)


def prepared(base_query: str | None = None, **changes: Any) -> Prepared:
    return Prepared.of(table(base_query=base_query, **changes), SCHEMA)


def request(text: str = "router", **more: Any) -> RetrieveRequest:
    return wanted(plain_query(text, text.split()), **more)


def parts(value: Any) -> Iterator[Any]:
    """Every value inside."""
    yield value
    for each in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from parts(each)


def names(body: Any) -> list[str]:
    return [part["_name"] for part in parts(body) if isinstance(part, Mapping) and "_name" in part]


def test_with_nothing_switched_on_the_body_is_the_base_query_and_a_size() -> None:
    body = search_body(prepared(BASE), request("a b", top_k=7))

    assert body == {**json.loads(BASE.replace("{{query}}", "a b")), "size": 7, "track_total_hits": 1000}


def test_without_a_base_query_the_best_text_field_counts() -> None:
    body = search_body(prepared(), request("a b"))
    inside = {"ignore_unmapped": True, "score_mode": "max"}

    assert body["query"] == {
        "dis_max": {
            "tie_breaker": 0.3,
            "queries": [
                {"match": {"title": {"query": "a b", "boost": 3}}},
                {"nested": {"path": "c", "query": {"match": {"c.text": {"query": "a b", "boost": 1.0}}}, **inside}},
                {
                    "nested": {
                        "path": "c.deep",
                        "query": {"match": {"c.deep.text": {"query": "a b", "boost": 1.0}}},
                        **inside,
                    }
                },
            ],
        }
    }
    alone = search_body(prepared(text_fields=(TextField(name="title"),)), request("a"))
    assert alone["query"] == {"match": {"title": {"query": "a", "boost": 1.0}}}


@given(
    text=st.text(), words=WORDS, filters=FILTERS, weight=st.floats(0, 1), flags=st.tuples(st.booleans(), st.booleans())
)
def test_whatever_a_person_writes_the_owners_clauses_stay(text, words, filters, weight, flags) -> None:
    query = WeightedQuery(text=text, terms=words, text_weight=weight, phrases=words)
    for asked in (query, replace(query, text_weight=1.0, phrases=())):
        body = search_body(prepared(BASE), wanted(asked, filters=filters, explain=flags[0], expanding=flags[1]))
        around = body["query"]
        if "bool" in around:
            assert len(around["bool"].get("filter", ())) >= min(len(filters), 1)
            assert all(part in list(parts(around["bool"]["filter"])) for each in filters for part in _leaves(each))
            (around,) = around["bool"]["must"]
        assert around["function_score"]["query"]["bool"]["filter"] == [ACCESS]
        assert len(around["function_score"]["query"]["bool"]["must"]) == 1
        assert {key: value for key, value in body.items() if key != "query"} == {
            **{key: value for key, value in json.loads(BASE).items() if key != "query"},
            "size": 10,
            "track_total_hits": 1000,
        }
        assert len(names(body)) == len(set(names(body)))
        json.dumps(body)
        texts = [part for part in parts(body) if part == text]
        assert texts or weight == 0


def _leaves(condition: Any) -> list[Any]:
    """What must be found of a condition in any filter."""
    if isinstance(condition, RawFilter):
        return [condition.query]
    inner = condition.condition if isinstance(condition, Not) else condition
    if isinstance(inner, AnyOf):
        return [{"terms": {inner.field: list(inner.values)}}]
    if isinstance(inner, Range):
        return [{"range": {inner.field: {"gte": inner.gte}}}]
    return [{"exists": {"field": inner.field}}]


@given(filters=FILTERS)
def test_access_clauses_stay_in_counting_and_fetching(filters) -> None:
    ours = prepared(BASE)
    for body in (
        frequencies_body(ours, ["a"]),
        documents_body(ours, request(filters=filters), ["1"]),
    ):
        conditions = body["query"]["bool"]["filter"]
        assert conditions[0]["function_score"]["query"]["bool"] == {"must": [{"match_all": {}}], "filter": [ACCESS]}
        assert "must" not in body["query"]["bool"]
        assert "should" not in body["query"]["bool"]
        assert "min_score" not in body


def test_expansion_stands_in_the_place_of_the_clause_that_reads_the_text() -> None:
    query = WeightedQuery(text="a", terms=(), text_weight=0.5, phrases=(WeightedTerm(term="网络", weight=0.7),))
    body = search_body(prepared(BASE), wanted(query))
    (leaf,) = body["query"]["function_score"]["query"]["bool"]["must"]
    text, phrase = leaf["bool"]["should"]

    assert leaf["bool"]["minimum_should_match"] == 1
    assert text == {"bool": {"must": [{"multi_match": {"query": "a", "fields": ["title", "body"]}}], "boost": 0.5}}
    assert (phrase["dis_max"]["boost"], phrase["dis_max"]["tie_breaker"]) == (0.7, 0.3)
    in_title, in_text, _ = phrase["dis_max"]["queries"]
    assert in_title == {"match_phrase": {"title": {"query": "网络", "boost": 3}}}
    assert in_text["nested"]["query"] == {"match_phrase": {"c.text": {"query": "网络", "boost": 1.0}}}
    alone = search_body(prepared(BASE), wanted(replace(query, text_weight=0)))
    (leaf,) = alone["query"]["function_score"]["query"]["bool"]["must"]
    assert leaf["bool"]["should"] == [phrase]


def test_what_a_nested_clause_demands_holds_for_expansions_beside_it() -> None:
    nested = {"path": "c", "query": {"bool": {"must": [{"match": {"c.text": "{{query}}"}}], "filter": [ACCESS]}}}
    query = WeightedQuery(text="a", terms=(), text_weight=0.5, phrases=(WeightedTerm(term="b", weight=1),))
    body = search_body(prepared(json.dumps({"nested": nested})), wanted(query))
    _, beside = body["query"]["bool"]["should"]

    (scope,) = beside["bool"]["filter"]
    assert scope["nested"]["query"]["bool"] == {"must": [{"match_all": {}}], "filter": [ACCESS]}
    assert beside["bool"]["minimum_should_match"] == 1


def test_measuring_leaves_the_base_query_whole_and_adds_no_weight() -> None:
    body = search_body(prepared(BASE), request("a b a", expanding=True))

    (whole,) = body["query"]["bool"]["must"]
    assert whole == json.loads(BASE.replace("{{query}}", "a b a"))["query"]
    (beside,) = body["query"]["bool"]["should"]
    assert beside["bool"]["boost"] == 0
    assert names(body) == [QUERY, f"{WORD}0", f"{WORD}1"]
    assert [each["dis_max"]["boost"] for each in beside["bool"]["should"][1:]] == [2.0, 1.0]


def test_a_page_is_the_same_body_from_another_place() -> None:
    ours, asked = prepared(BASE), request(sort=(SortKey(field="price"),))

    assert page_body(ours, asked, start=30) == {**search_body(ours, asked), "from": 30, "track_total_hits": False}


def test_an_order_by_a_field_leaves_out_rescoring_and_keeps_scores() -> None:
    keys = (SortKey(field="at", descending=True), SortKey(field="price"))
    body = search_body(prepared(BASE), request(sort=keys))

    assert "rescore" not in body
    assert body["track_scores"] is True
    at, price = body["sort"]
    assert at["at"]["format"] == "strict_date_optional_time"
    assert (at["at"]["order"], price["price"]["order"]) == ("desc", "asc")
    assert {at["at"]["missing"], price["price"]["missing"]} == {"_last"}


def test_facets_hold_behind_the_post_filter_of_the_base_query() -> None:
    base = json.dumps({"query": {"match": {"title": "{{query}}"}}, "post_filter": ACCESS})
    body = search_body(prepared(base), request(facets=(TermsFacet(field="lang"), TermsFacet(field="c.author"))))

    assert body["aggs"]["after"]["filter"] == ACCESS
    assert body["post_filter"] == ACCESS
    nested = body["aggs"]["after"]["aggs"]["facet_1"]
    assert nested["nested"] == {"path": "c"}
    assert nested["aggs"]["inside"]["aggs"] == {"documents": {"reverse_nested": {}}}


@pytest.mark.parametrize(
    ("doc_id", "clause"),
    [
        ("_id", {"ids": {"values": ["a/1", "a/2"]}}),
        ("key", {"terms": {"key": ["a/1", "a/2"]}}),
        (
            "_index/_id",
            {"bool": {"should": [{"bool": {"filter": [{"term": {"_index": "a"}}, {"ids": {"values": ["1", "2"]}}]}}]}},
        ),
    ],
)
def test_documents_are_asked_for_by_what_identifies_them(doc_id: str, clause: Any) -> None:
    body = documents_body(prepared(doc_id=doc_id), request(), ["a/1", "a/2"])

    assert body["query"] == {"bool": {"filter": [clause]}}
    assert body["size"] == 2
    assert body.get("fields") == (["key"] if doc_id == "key" else None)


def test_only_what_is_shown_or_read_comes_back() -> None:
    ours = prepared(returned=("tags", "title"), title="title", snippet="body", rerank_text=("lead", "title"))

    assert search_body(ours, request())["_source"] == ["tags", "title", "body", "lead"]
    assert "_source" not in search_body(prepared(), request())


def test_a_bad_base_query_is_an_error_of_the_table() -> None:
    with pytest.raises(ConfigurationError, match=r"\[indices\.articles\] base_query"):
        prepared("{}")


def test_words_are_counted_by_the_clauses_that_find_them() -> None:
    body = frequencies_body(prepared(), ["网络", "b"])
    first, _ = body["aggs"]["df"]["filters"]["filters"]

    assert first["dis_max"]["queries"][0] == {"match_phrase": {"title": {"query": "网络", "boost": 3}}}
    assert (body["size"], body["track_total_hits"], body["query"]) == (0, True, {"match_all": {}})
    assert "aggs" not in frequencies_body(prepared(), [])


def hit(doc_id: str = "1", **more: Any) -> dict[str, Any]:
    return {"_index": "theirs", "_id": doc_id, "_score": 1.5, "_source": {}, **more}


def read(hits: list[dict[str, Any]], asked: RetrieveRequest | None = None, **changes: Any) -> Any:
    return ranking({"hits": {"hits": hits}}, table(**changes), SCHEMA, asked or request()).candidates


SOURCE = {
    "title": ["One", "Two"],
    "a.b": {"c": 1, "d": 2},
    "a": {"b.c": "literal", "x": None},
    "c": [{"text": "first", "author": "wei"}, {"text": ["second", 3.5]}, {"other": True}],
    "empty": {},
}


def test_the_passage_is_what_a_reranker_reads_cut_to_its_length() -> None:
    shown = {"title": "title", "snippet": "c.text", "rerank_text": ("c.text", "nowhere", "title")}
    (candidate,) = read([hit(_source=SOURCE)], returned=("a.b.c",), rerank_characters=22, **shown)

    assert candidate.title == "One Two"
    assert candidate.text == "first\nsecond\n3.5"
    assert candidate.passage == "first\nsecond\n3.5\nOne\nT"
    assert candidate.source == {"a.b": {"c": 1}, "a": {"b.c": "literal"}}


@pytest.mark.parametrize(
    ("shown", "passage"),
    [({"title": "title"}, "One\nTwo"), ({}, "One\nTwo\nfirst\nsecond\n3.5")],
    ids=["what is shown", "what is searched"],
)
def test_where_the_table_does_not_say_what_to_read(shown: Any, passage: str) -> None:
    (candidate,) = read([hit(_source=SOURCE)], **shown)
    assert candidate.passage == passage
    assert candidate.source == SOURCE


def test_a_document_of_which_nothing_may_be_seen_is_empty() -> None:
    (candidate,) = read([hit()], title="title", snippet="body", returned=("title",))

    assert (candidate.title, candidate.text, candidate.passage, candidate.source) == ("", "", "", {})


def test_documents_without_source_are_refused() -> None:
    without = hit()
    del without["_source"]
    with pytest.raises(BackendRejected, match="disables _source"):
        read([without])


def test_two_documents_of_one_id_are_refused_with_the_way_out() -> None:
    twins = [hit("1"), hit("1", _index="other")]
    with pytest.raises(BackendRejected, match="theirs/1 and other/1 are both '1'") as caught:
        read(twins)

    assert 'id = "_index/_id"' in caught.value.hint
    assert [each.doc_id for each in read(twins, doc_id="_index/_id")] == ["theirs/1", "other/1"]


def test_an_id_field_must_have_one_value() -> None:
    assert read([hit(fields={"key": ["x"]})], doc_id="key")[0].doc_id == "x"
    for fields in ({}, {"key": ["x", "y"]}):
        with pytest.raises(BackendRejected, match=r"theirs/1 has \d values of key"):
            read([hit(fields=fields)], doc_id="key")


def test_contributions_are_told_by_word_and_never_mixed_up() -> None:
    phrases = (WeightedTerm(term="b", weight=1), WeightedTerm(term="the query", weight=1))
    query = WeightedQuery(text="a", terms=(), text_weight=0.5, phrases=phrases)
    named = {QUERY: 1.0, f"{PHRASE}0": 0.5, f"{PHRASE}1": 0.25, "theirs": 9.0}
    (candidate,) = read([hit(matched_queries=named)], wanted(query, explain=True))

    assert candidate.contributions == {"the query": 1.25, "b": 0.5}
    assert read([hit(matched_queries=named)], wanted(query))[0].contributions == {}


def test_the_group_and_the_values_of_the_order_are_told() -> None:
    keys = (SortKey(field="price"), SortKey(field="hot"), SortKey(field="at"))
    values = {"lang": ["zh"], "hot": [True], "at": ["x"]}
    first = hit(fields=values, sort=[9223372036854775807, 1, "2026-01-01T00:00:00.000Z", 17])
    (candidate,) = read([first], request(sort=keys, collapse="lang"))

    assert candidate.group == "zh"
    assert candidate.sort_values == (None, True, "2026-01-01T00:00:00.000Z")


def test_the_weight_of_a_word_is_measured_over_the_best_that_hold_one() -> None:
    words = (WeightedTerm(term="a", weight=2.0), WeightedTerm(term="b", weight=1.0))
    scores = [{QUERY: 6.0, f"{WORD}0": 2.0, f"{WORD}1": 1.0}, {QUERY: 50.0}, {QUERY: 2.0, f"{WORD}0": 1.0}, {}]
    reply = {"hits": {"hits": [hit(matched_queries=each) for each in scores]}}

    assert word_weight(reply, words, 3.0) == pytest.approx(8 / 4)
    assert word_weight(reply, words, 6.0) == pytest.approx(8 / 4 / 2)
    assert word_weight({"hits": {"hits": [hit()]}}, words, 3.0) is None
    beyond = {"hits": {"hits": [hit()] * 10 + [hit(matched_queries=scores[0])]}}
    assert word_weight(beyond, words, 3.0) is None


@pytest.mark.parametrize("reply", [{}, {"hits": {"hits": [{"_id": "1"}]}}, {"hits": {"hits": [hit(_score=None)]}}, []])
def test_another_shape_is_told_as_such(reply: Any) -> None:
    with pytest.raises(BackendRejected):
        ranking(reply, table(), SCHEMA, request())
