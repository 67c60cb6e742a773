"""Chat models in this process, for what stands in front of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from searchsvc.errors import StageError
from searchsvc.expansion.guard.chat import GuardedChat
from searchsvc.expansion.guard.completions import Completion, CompletionRequest
from searchsvc.model import Deadline
from searchsvc.protocols import ChatReply
from searchsvc.result import ModelCall


@dataclass
class ScriptedChat:
    """Answers each call with the next of `script`, the last for ever; waits for `gate` first, if there is one."""

    script: list[str | Exception] = field(default_factory=lambda: ["an answer"])
    known_model: str | None = "qwen"
    gate: asyncio.Event | None = None
    asked: list[Sequence[Mapping[str, str]]] = field(default_factory=list)
    deadlines: list[Deadline] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def chat(self, messages: Sequence[Mapping[str, str]], *, deadline: Deadline, **_asked: Any) -> ChatReply:
        said = self.script[min(len(self.asked), len(self.script) - 1)]
        self.asked.append(messages)
        self.deadlines.append(deadline)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.at_once -= 1
        if isinstance(said, Exception):
            raise said
        return ChatReply(
            text=said, finish_reason="stop", call=ModelCall(model="qwen-served", input_tokens=12, output_tokens=34)
        )

    async def model(self, deadline: Deadline) -> str:
        if isinstance(self.script[0], StageError):
            raise self.script[0]
        self.known_model = "first"
        return self.known_model


def completion_request(query: str = "a query", **changed: Any) -> CompletionRequest:
    """What an expander would ask."""
    fields = {
        "prompt_id": "complete-v1",
        "language": "en",
        "messages": [{"role": "system", "content": "Complete."}, {"role": "user", "content": query}],
        "schema": None,
        "max_tokens": 64,
        "temperature": 0.2,
    }
    return CompletionRequest(query=query, **{**fields, **changed})


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
