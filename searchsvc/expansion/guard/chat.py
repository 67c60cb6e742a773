"""A chat model behind cache, shared calls, breaker, cap and mask: what live traffic asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from searchsvc.errors import BadModelOutput, ExternalForbidden, QueryRefused, Reason, StageError
from searchsvc.expansion.guard.cache import CompletionCache
from searchsvc.expansion.guard.completions import Check, Completion, CompletionRequest, Source
from searchsvc.expansion.guard.endpoint import Endpoint
from searchsvc.expansion.guard.entries import Entry
from searchsvc.expansion.guard.masking import masked_messages
from searchsvc.expansion.guard.shared import Call, SharedCalls
from searchsvc.model import Deadline
from searchsvc.protocols import ChatModel, ChatReply


class NamedChatModel(ChatModel, Protocol):
    """A chat model that can say which one it is."""

    @property
    def known_model(self) -> str | None:
        """Its name, if that is known without asking the server."""
        ...

    async def model(self, deadline: Deadline) -> str:
        """Its name. Raises StageError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How the endpoint may be used."""

    timeout_ms: float = 15_000
    """Of one call, whoever waits for it."""
    concurrency: int = 16
    external: bool = False
    """The endpoint is outside the private network: what is sent there is masked."""
    allow_external: bool = True


class GuardedChat:
    """Implements Completer, and ChatModel for whoever needs neither cache nor shared calls."""

    def __init__(
        self, chat: NamedChatModel, cache: CompletionCache | None = None, limits: Limits | None = None
    ) -> None:
        """`cache` None: in memory."""
        self._chat = chat
        self._cache = cache if cache is not None else CompletionCache()
        self._limits = limits if limits is not None else Limits()
        self._endpoint = Endpoint(self._limits.concurrency)
        self._completions: SharedCalls[tuple[Entry, bool]] = SharedCalls()
        self._models: SharedCalls[str] = SharedCalls()
        self._counts: Counter[str] = Counter()

    async def complete(self, request: CompletionRequest, *, deadline: Deadline, check: Check) -> Completion:
        self._allow()
        self._counts["requests"] += 1
        try:
            return await self._completed(request, deadline, check)
        except StageError as error:
            self._counts[f"reason {error.reason}"] += 1
            raise

    async def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        schema: Mapping[str, Any] | None,
        max_tokens: int,
        temperature: float,
        deadline: Deadline,
    ) -> ChatReply:
        self._allow()
        sent, _ = self._masked(messages)
        async with self._endpoint.call(until=deadline):
            self._counts["calls"] += 1
            return self._counted(
                await self._chat.chat(
                    sent, schema=schema, max_tokens=max_tokens, temperature=temperature, deadline=deadline
                )
            )

    async def model(self, deadline: Deadline) -> str:
        """The name of the model. Raises StageError, ExpansionLate among them."""
        self._allow()
        known = self._chat.known_model
        if known is None:
            known, _ = await self._models.join("model", self._ask_model, deadline)
        return known

    @property
    def known_model(self) -> str | None:
        """What `model` gives, if that is known without asking."""
        return self._chat.known_model

    def stats(self) -> dict[str, Any]:
        """Counts since the start, and how things stand: for /info."""
        reasons = {name.removeprefix("reason "): n for name, n in self._counts.items() if name.startswith("reason ")}
        late, refused = reasons.pop(Reason.EXPANSION_LATE, 0), reasons.pop(Reason.QUERY_REFUSED, 0)
        return {
            "requests": self._counts["requests"],
            "hits": self._counts["cache"],
            "misses": self._counts["misses"],
            "joined": self._counts["shared"],
            "late": late,
            "refused": refused,
            "failed": reasons,
            "calls": self._counts["calls"],
            "input_tokens": self._counts["tokens in"],
            "output_tokens": self._counts["tokens out"],
            "in_flight": self._endpoint.in_flight,
            "circuit": self._endpoint.breaker.state,
            "paused_ms": round(self._endpoint.paused_s * 1000),
            "cache": self._cache.place,
            "cached": len(self._cache),
        }

    async def close(self) -> None:
        """Ends the calls that nobody waits for any more, and those that somebody does."""
        await self._completions.close()
        await self._models.close()

    def _allow(self) -> None:
        if self._limits.external and not self._limits.allow_external:
            raise ExternalForbidden(
                "The chat model is outside the private network, and queries may not be sent there.",
                hint="Set expander.external to allow, or name a model inside.",
            )

    def _masked(self, messages: Sequence[Mapping[str, str]]) -> tuple[Sequence[Mapping[str, str]], tuple[str, ...]]:
        return masked_messages(messages) if self._limits.external else (messages, ())

    async def _completed(self, request: CompletionRequest, deadline: Deadline, check: Check) -> Completion:
        key = request.key(await self.model(deadline))
        entry = self._cache.at_hand(key)
        if entry is not None:
            return self._completion(entry, "cache")

        async def ask(call: Call) -> tuple[Entry, bool]:
            return await self._found_or_asked(key, request, check, call)

        (entry, stored), joined = await self._completions.join(key, ask, deadline)
        return self._completion(entry, "cache" if stored else "shared" if joined else "model")

    def _completion(self, entry: Entry, source: Source) -> Completion:
        """Counted also where the entry is a refusal, which is raised."""
        self._counts[source] += 1
        return Completion(reply=entry.reply(), source=source, masked=entry.masked)

    async def _found_or_asked(
        self, key: str, request: CompletionRequest, check: Check, call: Call
    ) -> tuple[Entry, bool]:
        """The entry, and whether it was known before."""
        found = await self._cache.find(key)
        if found is not None:
            return found, True
        self._counts["misses"] += 1
        sent, masked = self._masked(request.messages)
        outcome: ChatReply | QueryRefused | BadModelOutput
        try:
            outcome = await self._asked(request, sent, call)
        except QueryRefused as refusal:
            return await self._cache.keep(key, refusal, masked), False
        try:
            check(outcome)
        except BadModelOutput as unusable:
            outcome = unusable
        return await self._cache.keep(key, outcome, masked), False

    async def _asked(self, request: CompletionRequest, sent: Sequence[Mapping[str, str]], call: Call) -> ChatReply:
        until = Deadline.after_ms(self._limits.timeout_ms)
        call.queued = True
        async with self._endpoint.call(until=until, still_wanted=call.wanted):
            call.queued = False
            self._counts["calls"] += 1
            return self._counted(
                await self._chat.chat(
                    sent,
                    schema=request.schema,
                    max_tokens=request.max_tokens,
                    temperature=request.temperature,
                    deadline=until,
                )
            )

    def _counted(self, reply: ChatReply) -> ChatReply:
        self._counts["tokens in"] += reply.call.input_tokens or 0
        self._counts["tokens out"] += reply.call.output_tokens or 0
        return reply

    async def _ask_model(self, call: Call) -> str:
        until = Deadline.after_ms(self._limits.timeout_ms)
        async with self._endpoint.call(until=until, still_wanted=call.wanted):
            return await self._chat.model(until)
