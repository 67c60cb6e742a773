"""What every state store promises, on both of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchsvc.elastic.state import ElasticsearchStateStore
from searchsvc.errors import Conflict
from searchsvc.protocols import StateStore
from searchsvc.state.sqlite import SqliteStateStore
from tests.support.elastic import own_name, raw_client

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=600)


@pytest.fixture(params=[pytest.param("elasticsearch", marks=pytest.mark.es), "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StateStore]:
    if request.param == "sqlite":
        yield SqliteStateStore(tmp_path / "not" / "made" / "yet")
        return
    index = own_name()
    async with raw_client(request.getfixturevalue("es_url")) as client:
        yield ElasticsearchStateStore(client, index)
        await client.indices.delete(index=index, ignore_unavailable=True)


async def test_before_the_first_write_there_is_nothing(store: StateStore) -> None:
    assert await store.read("switches", "live") is None
    assert await store.names("switches") == ()


async def test_what_was_written_is_read_at_once(store: StateStore) -> None:
    first = await store.write("switches", "live", {"expansion": "off"}, expected=None)
    second = await store.write("switches", "live", {"expansion": "on", "weights": [1, 0.5]}, expected=first)
    stored = await store.read("switches", "live")

    assert stored is not None
    assert stored.value == {"expansion": "on", "weights": [1, 0.5]}
    assert stored.revision == second != first


async def test_a_first_write_of_what_is_there_is_a_conflict(store: StateStore) -> None:
    revision = await store.write("switches", "live", {"by": 1}, expected=None)
    with pytest.raises(Conflict, match="switches 'live' was changed by somebody else"):
        await store.write("switches", "live", {"by": 2}, expected=None)

    stored = await store.read("switches", "live")
    assert stored is not None
    assert (stored.value, stored.revision) == ({"by": 1}, revision)


async def test_a_write_over_an_older_revision_is_a_conflict_even_with_equal_content(store: StateStore) -> None:
    first = await store.write("switches", "live", {"by": 1}, expected=None)
    await store.write("switches", "live", {"by": 1}, expected=first)

    with pytest.raises(Conflict):
        await store.write("switches", "live", {"by": 1}, expected=first)


@pytest.mark.parametrize("never_given", ["", "7", "7-1", "0-0", "-1--1", "9" * 30, "nonsense", "１-１"])
async def test_a_revision_that_was_never_given_is_a_conflict(store: StateStore, never_given: str) -> None:
    await store.write("switches", "live", {"by": 1}, expected=None)

    with pytest.raises(Conflict):
        await store.write("switches", "live", {"by": 2}, expected=never_given)
    with pytest.raises(Conflict):
        await store.write("switches", "other", {"by": 2}, expected=never_given)


async def test_names_are_those_of_one_kind_sorted(store: StateStore) -> None:
    for kind, name in (("mapping", "b"), ("experiment", "c"), ("mapping", "a")):
        await store.write(kind, name, {"kind": kind}, expected=None)

    assert await store.names("mapping") == ("a", "b")
    assert await store.names("experiment") == ("c",)


async def test_kind_and_name_together_tell_documents_apart(store: StateStore) -> None:
    await store.write("ab", "c", {"which": 1}, expected=None)
    await store.write("a", "bc", {"which": 2}, expected=None)

    found = [await store.read("ab", "c"), await store.read("a", "bc")]
    assert [each.value for each in found if each is not None] == [{"which": 1}, {"which": 2}]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, value=st.dictionaries(st.text(), JSON, max_size=4))
async def test_any_name_and_any_json_object_come_back_as_they_were(
    store: StateStore, name: str, value: dict[str, Any]
) -> None:
    kind = uuid.uuid4().hex  # examples share the store
    await store.write(kind, name, value, expected=None)
    stored = await store.read(kind, name)

    assert stored is not None
    assert stored.value == value
    assert await store.names(kind) == (name,)


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": float("inf")}, {"a": {1, 2}}])
async def test_what_json_cannot_hold_is_not_written(store: StateStore, value: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        await store.write("switches", "live", value, expected=None)

    assert await store.read("switches", "live") is None


@pytest.mark.slow
async def test_eight_concurrent_writers_lose_nothing(store: StateStore) -> None:
    async def add_ten(writer: int) -> int:
        conflicts = 0
        for number in range(10):
            while not await _added(store, f"{writer}-{number}"):
                conflicts += 1
        return conflicts

    conflicts = await asyncio.gather(*(add_ten(writer) for writer in range(8)))
    stored = await store.read("counter", "all")

    assert stored is not None
    assert sorted(stored.value["seen"]) == sorted(f"{writer}-{number}" for writer in range(8) for number in range(10))
    assert sum(conflicts) > 0  # they did meet


async def _added(store: StateStore, item: str) -> bool:
    """False: somebody else was faster."""
    stored = await store.read("counter", "all")
    seen = [] if stored is None else stored.value["seen"]
    try:
        await store.write("counter", "all", {"seen": [*seen, item]}, expected=stored and stored.revision)
    except Conflict:
        return False
    return True
