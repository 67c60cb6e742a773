"""What the table of an adopted index names, held against the fields that Elasticsearch tells of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from searchsvc.elastic.adopted.caps import Fields, read_fields
from searchsvc.elastic.adopted.fields import header, not_in_mapping, schema_of
from searchsvc.errors import BackendRejected, BackendUnavailable
from searchsvc.schema import AdoptedIndex, FieldKind, TextField

TYPES = {
    "_id": "_id",
    "title": "text",
    "title.raw": "keyword",
    "body": "match_only_text",
    "tags": "keyword",
    "lang": "constant_keyword",
    "path": "wildcard",
    "host": "ip",
    "stars": "integer",
    "price": "half_float",
    "published_at": "date_nanos",
    "public": "boolean",
    "place": "geo_point",
    "attributes": "flattened",
    "author": "object",
    "author.name": "text",
    "comments": "nested",
    "comments.text": "text",
    "comments.author": "keyword",
    "comments.replies": "nested",
    "comments.replies.text": "text",
}
WITHOUT_VALUES = {"text", "match_only_text", "nested", "object"}
ARTICLES = AdoptedIndex(name="articles", target="articles", text_fields=(TextField(name="title"),))


def caps(kind: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "metadata_field": kind.startswith("_"),
        "searchable": kind not in {"nested", "object"},
        "aggregatable": kind not in WITHOUT_VALUES,
        **changes,
    }


def answer(types: dict[str, str] = TYPES, indices: tuple[str, ...] = ("articles",), **more: Any) -> dict[str, Any]:
    fields = {name: {kind: caps(kind)} for name, kind in types.items()}
    return {"indices": list(indices), "fields": {**fields, **more}}


FIELDS = read_fields(answer())


def conflicting(name: str, **indices_by_type: str) -> Fields:
    entry = {kind: caps(kind, indices=[index]) for kind, index in indices_by_type.items()}
    return read_fields(answer(indices=("old", "new"), **{name: entry}))


def problems(fields: Fields = FIELDS, **table: Any) -> tuple[str, ...]:
    return schema_of(replace(ARTICLES, **table), fields).problems


def test_metadata_fields_are_left_out_and_indices_sorted() -> None:
    fields = read_fields(answer(indices=("b", "a")))

    assert "_id" not in fields.by_name
    assert fields.indices == ("a", "b")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("body", FieldKind.TEXT),
        ("lang", FieldKind.KEYWORD),
        ("path", FieldKind.KEYWORD),
        ("host", FieldKind.KEYWORD),
        ("stars", FieldKind.NUMBER),
        ("price", FieldKind.NUMBER),
        ("published_at", FieldKind.DATE),
        ("public", FieldKind.BOOLEAN),
        ("place", None),
        ("attributes", None),
        ("comments", None),
        ("author", None),
    ],
)
def test_types_are_of_a_kind(name: str, kind: FieldKind | None) -> None:
    assert FIELDS.by_name[name].kind is kind


@pytest.mark.parametrize(
    "reply",
    [{}, [], None, {"fields": {}}, {"indices": ["a"], "fields": {"x": {"text": {}}}}, {"indices": 1, "fields": {}}],
)
def test_another_answer_is_refused(reply: Any) -> None:
    with pytest.raises(BackendRejected, match="list of fields"):
        read_fields(reply)


def test_fields_of_a_part_of_the_indices_are_no_answer() -> None:
    part = answer() | {"failed_indices": 1, "failures": [{"indices": ["red"], "failure": {"error": {}}}]}

    with pytest.raises(BackendUnavailable, match="red"):
        read_fields(part)


def test_a_table_that_fits_has_no_problems_and_says_what_requests_may_name() -> None:
    index = replace(
        ARTICLES,
        text_fields=(TextField(name="title", boost=3), TextField(name="comments.text")),
        nested=("comments",),
        doc_id="title.raw",
        title="title",
        snippet="body",
        returned=("title", "author", "comments.text", "attributes.colour"),
        filters=("tags", "stars", "published_at", "public", "body", "comments.author"),
        facets=("tags", "host"),
        rerank_text=("title", "body"),
    )

    schema = schema_of(index, FIELDS)

    assert schema.problems == ()
    assert schema.returned == index.returned
    assert {name: (field.kind, field.filter, field.facet, field.sort) for name, field in schema.fields.items()} == {
        "tags": (FieldKind.KEYWORD, True, True, True),
        "stars": (FieldKind.NUMBER, True, False, True),
        "published_at": (FieldKind.DATE, True, False, True),
        "public": (FieldKind.BOOLEAN, True, False, True),
        "body": (FieldKind.TEXT, True, False, False),
        "comments.author": (FieldKind.KEYWORD, True, False, False),
        "host": (FieldKind.KEYWORD, False, True, False),
    }
    assert schema.fields["comments.author"].nested == "comments"


def test_without_a_list_everything_comes_back() -> None:
    assert schema_of(ARTICLES, FIELDS).returned is None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"text_fields": (TextField(name="titel"),)}, ['text_fields: "titel" is not there', "Did you mean title?"]),
        ({"text_fields": (TextField(name="tags"),)}, ['text_fields: "tags" is keyword: it is not text']),
        ({"text_fields": (TextField(name="author"),)}, ['"author" is object', "Did you mean author.name?"]),
        (
            {"text_fields": (TextField(name="comments.text"),)},
            ['"comments.text" lies in the nested path comments', 'nested = ["comments"]'],
        ),
        (
            {"text_fields": (TextField(name="comments.replies.text"),), "nested": ("comments",)},
            ["lies in the nested path comments.replies", 'nested = ["comments", "comments.replies"]'],
        ),
        ({"nested": ("coments",)}, ['nested: "coments" is not there', "Did you mean comments?"]),
        ({"nested": ("author",)}, ['nested: "author" is object, no nested path', "comments"]),
        ({"doc_id": "uuid"}, ['id: "uuid" is not there']),
        ({"doc_id": "title"}, ['id: "title" is text: it is no keyword', "Did you mean title.raw?"]),
        ({"doc_id": "comments.author"}, ['id: "comments.author" is nested']),
        ({"filters": ("tag",)}, ['filters: "tag" is not there', "Did you mean tags?"]),
        ({"filters": ("place",)}, ['filters: "place" is geo_point: it cannot be filtered']),
        ({"filters": ("comments.author",)}, ["lies in the nested path comments"]),
        ({"facets": ("title",)}, ['facets: "title" is text', "Did you mean title.raw?"]),
        ({"title": "titl"}, ['title: "titl" is not there', "Did you mean title?"]),
        ({"title": "title.raw"}, ['title: "title.raw" is another reading of title', "Write title."]),
        ({"snippet": "author"}, ['snippet: "author" is object and holds no text', "Did you mean author.name?"]),
        ({"rerank_text": ("title", "bdy")}, ['rerank_text: "bdy" is not there', "Did you mean body?"]),
        ({"returned": ("authr",)}, ['returned: "authr" is not there']),
    ],
)
def test_what_is_wrong_is_told_with_table_key_value_and_the_nearest_right_name(
    table: dict[str, Any], said: list[str]
) -> None:
    found = problems(**table)

    assert len(found) == 1
    assert found[0].startswith("[indices.articles] ")
    assert [part for part in said if part not in found[0]] == []


def test_everything_that_is_wrong_is_told_at_once() -> None:
    found = problems(text_fields=(TextField(name="x"), TextField(name="y")), nested=("z",), filters=("x",))

    assert [each.split('"')[1] for each in found] == ["x", "y", "z", "x"]


def test_a_field_that_is_wrong_cannot_be_named_by_requests() -> None:
    index = replace(ARTICLES, filters=("tag", "place", "comments.author"), facets=("title",))

    assert schema_of(index, FIELDS).fields == {}


def test_types_that_differ_between_indices_are_told_by_index() -> None:
    fields = conflicting("stars", keyword="old", integer="new")

    found = problems(fields, doc_id="_index/_id", filters=("stars",))

    assert found[0].startswith('[indices.articles] filters: "stars" is integer in new and keyword in old')


def test_numbers_of_different_types_can_be_filtered_and_not_sorted() -> None:
    fields = conflicting("stars", long="old", double="new")

    schema = schema_of(replace(ARTICLES, doc_id="_index/_id", filters=("stars",)), fields)

    assert schema.problems == ()
    assert (schema.fields["stars"].kind, schema.fields["stars"].sort) == (FieldKind.NUMBER, False)


def test_a_path_that_is_nested_in_one_index_only_is_told() -> None:
    fields = conflicting("comments", nested="old", object="new")

    found = problems(fields, doc_id="_index/_id", nested=("comments",))

    assert found[0].startswith(
        '[indices.articles] nested: "comments" is nested in old and object in new, no nested path'
    )


def test_a_name_for_several_indices_needs_ids_that_tell_them_apart() -> None:
    fields = read_fields(answer(indices=("a", "b")))

    assert 'id = "_index/_id"' in problems(fields)[0]
    assert problems(fields, doc_id="_index/_id") == ()
    assert problems(fields, doc_id="tags") == ()


@pytest.mark.parametrize(
    ("key", "changes", "said"),
    [
        ("filters", {"searchable": False}, "is not indexed"),
        ("doc_id", {"searchable": False}, "is not indexed"),
        ("facets", {"aggregatable": False}, "has no doc_values"),
    ],
)
def test_a_field_that_is_stored_in_no_usable_way_is_told(key: str, changes: dict[str, Any], said: str) -> None:
    fields = read_fields(answer(code={"keyword": caps("keyword", **changes)}))

    found = problems(fields, **{key: "code" if key == "doc_id" else ("code",)})

    assert said in found[0]


def test_a_text_field_that_is_not_indexed_is_told() -> None:
    fields = read_fields(answer(note={"text": caps("text", searchable=False)}))

    assert "is not indexed" in problems(fields, text_fields=(TextField(name="note"),))[0]


def test_names_outside_the_mapping_are_right_if_documents_hold_them() -> None:
    index = replace(ARTICLES, title="headline", returned=("raw", "title.raw", "attributes.x"), rerank_text=("raw",))

    assert not_in_mapping(index, FIELDS) == ("headline", "raw", "title.raw")
    assert schema_of(index, FIELDS, unmapped=frozenset({"headline", "raw", "title.raw"})).problems == ()
    assert len(schema_of(index, FIELDS).problems) == 4


def test_a_hint_stays_short_where_an_index_has_hundreds_of_fields() -> None:
    fields = read_fields(answer({f"field_{number:04d}": "text" for number in range(2000)} | {"title": "text"}))

    found = problems(fields, text_fields=(TextField(name="zzzz"),))

    assert found[0].endswith("2001 other fields would do.")


@pytest.mark.parametrize(
    ("name", "written"),
    [("articles", "[indices.articles]"), ("logs-*", '[indices."logs-*"]'), ('a"b', r'[indices."a\"b"]')],
)
def test_the_header_is_as_toml_writes_it(name: str, written: str) -> None:
    assert header(name) == written
