"""What a request may name on an index, and how it is told what it may not."""

from __future__ import annotations

import pytest

from searchsvc.checks import check_fields, check_window
from searchsvc.errors import Forbidden, InvalidRequest
from searchsvc.model import (
    FIRST_PAGE,
    AnyOf,
    Exists,
    Not,
    Range,
    RangesFacet,
    RawFilter,
    RerankOptions,
    SearchRequest,
    SortKey,
    TermsFacet,
)
from searchsvc.schema import MANAGED, FieldKind, IndexField, IndexSchema

SCHEMA = IndexSchema(
    fields={
        "tags": IndexField(name="tags", kind=FieldKind.KEYWORD, facet=True, sort=True),
        "price": IndexField(name="price", kind=FieldKind.NUMBER, facet=True, sort=True),
        "public": IndexField(name="public", kind=FieldKind.BOOLEAN),
        "at": IndexField(name="at", kind=FieldKind.DATE, sort=True),
        "body": IndexField(name="body", kind=FieldKind.TEXT),
        "comments.author": IndexField(name="comments.author", kind=FieldKind.KEYWORD, nested="comments"),
    },
    returned=("title", "author"),
)


def check(schema: IndexSchema = SCHEMA, *, raw_filters: bool = False, **request: object) -> None:
    check_fields(SearchRequest(query_id="1", user_query="q", **request), schema, raw_filters=raw_filters)


@pytest.mark.parametrize(
    "request_",
    [
        {"filters": (AnyOf(field="tags", values=("a",)), Not(condition=AnyOf(field="public", values=(True,))))},
        {"filters": (Range(field="price", gte=1, lt=2.5), Range(field="at", gt="2026-01-31"))},
        {"filters": (Exists(field="body"), Not(condition=Exists(field="comments.author")))},
        {"facets": (TermsFacet(field="tags"), RangesFacet(field="price", ranges=(Range(field="price", lt=3),)))},
        {"sort": (SortKey(field="at", descending=True), SortKey(field="price")), "collapse": "tags"},
        {"fields": ("title", "author.name"), "highlight": ("title",)},
    ],
)
def test_what_fits_the_index_passes(request_: dict[str, object]) -> None:
    check(**request_)


@pytest.mark.parametrize(
    ("request_", "pointer", "said"),
    [
        ({"filters": (AnyOf(field="tag", values=("a",)),)}, "/filters/tag", "no filter field 'tag'"),
        ({"filters": (AnyOf(field="tags", values=(1,)),)}, "/filters/tags", "1 is no string"),
        ({"filters": (AnyOf(field="price", values=(True,)),)}, "/filters/price", "True is no number"),
        ({"filters": (AnyOf(field="price", values=("7",)),)}, "/filters/price", "'7' is no number"),
        ({"filters": (AnyOf(field="public", values=("yes",)),)}, "/filters/public", "'yes' is no true or false"),
        ({"filters": (AnyOf(field="body", values=("x",)),)}, "/filters/body", "no exact values"),
        ({"filters": (Range(field="tags", gte="a"),)}, "/filters/tags", "dates and numbers only"),
        ({"filters": (Not(condition=Range(field="at", gte="soon")),)}, "/filters/at", "'soon' is no time"),
        ({"filters": (Range(field="at", gte=5),)}, "/filters/at", "5 is no time"),
        ({"facets": (TermsFacet(field="at"),)}, "/facets/at", "no facet field 'at'"),
        ({"facets": (RangesFacet(field="tags", ranges=(Range(field="tags", lt="b"),)),)}, "/facets/tags", "only"),
        ({"sort": (SortKey(field="comments.author"),)}, "/sort/comments.author", "no sort field"),
        ({"collapse": "at"}, "/collapse", "no collapse field 'at'"),
        ({"fields": ("secret",)}, "/fields", "'secret' does not come back"),
        ({"highlight": ("authors",)}, "/highlight", "'authors' does not come back"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(request_: dict[str, object], pointer: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        check(**request_)
    assert caught.value.pointer == pointer
    assert caught.value.hint


def test_our_own_indices_return_whatever_a_document_holds() -> None:
    check(MANAGED, fields=("anything",))


def test_raw_filters_are_for_those_who_may() -> None:
    raw = (RawFilter(query={"term": {"x": 1}}),)
    check(raw_filters=True, filters=raw)
    with pytest.raises(Forbidden, match=r"filters\.es"):
        check(filters=raw)


def test_from_and_cursor_are_two_ways_to_page() -> None:
    with pytest.raises(InvalidRequest, match="two ways"):
        check_window(SearchRequest(query_id="1", user_query="q", offset=10, cursor=FIRST_PAGE))


def test_a_later_page_may_be_longer_than_the_window() -> None:
    check_window(SearchRequest(query_id="1", user_query="q", top_k=100, cursor="token"))
    with pytest.raises(InvalidRequest, match="beyond depth"):
        check_window(SearchRequest(query_id="1", user_query="q", top_k=100, cursor=FIRST_PAGE))


@pytest.mark.parametrize(
    ("cursor", "depth", "hint"),
    [
        (None, 200, 'Ask for less, or page with cursor "*".'),
        (FIRST_PAGE, 200, "Ask for less."),
        (FIRST_PAGE, 50, "Ask for less, or raise rerank.depth (at most 200)."),
    ],
)
def test_a_page_beyond_the_window_is_told_what_else_there_is(cursor: str | None, depth: int, hint: str) -> None:
    request = SearchRequest(query_id="1", user_query="q", top_k=201, cursor=cursor, rerank=RerankOptions(depth=depth))
    with pytest.raises(InvalidRequest) as caught:
        check_window(request)
    assert caught.value.hint == hint
