"""The guarded chat: one call for the same question, late callers, refusals that are remembered, limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from searchsvc.errors import (
    BackendRejected,
    BackendTimeout,
    BackendUnavailable,
    BadModelOutput,
    ExpansionLate,
    QueryRefused,
    StageError,
)
from searchsvc.expansion.guard.cache import CompletionCache
from searchsvc.expansion.guard.chat import GuardedChat, Limits
from searchsvc.protocols import ChatReply
from tests.support.chats import ScriptedChat, ask, until


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
