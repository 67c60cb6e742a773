from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.elastic.mapped import mapped_fields, merged
from searchsvc.elastic.proposal import Proposal, propose
from searchsvc.elastic.sampling import sample_words, sampled
from searchsvc.errors import ConfigurationError
from tests.support.adopted import ARTICLES_MAPPING, articles

TEXT, KEYWORD = {"type": "text"}, {"type": "keyword"}
SENTENCE = "The driver of the wireless adapter drops the connection after some minutes"


def fields_of(properties, settings=None):
    analysis = {"settings": {"index": {"analysis": {"analyzer": settings or {}}}}}
    return mapped_fields({"mappings": {"properties": properties}}, analysis)


def proposal(properties, documents, **options) -> Proposal:
    return propose(fields_of(properties), documents, **options)


def roles(found: Proposal) -> dict[str, tuple[str, ...]]:
    return {each.field.name: each.roles for each in found.fields}


def reasons(found: Proposal) -> dict[str, str]:
    return {each.field.name: each.reason for each in found.fields if each.reason}


def many(count=40, **makers):
    """Documents whose fields are made from their number."""
    return [{name: make(number) for name, make in makers.items()} for number in range(count)]


def test_the_articles_get_the_table_that_a_person_would_write():
    found = propose(fields_of(ARTICLES_MAPPING["properties"]), list(articles(200).values()))

    assert found.table == {
        "text_fields": ["title^3", "body", "comments.text^0.5"],
        "nested": ["comments"],
        "id": "_id",
        "title": "title",
        "snippet": "body",
        "rerank_text": ["title", "body"],
        "returned": ["title", "body", "comments", "tags", "lang", "url", "published_at", "price", "popularity"],
        "filters": [
            *("comments.author", "comments.stars", "tags", "lang", "url", "published_at"),
            *("price", "popularity", "visible_to"),
        ],
        "facets": ["tags", "lang"],
        "rerank_characters": 500,
    }
    assert found.notes == ()


def test_a_name_that_stands_for_several_indices_needs_both_in_the_id():
    assert proposal({"t": TEXT}, [{"t": SENTENCE}], indices=2).table["id"] == "_index/_id"


def test_title_like_names_weigh_more_than_bodies_and_these_more_than_the_rest():
    found = proposal(
        {"summary": TEXT, "content": TEXT, "headline": TEXT},
        many(summary=lambda n: f"Some words {n}", content=lambda n: SENTENCE * 9, headline=lambda n: f"A head {n}"),
    )

    assert found.table["text_fields"] == ["headline^3", "content", "summary^0.5"]
    assert (found.table["title"], found.table["snippet"]) == ("headline", "content")
    assert found.table["rerank_text"] == ["headline", "content"]


def test_a_long_text_is_no_title_whatever_its_name():
    found = proposal({"title_text": TEXT}, many(title_text=lambda n: SENTENCE * 9))

    assert found.table["text_fields"] == ["title_text"]
    assert "title" not in found.table
    assert found.table["snippet"] == "title_text"


def test_sub_fields_of_a_text_are_not_searched_beside_it():
    title = {"type": "text", "fields": {"raw": KEYWORD, "en": {"type": "text", "analyzer": "stop"}}}

    found = proposal({"title": title}, many(title=lambda n: f"Some title {n // 2}"))

    assert found.table["text_fields"] == ["title^3"]
    assert found.table["filters"] == ["title.raw"]
    assert found.table["returned"] == ["title"]
    assert reasons(found) == {"title.en": "title is searched"}


def test_a_text_below_a_keyword_is_searched_and_its_parent_is_read():
    name = {"type": "keyword", "fields": {"words": TEXT}}

    found = proposal({"name": name}, many(name=lambda n: f"Some name {n}"))

    assert found.table["text_fields"] == ["name.words^3"]
    assert (found.table["title"], found.table["snippet"]) == ("name", "name")
    assert found.table["rerank_text"] == ["name"]
    assert found.table["returned"] == ["name"]


@pytest.mark.parametrize(
    "value",
    [
        "https://kb.example/a/b?c=d",
        "/var/log/syslog",
        "7f9c2ba4-e88f-4f0e-a1b2-0123456789ab",
        "d41d8cd98f00b204e9800998ecf8427e",
        "aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgMQ==",
        "sku-0012",
        "2026-05-05T12:00:00Z",
        "12,50",
        "ada@example.org",
    ],
)
def test_text_that_looks_like_machine_data_is_not_searched(value):
    found = proposal({"body": TEXT, "x": TEXT}, many(body=lambda n: SENTENCE, x=lambda n: value))

    assert found.table["text_fields"] == ["body"]
    assert reasons(found) == {"x": "ids, addresses or codes"}


@pytest.mark.parametrize(
    "value", ["网络不通", "空指针异常。", "Python", "Windows 11 restarts", "How?", "数据库 2024 年"]
)
def test_what_a_person_wrote_is_no_machine_data(value):
    assert not sampled([{"x": value}], "x").machine


def test_a_reranker_reads_sentences_and_no_labels():
    found = proposal(
        {"title": TEXT, "keywords": TEXT, "body": TEXT, "abstract": TEXT, "slug": TEXT},
        many(
            title=lambda n: f"Title {n}",
            keywords=lambda n: f"one two {n}",
            body=lambda n: SENTENCE * 9,
            abstract=lambda n: SENTENCE,
            slug=lambda n: "py-import-failed",
        ),
    )

    assert found.table["rerank_text"] == ["title", "body", "abstract"]
    assert found.table["text_fields"] == ["title^3", "body", "keywords^0.5", "abstract^0.5"]
    assert reasons(found) == {"slug": "ids, addresses or codes"}


def test_tags_are_counted_though_there_are_many():
    properties = {"body": TEXT, "tags": KEYWORD, "author": KEYWORD}
    values = {name: (lambda n: f"v{n % 60}") for name in ("tags", "author")}

    table = proposal(properties, many(200, body=lambda n: SENTENCE, **values)).table

    assert table["filters"] == ["tags", "author"]
    assert table["facets"] == ["tags"]


def test_texts_that_are_empty_in_the_sample_are_left_out_and_told():
    found = proposal(
        {"body": TEXT, "everything": TEXT, "blank": TEXT}, many(body=lambda n: SENTENCE, blank=lambda n: "")
    )

    assert found.table["text_fields"] == ["body"]
    assert reasons(found) == {"everything": "empty in the sample", "blank": "empty in the sample"}
    assert "everything, blank" in found.notes[0]


def test_a_label_with_a_keyword_beside_it_is_filtered_and_not_searched():
    dynamic = {"type": "text", "fields": {"keyword": KEYWORD}}

    found = proposal(
        {"body": TEXT, "state": dynamic}, many(body=lambda n: SENTENCE, state=lambda n: "open" if n % 2 else "closed")
    )

    assert found.table["text_fields"] == ["body"]
    assert found.table["facets"] == ["state.keyword"]


def test_a_keyword_of_its_own_in_every_document_is_filtered_only_if_it_identifies():
    found = proposal(
        {"body": TEXT, "order_id": KEYWORD, "nonsense": KEYWORD, "lang": KEYWORD},
        many(body=lambda n: SENTENCE, order_id=lambda n: f"o{n}", nonsense=lambda n: f"x{n}", lang=lambda n: "zh"),
    )

    assert found.table["filters"] == ["order_id", "lang"]
    assert found.table["facets"] == ["lang"]


def test_dates_numbers_and_booleans_are_filtered_and_those_with_few_values_counted():
    properties = {
        "body": TEXT,
        **{name: {"type": name} for name in ("date", "float", "integer", "long", "boolean", "ip", "date_nanos")},
    }
    documents = many(
        body=lambda n: SENTENCE,
        date=lambda n: f"2026-01-{n % 28 + 1:02d}",
        float=lambda n: n / 3,
        integer=lambda n: n % 5,
        long=lambda n: n,
        boolean=lambda n: n % 2 == 0,
        ip=lambda n: f"10.0.0.{n % 3}",
    )

    table = proposal(properties, documents).table

    assert table["filters"] == ["date", "float", "integer", "long", "boolean", "ip"]
    assert table["facets"] == ["integer", "boolean", "ip"]


def test_what_nobody_may_see_is_neither_returned_nor_counted():
    properties = {"body": TEXT, "password": KEYWORD, "api_key": TEXT, "acl": KEYWORD}
    documents = many(
        body=lambda n: SENTENCE, password=lambda n: "a", api_key=lambda n: "some words here", acl=lambda n: "staff"
    )

    found = roles(proposal(properties, documents))

    assert found["password"] == ()
    assert found["api_key"] == ()
    assert found["acl"] == ("filter",)


def test_what_is_huge_binary_a_vector_or_switched_off_is_not_returned():
    properties = {
        "body": TEXT,
        "whole": TEXT,
        "file": {"type": "binary"},
        "vector": {"type": "dense_vector", "dims": 3},
        "raw": {"type": "object", "enabled": False},
        "place": {"type": "geo_point"},
    }
    documents = many(
        body=lambda n: SENTENCE,
        whole=lambda n: SENTENCE * 400,
        vector=lambda n: [1, 2, 3],
        file=lambda n: "QUJD",
        raw=lambda n: {"x": 1},
        place=lambda n: {"lat": 1, "lon": 2},
    )

    assert proposal(properties, documents).table["returned"] == ["body", "place"]


def test_a_nested_object_is_returned_as_one_unless_a_part_of_it_must_not_be():
    comments = {"type": "nested", "properties": {"text": TEXT, "secret": KEYWORD}}
    plain = {"type": "nested", "properties": {"text": TEXT}}
    documents = many(
        body=lambda n: SENTENCE,
        comments=lambda n: [{"text": "some words", "secret": "x"}],
        notes=lambda n: [{"text": "other words"}],
    )

    table = proposal({"body": TEXT, "comments": comments, "notes": plain}, documents).table

    assert table["returned"] == ["body", "notes", "comments.text"]
    assert table["nested"] == ["comments", "notes"]


def test_all_nested_paths_around_a_field_are_listed():
    replies = {"type": "nested", "properties": {"text": TEXT}}
    comments = {"type": "nested", "properties": {"replies": replies}}
    documents = many(body=lambda n: SENTENCE, comments=lambda n: [{"replies": [{"text": "some words"}]}])

    table = proposal({"body": TEXT, "comments": comments}, documents).table

    assert table["nested"] == ["comments", "comments.replies"]
    assert table["text_fields"] == ["body", "comments.replies.text^0.5"]


def test_what_is_in_objects_and_arrays_of_objects_is_read():
    properties = {"meta": {"properties": {"title": TEXT, "tags": KEYWORD}}}
    documents = many(meta=lambda n: [{"title": f"One title {n}"}, {"title": "Two", "tags": ["a", "b"]}])

    found = proposal(properties, documents)

    assert found.table["text_fields"] == ["meta.title^3"]
    assert found.table["filters"] == ["meta.tags"]
    assert found.table["nested"] == []


def test_keyword_that_is_not_indexed_is_no_filter_and_one_without_values_no_facet():
    properties = {"body": TEXT, "a": {**KEYWORD, "index": False}, "b": {**KEYWORD, "doc_values": False}}

    table = proposal(properties, many(body=lambda n: SENTENCE, a=lambda n: "x", b=lambda n: "y")).table

    assert (table["filters"], table["facets"]) == (["b"], [])


def test_enough_characters_for_nine_of_ten_documents_within_bounds():
    def characters(length: int) -> int:
        return int(proposal({"body": TEXT}, many(body=lambda n: ("ab " * length)[:length])).table["rerank_characters"])

    assert [characters(length) for length in (10, 501, 1234, 50_000)] == [500, 600, 1300, 4000]


def test_without_documents_names_and_types_decide_and_it_says_so():
    found = proposal({"title": TEXT, "body": TEXT, "lang": KEYWORD, "at": {"type": "date"}}, [])

    assert found.table["text_fields"] == ["title^3", "body"]
    assert found.table["filters"] == ["lang", "at"]
    assert found.table["facets"] == ["lang"]
    assert found.table["rerank_characters"] == 2000
    assert "no document yet" in found.notes[0]


def test_of_a_thousand_fields_the_likeliest_are_searched_and_it_says_so():
    properties = {f"f{number}": TEXT for number in range(1200)} | {"title": TEXT, "body": TEXT}
    document = dict.fromkeys(properties, SENTENCE)

    found = proposal(properties, [document] * 5)

    assert found.table["text_fields"][:2] == ["title^3", "body"]
    assert len(found.table["text_fields"]) == 10
    assert len(found.table["returned"]) == 40
    assert "Of 1202 text fields the 10 likeliest are searched." in found.notes


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({}, "no fields yet"),
        ({"a": KEYWORD, "b": {"type": "date"}}, "no text field, only date, keyword"),
        ({"a": TEXT}, "a: empty in the sample"),
    ],
)
def test_without_any_text_there_is_nothing_to_adopt(properties, told):
    with pytest.raises(ConfigurationError, match=told):
        proposal(properties, [{"a": ""}])


def test_analysers_are_those_of_the_field_or_the_default_of_the_index():
    properties = {"a": TEXT, "b": {**TEXT, "analyzer": "ik_max_word", "search_analyzer": "ik_smart"}, "c": KEYWORD}

    plain = {field.name: field.analyzer for field in fields_of(properties)}
    own = {field.name: field.analyzer for field in fields_of(properties, {"default": {"type": "simple"}})}

    assert plain == {"a": "standard", "b": "ik_max_word, queries ik_smart", "c": ""}
    assert own["a"] == "default"


def test_aliases_of_fields_and_names_that_no_table_can_hold_are_left_out():
    properties = {"a": TEXT, "b": {"type": "alias", "path": "a"}, "c^2": TEXT, "d*": TEXT}

    assert [field.name for field in fields_of(properties)] == ["a"]


def test_indices_that_do_not_agree_on_a_field_are_told():
    first = fields_of({"a": TEXT, "b": {"type": "long"}, "c": {"type": "nested", "properties": {"d": TEXT}}, "e": TEXT})
    second = fields_of({"a": {**TEXT, "analyzer": "simple"}, "b": KEYWORD, "c": {"properties": {"d": TEXT}}})

    kept, told = merged({"one": first, "two": second})

    assert [field.name for field in kept] == ["a", "e"]
    assert told == [
        "a is read by different analysers: simple, standard.",
        "b is long in one, but keyword in two: left out.",
        "c.d is text inside nested c in one, but text in two: left out.",
    ]


def test_many_indices_that_differ_are_told_in_part():
    by_index = {f"i{number}": fields_of({"a": TEXT if number else KEYWORD}) for number in range(9)}

    assert merged(by_index)[1] == ["a is keyword in i0, but text in i1, i2, i3 …: left out."]


def test_a_sample_word_is_one_of_each_script_that_the_texts_have():
    texts = ["网络不通，重启网络", "the network 网络的", "Network drops"]

    assert sample_words(texts) == ["网络", "network"]
    assert sample_words(["drivers"]) == ["drivers"]
    assert sample_words(["的了是", "a b"]) == []


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["title", "body", "tags", "n"]),
            st.one_of(st.none(), st.text(), st.integers(), st.booleans(), st.lists(st.text(), max_size=3)),
        ),
        max_size=25,
    )
)
def test_a_proposal_names_each_field_once_and_only_fields_that_there_are(documents):
    properties = {"title": TEXT, "body": TEXT, "tags": KEYWORD, "n": {"type": "long"}}
    try:
        table = proposal(properties, documents).table
    except ConfigurationError:
        return
    for key in ("text_fields", "returned", "filters", "facets", "rerank_text"):
        names = [name.partition("^")[0] for name in table[key]]
        assert len(set(names)) == len(names)
        assert set(names) <= set(properties)
    assert set(table["facets"]) <= set(table["filters"])
    assert 500 <= table["rerank_characters"] <= 4000
