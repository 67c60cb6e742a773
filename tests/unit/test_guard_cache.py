"""The cache of completions in memory and in its file."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import BadModelOutput, QueryRefused
from searchsvc.expansion.guard import store as store_module
from searchsvc.expansion.guard.cache import DAY_S, CompletionCache
from searchsvc.expansion.guard.completions import normalised
from searchsvc.expansion.guard.entries import Entry, Refusal, entry_of
from searchsvc.expansion.guard.store import FILE, CompletionStore
from searchsvc.protocols import ChatReply
from searchsvc.result import ModelCall
from tests.support.chats import completion_request


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def reply(text: str = "an answer") -> ChatReply:
    call = ModelCall(model="qwen", input_tokens=1, output_tokens=None, took_ms=2.5)
    return ChatReply(text=text, finish_reason="stop", call=call)


def content_of(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_what_was_used_last_stays() -> None:
    cache = CompletionCache(size=2)
    await cache.keep("a", reply("a"), ())
    await cache.keep("b", reply("b"), ())
    assert cache.at_hand("a") is not None
    await cache.keep("c", reply("c"), ())

    assert [cache.at_hand(key) is not None for key in "abc"] == [True, False, True]


@pytest.mark.parametrize(
    ("outcome", "lasts_s"),
    [(reply(), 7 * DAY_S), (QueryRefused("moderation"), DAY_S), (BadModelOutput("nonsense"), 600.0)],
)
async def test_entries_expire(
    outcome: ChatReply | QueryRefused | BadModelOutput, lasts_s: float, tmp_path: Path
) -> None:
    clock = Clock()
    cache = CompletionCache(store=CompletionStore(tmp_path, clock=clock), clock=clock)
    await cache.keep("a", outcome, ())
    clock.now += lasts_s - 1
    assert await cache.find("a") is not None
    clock.now += 1

    assert await cache.find("a") is None
    assert await CompletionCache(store=CompletionStore(tmp_path, clock=clock), clock=clock).find("a") is None


async def test_no_refusal_outlasts_a_reply() -> None:
    clock = Clock()
    cache = CompletionCache(ttl_s=60, clock=clock)
    await cache.keep("a", QueryRefused("moderation"), ())
    clock.now += 61

    assert cache.at_hand("a") is None


async def test_the_file_outlives_the_process(tmp_path: Path) -> None:
    await CompletionCache(store=CompletionStore(tmp_path)).keep("a", reply("文本"), ("email",))
    await CompletionCache(store=CompletionStore(tmp_path)).keep("b", QueryRefused("moderation"), ())
    cache = CompletionCache(store=CompletionStore(tmp_path))
    found, refused = await cache.find("a"), await cache.find("b")

    assert found is not None
    assert (found.reply(), found.masked) == (reply("文本"), ("email",))
    assert refused is not None
    with pytest.raises(QueryRefused, match="moderation"):
        refused.reply()
    assert cache.place == "sqlite"


async def test_the_file_holds_no_query(tmp_path: Path) -> None:
    key = completion_request("a very secret query").key("qwen")
    await CompletionCache(store=CompletionStore(tmp_path)).keep(key, reply("its completion"), ())

    held = content_of(tmp_path)
    assert b"its completion" in held
    assert b"secret" not in held


@pytest.mark.parametrize(
    "damage", [b"this is no database at all, whatever its name says" * 100, b"SQLite format 3\0" + b"x" * 5000]
)
async def test_a_damaged_file_is_told_once_and_done_without(
    damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(damage)
    clock = Clock()
    cache = CompletionCache(store=CompletionStore(tmp_path, clock=clock), clock=clock)
    for key in "abc":
        assert await cache.find(key) is None
        await cache.keep(key, reply(key), ())
        clock.now += 61

    found = await cache.find("a")
    assert found is not None
    assert found.reply().text == "a"
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "memory alone" in warnings[0].getMessage()
    assert cache.place.startswith("memory (completions.sqlite")


async def test_a_locked_file_is_told_once_and_used_again_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    cache = CompletionCache(store=CompletionStore(tmp_path, clock=clock), clock=clock)
    await cache.keep("a", reply("a"), ())
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for key in "bc":
            await cache.keep(key, reply(key), ())
        assert cache.at_hand("b") is not None
        other.execute("ROLLBACK")
    assert len(caplog.records) == 1
    clock.now += 61
    await cache.keep("d", reply("d"), ())

    assert cache.place == "sqlite"
    fresh = CompletionStore(tmp_path, clock=clock)
    assert [await fresh.read(key) is not None for key in "abcd"] == [True, False, False, True]


async def test_a_folder_that_cannot_be_made_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = CompletionCache(store=CompletionStore(tmp_path / "file" / "data"))
    await cache.keep("a", reply("a"), ())

    assert cache.at_hand("a") is not None
    assert len(caplog.records) == 1


async def test_a_row_that_is_no_entry_is_as_good_as_none(tmp_path: Path) -> None:
    store = CompletionStore(tmp_path)
    await store.write("a", Entry(outcome=reply(), expires_at=2e9))
    with closing(sqlite3.connect(tmp_path / FILE)) as database, database:
        database.execute("UPDATE completions SET value = '{\"reply\": {}}'")

    assert await CompletionCache(store=store).find("a") is None


async def test_what_expired_leaves_the_file_and_the_file_stays_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_ROWS", 3)
    monkeypatch.setattr(store_module, "_TIDY_EVERY", 1)
    clock = Clock(now=100)
    store = CompletionStore(tmp_path, clock=clock)
    for place in range(6):
        await store.write(f"key {place}", Entry(outcome=reply(), expires_at=110.0 + place))
    clock.now = 114.5
    await store.write("last", Entry(outcome=reply(), expires_at=200))

    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        keys = {key for (key,) in database.execute("SELECT key FROM completions")}
    assert keys == {"key 5", "last"}


async def test_processes_share_the_file(tmp_path: Path) -> None:
    stores = [CompletionStore(tmp_path) for _ in range(4)]
    await asyncio.gather(
        *(store.write(f"{n}", Entry(outcome=reply(), expires_at=2e9)) for n, store in enumerate(stores))
    )
    reader = CompletionStore(tmp_path)  # one of the writers may have found the file locked, and leaves it alone
    kept = [await reader.read(f"{n}") is not None for n in range(4) if not stores[n].problem]

    assert kept
    assert all(kept)


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts, texts, st.none() | st.integers(0, 10**9), st.lists(texts))
def test_an_entry_is_read_as_it_was_written(text: str, finish: str, tokens: int | None, masked: list[str]) -> None:
    call = ModelCall(model="m", input_tokens=tokens, output_tokens=tokens, took_ms=1.5)
    entry = Entry(outcome=ChatReply(text=text, finish_reason=finish, call=call), expires_at=5.0, masked=tuple(masked))

    assert entry_of(entry.as_text(), 5.0) == entry


@given(st.text())
def test_text_that_is_no_entry_is_none(text: str) -> None:
    assert entry_of(text, 1.0) is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[]",
        "{}",
        '{"refusal": {"reason": "transient", "message": "m"}, "masked": []}',
        '{"refusal": {"reason": "queryRefused"}, "masked": []}',
        '{"reply": {"text": "t", "finish_reason": "stop", "call": {"modell": "m"}}, "masked": []}',
        '{"reply": null, "masked": []}',
        '{"refusal": {"reason": "queryRefused", "message": "m"}}',
    ],
)
def test_json_that_is_no_entry_is_none(text: str) -> None:
    assert entry_of(text, 1.0) is None


def test_a_refusal_is_raised_anew_each_time() -> None:
    refusal = Refusal(reason="queryRefused", message="moderation")

    assert refusal.error() is not refusal.error()
    assert isinstance(refusal.error(), QueryRefused)


def test_normalising_twice_changes_nothing() -> None:
    changed = [code for code in range(0x20000) if normalised(once := normalised(f"a{chr(code)}b")) != once]

    assert changed == []


@given(texts, texts)
def test_different_questions_have_different_keys(one: str, other: str) -> None:
    same = normalised(one) == normalised(other)

    assert (completion_request(one).key("m") == completion_request(other).key("m")) == same
    assert completion_request(one).key("m") != completion_request(one).key("n")
