"""The guarded chat as a server's guest: how much is asked at once, when it is left alone, what leaves the house."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from searchsvc.errors import (
    BackendRejected,
    BackendUnavailable,
    CircuitOpen,
    ExternalForbidden,
    Overloaded,
    QueryRefused,
    QuotaExceeded,
    StageError,
)
from searchsvc.expansion.guard import breaker
from searchsvc.expansion.guard.cache import CompletionCache
from searchsvc.expansion.guard.chat import GuardedChat, Limits
from searchsvc.expansion.guard.store import CompletionStore
from searchsvc.model import Deadline
from tests.support.chats import ScriptedChat, ask, until


async def test_no_more_calls_at_once_than_allowed() -> None:
    chat = ScriptedChat()
    guarded = GuardedChat(chat, limits=Limits(concurrency=3))
    await asyncio.gather(*(ask(guarded, f"query {n}") for n in range(10)))

    assert chat.most_at_once == 3
    assert len(chat.asked) == 10


async def test_a_caller_without_a_place_in_time_hears_that_and_its_call_is_dropped() -> None:
    chat = ScriptedChat(gate=asyncio.Event())
    guarded = GuardedChat(chat, limits=Limits(concurrency=1))
    first = asyncio.ensure_future(ask(guarded, "first"))
    await until(lambda: len(chat.asked) == 1)
    with pytest.raises(Overloaded, match="no place"):
        await ask(guarded, "second", within_ms=30)
    assert chat.gate is not None
    chat.gate.set()
    await first
    await asyncio.sleep(0.01)

    assert len(chat.asked) == 1
    assert guarded.stats()["circuit"] == "closed"


async def test_a_server_that_is_down_is_left_alone_after_a_while() -> None:
    chat = ScriptedChat([BackendUnavailable("down")])
    guarded = GuardedChat(chat)
    for n in range(breaker.IN_A_ROW):
        with pytest.raises(BackendUnavailable):
            await ask(guarded, f"query {n}")
    with pytest.raises(CircuitOpen):
        await ask(guarded, "one more")

    assert len(chat.asked) == breaker.IN_A_ROW
    assert guarded.stats()["circuit"] == "open"
    assert guarded.stats()["failed"] == {"transient": breaker.IN_A_ROW, "circuitOpen": 1}


async def test_what_is_cached_is_served_while_the_circuit_is_open() -> None:
    guarded = GuardedChat(ScriptedChat(["an answer", BackendUnavailable("down")]))
    await ask(guarded)
    for n in range(breaker.IN_A_ROW + 1):
        with pytest.raises(StageError):
            await ask(guarded, f"query {n}")

    assert (await ask(guarded)).source == "cache"


@pytest.mark.parametrize("error", [QueryRefused("moderation"), BackendRejected("401")])
async def test_refusals_never_open_the_circuit(error: StageError) -> None:
    guarded = GuardedChat(ScriptedChat([error]))
    for n in range(3 * breaker.LEAST):
        with pytest.raises(type(error)):
            await ask(guarded, f"query {n}")

    assert guarded.stats()["circuit"] == "closed"


async def test_a_quota_pauses_the_server_for_as_long_as_it_asks() -> None:
    chat = ScriptedChat([QuotaExceeded("limit_requests reached.", retry_after_s=0.05), "an answer"])
    guarded = GuardedChat(chat)
    with pytest.raises(QuotaExceeded):
        await ask(guarded)
    with pytest.raises(QuotaExceeded, match="limit_requests") as caught:
        await ask(guarded)
    assert caught.value.retry_after_s is not None
    assert 0 < caught.value.retry_after_s <= 0.05
    assert len(chat.asked) == 1
    await asyncio.sleep(0.06)

    assert (await ask(guarded)).source == "model"
    assert guarded.stats()["circuit"] == "closed"


async def test_wrong_settings_are_told_loudly_once_for_each_change(caplog: pytest.LogCaptureFixture) -> None:
    guarded = GuardedChat(
        ScriptedChat([*[BackendRejected("401 wrong key")] * 3, BackendRejected("404"), "ok", BackendRejected("404")])
    )
    for n in range(6):
        try:
            await ask(guarded, f"query {n}")
        except BackendRejected:
            continue

    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [message.rpartition(": ")[2] for message in told] == ["401 wrong key", "404", "404"]


async def test_nothing_goes_to_an_external_server_that_is_forbidden() -> None:
    chat = ScriptedChat(known_model=None)
    guarded = GuardedChat(chat, limits=Limits(external=True, allow_external=False))
    with pytest.raises(ExternalForbidden):
        await ask(guarded)
    with pytest.raises(ExternalForbidden):
        await guarded.chat([], schema=None, max_tokens=1, temperature=0, deadline=Deadline.after_ms(100))
    with pytest.raises(ExternalForbidden):
        await guarded.model(Deadline.after_ms(100))

    assert (chat.asked, chat.known_model) == ([], None)


@pytest.mark.parametrize(("external", "sent"), [(True, "mail to <email>"), (False, "mail to someone@example.com")])
async def test_what_is_private_is_masked_for_an_external_server_only(external: bool, sent: str) -> None:
    chat = ScriptedChat()
    guarded = GuardedChat(chat, limits=Limits(external=external))
    completion = await ask(guarded, "mail to someone@example.com")
    again = await ask(guarded, "mail to someone@example.com")

    assert chat.asked[0][1]["content"] == sent
    assert completion.masked == again.masked == (("email",) if external else ())
    assert completion.detail.get("masked") == (["email"] if external else None)


async def test_a_plain_chat_is_guarded_but_neither_cached_nor_shared() -> None:
    chat = ScriptedChat()
    guarded = GuardedChat(chat, limits=Limits(external=True))
    for _ in range(2):
        await guarded.chat(
            [{"role": "user", "content": "call +49 30 1234567"}],
            schema=None,
            max_tokens=8,
            temperature=0.0,
            deadline=Deadline.after_ms(500),
        )

    assert [messages[0]["content"] for messages in chat.asked] == ["call <phone>"] * 2


async def test_the_name_of_the_model_is_asked_for_once() -> None:
    chat = ScriptedChat(known_model=None)
    guarded = GuardedChat(chat)
    await asyncio.gather(*(ask(guarded, f"query {n}") for n in range(3)))

    assert chat.known_model == "first"
    assert len(chat.asked) == 3


async def test_a_server_that_does_not_name_its_model_opens_the_circuit_too() -> None:
    guarded = GuardedChat(ScriptedChat([BackendUnavailable("down")], known_model=None))
    for _ in range(breaker.IN_A_ROW):
        with pytest.raises(BackendUnavailable):
            await ask(guarded)
    with pytest.raises(CircuitOpen):
        await ask(guarded)


async def test_a_file_serves_the_next_process(tmp_path: Path) -> None:
    first, second = ScriptedChat(), ScriptedChat()
    await ask(GuardedChat(first, CompletionCache(store=CompletionStore(tmp_path))))
    guarded = GuardedChat(second, CompletionCache(store=CompletionStore(tmp_path)))
    completion = await ask(guarded)

    assert completion.source == "cache"
    assert completion.reply.call.output_tokens == 34
    assert second.asked == []
    assert guarded.stats()["hits"] == 1
    assert guarded.stats()["misses"] == 0


async def test_stats_account_for_every_request() -> None:
    guarded = GuardedChat(ScriptedChat(["an answer", QueryRefused("no"), BackendUnavailable("down")]))
    await ask(guarded)
    await ask(guarded)
    for query in ("refused", "refused", "fails"):
        with pytest.raises(StageError):
            await ask(guarded, query)

    assert guarded.stats() == {
        "requests": 5,
        "hits": 2,
        "misses": 3,
        "joined": 0,
        "late": 0,
        "refused": 2,
        "failed": {"transient": 1},
        "calls": 3,
        "input_tokens": 12,
        "output_tokens": 34,
        "in_flight": 0,
        "circuit": "closed",
        "paused_ms": 0,
        "cache": "memory",
        "cached": 2,
    }
