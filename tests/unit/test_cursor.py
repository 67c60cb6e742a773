"""Cursors: what is written is read again, and only for the search that it belongs to."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.cursor import Cursor, Line, fingerprint, read_cursor
from searchsvc.errors import InvalidRequest
from searchsvc.model import AnyOf, ExpansionOptions, Mode, ScoreKind, SearchRequest, SortKey
from searchsvc.result import Placement, Total
from searchsvc.schema import Caller

REQUEST = SearchRequest(query_id="q", user_query="网络不通")
BASIC = "Basic " + base64.b64encode(b"ann:secret").decode()

numbers = st.floats(allow_nan=False, allow_infinity=False)
placements = st.none() | st.builds(Placement, rank=st.integers(1, 10**6), score=numbers)
lines = st.builds(
    Line,
    doc_id=st.text(min_size=1, max_size=40),
    score=numbers,
    score_kind=st.sampled_from(ScoreKind),
    retrieval=placements,
    rerank=placements,
    group=st.none() | st.text(max_size=5) | st.integers(-5, 5) | st.booleans(),
)


def cursor_of(request: SearchRequest, index: str = "documents-v1-1", **given: object) -> Cursor:
    return replace(Cursor(fingerprint=fingerprint(request, index), window=(), total=Total(value=9), shown=0), **given)


@given(st.lists(lines, max_size=20), st.integers(0, 10**6), st.integers(0, 10**6), st.text(max_size=50))
def test_what_is_written_is_read_again(window: list[Line], shown: int, base: int, view: str) -> None:
    cursor = cursor_of(REQUEST, window=tuple(window), shown=shown, base=base, view=view)
    assert read_cursor(cursor.encoded(), REQUEST, "documents-v1-1") == cursor


@given(st.text(max_size=200))
def test_any_other_text_is_refused_with_its_pointer(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_cursor(text, REQUEST, "documents-v1-1")
    assert caught.value.pointer == "/cursor"


def test_a_text_that_unpacks_to_very_much_is_refused() -> None:
    bomb = base64.urlsafe_b64encode(zlib.compress(b"[" * (1 << 24))).decode()
    with pytest.raises(InvalidRequest, match="damaged"):
        read_cursor(bomb, REQUEST, "documents-v1-1")


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, user_query="网络"),
        replace(REQUEST, index="articles"),
        replace(REQUEST, filters=(AnyOf(field="lang", values=("zh",)),)),
        replace(REQUEST, expansion=ExpansionOptions(mode=Mode.OFF)),
        replace(REQUEST, sort=(SortKey(field="updated_at"),)),
        replace(REQUEST, collapse="lang"),
        replace(REQUEST, caller=Caller(BASIC)),
    ],
)
def test_a_cursor_belongs_to_one_search(other: SearchRequest) -> None:
    with pytest.raises(InvalidRequest, match="another search"):
        read_cursor(cursor_of(REQUEST).encoded(), other, "documents-v1-1")


def test_a_cursor_ends_with_the_index_that_it_was_made_on() -> None:
    with pytest.raises(InvalidRequest, match="index behind the name"):
        read_cursor(cursor_of(REQUEST).encoded(), REQUEST, "documents-v1-2")


def test_size_and_fields_may_change_from_page_to_page() -> None:
    other = replace(REQUEST, query_id="r", top_k=3, fields=("title",), highlight=("text",), timeout_ms=5)
    assert fingerprint(other, "i") == fingerprint(REQUEST, "i")


def test_another_caller_has_another_fingerprint_and_neither_cursor_nor_repr_tells_the_secret() -> None:
    ann, bob = (
        replace(REQUEST, caller=Caller("Basic " + base64.b64encode(user).decode())) for user in (b"ann:pw", b"bob:pw")
    )
    assert fingerprint(ann, "i") != fingerprint(bob, "i")
    assert BASIC not in repr(Caller(BASIC))
    assert "secret" not in Caller(BASIC).identity


@pytest.mark.parametrize("header", ["Bearer abc", "Basic ???", "", "Basic " + base64.b64encode(b"\xff\xfe").decode()])
def test_an_identity_of_any_header_hides_it(header: str) -> None:
    assert len(Caller(header).identity) == 64
