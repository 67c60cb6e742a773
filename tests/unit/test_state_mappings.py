"""What changed in an adopted index since it was seen last."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.schema import FieldKind, IndexField, IndexSchema
from searchsvc.state.mappings import KIND, SeenIndex, changes_since, difference
from searchsvc.state.sqlite import SqliteStateStore

KINDS = st.sampled_from(["keyword", "text", "date"])
FIELDS = st.dictionaries(st.sampled_from([f"f{number:02d}" for number in range(5)]), KINDS)
MANY_FIELDS = st.dictionaries(st.integers(0, 999).map(lambda number: f"f{number:03d}"), KINDS, max_size=40)


def seen(fields: dict[str, str], physical: str = "articles-1") -> SeenIndex:
    return SeenIndex(physical=physical, fields=fields, seen_at="2026-08-01T12:00:00Z")


def schema(**fields: FieldKind) -> IndexSchema:
    return IndexSchema(fields={name: IndexField(name=name, kind=kind) for name, kind in fields.items()})


@pytest.fixture
def store(tmp_path: Path) -> SqliteStateStore:
    return SqliteStateStore(tmp_path)


def test_one_line_says_what_is_gone_new_and_of_another_kind() -> None:
    before = seen({"title": "text", "body": "text", "views": "number"})
    now = seen({"title": "text", "summary": "text", "views": "keyword"}, physical="articles-2")

    assert difference("articles", before, now) == [
        "articles: the field body is gone, the field summary is new, views is keyword (was number), "
        "it stands for articles-2 (was articles-1), since 2026-08-01T12:00:00Z"
    ]


def test_many_fields_are_counted() -> None:
    lines = difference("articles", seen({}), seen({f"f{number}": "text" for number in range(8)}))

    assert lines == ["articles: the fields f0, f1, f2, f3, f4 and 3 more are new, since 2026-08-01T12:00:00Z"]


@given(FIELDS, FIELDS)
def test_exactly_the_fields_that_changed_are_named(before: dict[str, str], now: dict[str, str]) -> None:
    line = "".join(difference("articles", seen(before), seen(now)))

    assert {name for name in before | now if name in line} == {
        name for name in before | now if before.get(name) != now.get(name)
    }


@given(MANY_FIELDS, MANY_FIELDS)
def test_at_most_one_line_and_none_for_what_is_equal(before: dict[str, str], now: dict[str, str]) -> None:
    assert len(difference("articles", seen(before), seen(now))) == (before != now)
    assert difference("articles", seen(now), seen(dict(reversed(now.items())))) == []


@given(MANY_FIELDS, MANY_FIELDS)
def test_what_is_new_one_way_is_gone_the_other_way(before: dict[str, str], now: dict[str, str]) -> None:
    there = "".join(difference("articles", seen(before), seen(now)))
    back = "".join(difference("articles", seen(now), seen(before)))

    assert ("new" in there, "gone" in there) == ("gone" in back, "new" in back)


async def test_the_first_look_and_an_unchanged_index_say_nothing(store: SqliteStateStore) -> None:
    for _ in range(2):
        assert await changes_since(store, "articles", schema(title=FieldKind.TEXT), "articles-1") == []

    stored = await store.read(KIND, "articles")
    assert stored is not None
    assert stored.value["physical"] == "articles-1"
    assert stored.value["fields"] == {"title": "text"}


async def test_a_change_is_told_once_with_the_time_of_the_look_before(store: SqliteStateStore) -> None:
    await changes_since(store, "articles", schema(body=FieldKind.TEXT), "articles")
    stored = await store.read(KIND, "articles")
    assert stored is not None
    first = await changes_since(store, "articles", schema(summary=FieldKind.TEXT), "articles")
    second = await changes_since(store, "articles", schema(summary=FieldKind.TEXT), "articles")

    since = stored.value["seen_at"]
    assert first == [f"articles: the field body is gone, the field summary is new, since {since}"]
    assert second == []


async def test_every_index_has_a_memory_of_its_own(store: SqliteStateStore) -> None:
    await changes_since(store, "articles", schema(body=FieldKind.TEXT), "articles")

    assert await changes_since(store, "questions", schema(title=FieldKind.TEXT), "questions") == []


async def test_replicas_that_look_at_the_same_moment_do_not_disturb_each_other(store: SqliteStateStore) -> None:
    fields = schema(title=FieldKind.TEXT)
    lines = await asyncio.gather(*(changes_since(store, "articles", fields, "articles") for _ in range(6)))

    assert lines == [[]] * 6


@pytest.mark.parametrize("value", [{}, {"physical": 1, "fields": {}, "seen_at": ""}, {"physical": "a", "fields": []}])
async def test_what_cannot_be_read_is_replaced(store: SqliteStateStore, value: dict[str, object]) -> None:
    await store.write(KIND, "articles", value, expected=None)

    assert await changes_since(store, "articles", schema(title=FieldKind.TEXT), "articles") == []
    assert await changes_since(store, "articles", schema(body=FieldKind.TEXT), "articles") != []
