"""The guarded chat: one call for the same question, late callers, refusals that are remembered, limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    BadModelOutput,
    CircuitOpen,
    ExpansionLate,
    ExternalForbidden,
    Overloaded,
    QueryRefused,
    QuotaExceeded,
    StageError,
)
from searchsvc.expansion.guard import breaker
from searchsvc.expansion.guard.cache import CompletionCache
from searchsvc.expansion.guard.chat import GuardedChat, Limits
from searchsvc.expansion.guard.completions import Completion
from searchsvc.expansion.guard.store import CompletionStore
from searchsvc.model import Deadline
from searchsvc.protocols import ChatReply
from tests.support.chats import ScriptedChat, completion_request


def anything(reply: ChatReply) -> None:
    """A check that everything passes."""


async def ask(
    guarded: GuardedChat,
    query: str = "a query",
    *,
    within_ms: float = 1000,
    check: Callable[[ChatReply], object] = anything,
    **changed: Any,
) -> Completion:
    return await guarded.complete(
        completion_request(query, **changed), deadline=Deadline.after_ms(within_ms), check=check
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)


async def test_the_second_caller_is_served_from_the_cache() -> None:
    chat = ScriptedChat()
    guarded = GuardedChat(chat)
    first, second = await ask(guarded), await ask(guarded)

    assert (first.source, second.source) == ("model", "cache")
    assert first.reply == second.reply
    assert len(chat.asked) == 1
    assert (len(first.calls), len(second.calls)) == (1, 0)
    assert second.detail == {"completion": "cache", "model": "qwen-served"}


@pytest.mark.parametrize("same", ["A  Query", " a query\n", "ａ ｑｕｅｒｙ", "a query\0", "a query\ud800"])
async def test_case_width_and_blanks_make_no_other_question(same: str) -> None:
    chat = ScriptedChat()
    guarded = GuardedChat(chat)
    await ask(guarded)
    await ask(guarded, same)

    assert len(chat.asked) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"query": "another query"},
        {"prompt_id": "complete-v2"},
        {"language": "zh"},
        {"passages": ("a passage",)},
    ],
)
async def test_another_query_prompt_language_or_passage_is_another_question(changed: dict[str, Any]) -> None:
    chat = ScriptedChat()
    guarded = GuardedChat(chat)
    await ask(guarded)
    await ask(guarded, **changed)

    assert len(chat.asked) == 2


async def test_another_model_is_another_question() -> None:
    chat = ScriptedChat()
    guarded = GuardedChat(chat)
    await ask(guarded)
    chat.known_model = "other"
    await ask(guarded)

    assert len(chat.asked) == 2


async def test_callers_of_the_same_question_share_one_call() -> None:
    chat = ScriptedChat()
    guarded = GuardedChat(chat)
    completions = await asyncio.gather(*(ask(guarded) for _ in range(5)))

    assert len(chat.asked) == 1
    assert [completion.source for completion in completions] == ["model", *["shared"] * 4]
    assert sum(len(completion.calls) for completion in completions) == 1
    assert guarded.stats()["joined"] == 4


async def test_a_late_caller_is_told_and_the_next_one_served() -> None:
    chat = ScriptedChat(gate=asyncio.Event())
    guarded = GuardedChat(chat)
    with pytest.raises(ExpansionLate):
        await ask(guarded, within_ms=30)
    assert chat.gate is not None
    chat.gate.set()
    await until(lambda: guarded.stats()["cached"] == 1)

    assert (await ask(guarded, within_ms=30)).source == "cache"
    assert len(chat.asked) == 1
    assert guarded.stats()["late"] == 1


async def test_a_call_keeps_its_own_time_limit_whatever_its_first_caller_had() -> None:
    chat = ScriptedChat()
    await ask(GuardedChat(chat, limits=Limits(timeout_ms=5000)), within_ms=100)

    assert 4 < chat.deadlines[0].left_s() <= 5


async def test_without_any_time_nothing_is_asked() -> None:
    chat = ScriptedChat()
    guarded = GuardedChat(chat)
    with pytest.raises(ExpansionLate):
        await ask(guarded, within_ms=0)
    await asyncio.sleep(0)

    assert chat.asked == []


async def test_a_caller_that_is_cancelled_does_not_cancel_the_call() -> None:
    chat = ScriptedChat(gate=asyncio.Event())
    guarded = GuardedChat(chat)
    first, second = asyncio.ensure_future(ask(guarded)), asyncio.ensure_future(ask(guarded))
    await until(lambda: len(chat.asked) == 1)
    first.cancel()
    await asyncio.sleep(0)
    assert chat.gate is not None
    chat.gate.set()

    assert (await second).reply.text == "an answer"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_closing_ends_what_is_under_way() -> None:
    chat = ScriptedChat(gate=asyncio.Event())
    guarded = GuardedChat(chat)
    waiting = asyncio.ensure_future(ask(guarded))
    await until(lambda: len(chat.asked) == 1)
    await guarded.close()

    with pytest.raises(BackendUnavailable, match="closing"):
        await waiting
    assert chat.at_once == 0


async def test_a_failure_without_a_waiter_is_nobodys_exception(caplog: pytest.LogCaptureFixture) -> None:
    chat = ScriptedChat([BackendUnavailable("down")], gate=asyncio.Event())
    guarded = GuardedChat(chat)
    with pytest.raises(ExpansionLate):
        await ask(guarded, within_ms=20)
    assert chat.gate is not None
    chat.gate.set()
    await until(lambda: chat.at_once == 0)
    await asyncio.sleep(0.01)

    assert caplog.text == ""


async def test_a_defect_without_a_waiter_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    chat = ScriptedChat([ZeroDivisionError("a bug")], gate=asyncio.Event())
    guarded = GuardedChat(chat)
    with pytest.raises(ExpansionLate):
        await ask(guarded, within_ms=20)
    assert chat.gate is not None
    chat.gate.set()
    await until(lambda: "a bug" in caplog.text)

    assert guarded.stats()["circuit"] == "closed"


async def test_a_refused_query_is_remembered_and_no_other_is() -> None:
    chat = ScriptedChat([QueryRefused("inappropriate"), "an answer"])
    guarded = GuardedChat(chat)
    for _ in range(3):
        with pytest.raises(QueryRefused, match="inappropriate"):
            await ask(guarded)
    await ask(guarded, "another")

    assert len(chat.asked) == 2
    assert guarded.stats()["refused"] == 3


async def test_a_reply_that_fails_the_check_is_remembered_and_asked_again_after_a_while() -> None:
    now = 1000.0
    chat = ScriptedChat(["nonsense", "an answer"])
    guarded = GuardedChat(chat, CompletionCache(clock=lambda: now))

    def check(reply: ChatReply) -> None:
        if reply.text == "nonsense":
            raise BadModelOutput("It is nonsense.")

    for _ in range(2):
        with pytest.raises(BadModelOutput, match="nonsense"):
            await ask(guarded, check=check)
    now += 601

    assert (await ask(guarded, check=check)).reply.text == "an answer"
    assert len(chat.asked) == 2


@pytest.mark.parametrize(
    "error", [BackendUnavailable("down"), BackendTimeout("slow"), BadModelOutput("html"), BackendRejected("401")]
)
async def test_what_is_wrong_with_the_server_is_not_remembered_of_the_query(error: StageError) -> None:
    chat = ScriptedChat([error, "an answer"])
    guarded = GuardedChat(chat)
    with pytest.raises(type(error)):
        await ask(guarded)

    assert (await ask(guarded)).reply.text == "an answer"


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
        "paused_s": 0.0,
        "cache": "memory",
        "cached": 2,
    }
