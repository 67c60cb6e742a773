"""A chat model behind any OpenAI-compatible endpoint: DashScope, vLLM, Ollama, llama.cpp, OpenAI."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from searchsvc.errors import BackendRejected, BadModelOutput, QueryRefused
from searchsvc.inference.client import Limited, ModelServer, Refused, status_error
from searchsvc.inference.presets import Preset, Provider, preset_for
from searchsvc.inference.redaction import MAX_NAME, Redaction
from searchsvc.inference.special_tokens import neutralise
from searchsvc.inference.urls import chat_url, is_external, models_url, public
from searchsvc.inference.words import words_in
from searchsvc.model import Deadline
from searchsvc.protocols import ChatReply
from searchsvc.result import ModelCall

_LOG = logging.getLogger(__name__)
PASSING = frozenset({500, 502, 504})
"""Answers after which a gateway in front of a model may well answer: for `ModelServer`'s `again`."""
_MOST_CHARACTERS = 16_000
_CHARACTERS_A_TOKEN = 32
"""Of an answer that keeps to its token limit; the longest tokens of usual vocabularies are runs of blanks."""


@dataclass(frozen=True, slots=True)
class _Step:
    """What is asked of the server besides the text itself."""

    thinking_off: bool
    json: Literal["schema", "object", "text"]

    def fields(self, preset: Preset, schema: Mapping[str, Any] | None) -> dict[str, Any]:
        """The request fields of this step."""
        fields: dict[str, Any] = dict(preset.thinking_off) if self.thinking_off else {}
        if schema is not None and self.json == "schema":
            named = {"name": "answer", "strict": True, "schema": schema}
            fields["response_format"] = {"type": "json_schema", "json_schema": named}
        elif schema is not None and self.json == "object":
            fields["response_format"] = {"type": "json_object"}
        return fields


_LADDER = (
    _Step(thinking_off=True, json="schema"),
    _Step(thinking_off=False, json="schema"),  # some servers refuse fields that they do not know
    _Step(thinking_off=True, json="object"),  # older DashScope models know no schema
    _Step(thinking_off=False, json="object"),
    _Step(thinking_off=False, json="text"),
)
"""From the most that can be asked to the least; a server that refuses the fields of one step is asked the next."""
_TOP_EVERY_S = 300.0
"""How long less is asked than can be: the refusal may have been another replica's, or of a server since renewed."""
_OF_FIELDS = ("unknown", "unrecognized", "extra", "not supported", "response_format", "schema")
"""In a refusal of fields or of a format, whatever the server; a request can be bad for many other reasons."""


class OpenAIChat:
    """Implements ChatModel."""

    def __init__(self, server: ModelServer, model: str | None = None, provider: Provider = "auto") -> None:
        """`model` None: the first that the server lists."""
        self._server = server
        self._preset = preset_for(server.base, provider)
        self._url = chat_url(server.base)
        self._wanted = model
        self._found: str | None = None
        self._step = 0
        self._top_again_at = 0.0

    async def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        schema: Mapping[str, Any] | None,
        max_tokens: int,
        temperature: float,
        deadline: Deadline,
    ) -> ChatReply:
        """One reply, without thoughts; the step of the ladder that the server accepts is remembered for a while."""
        started = time.perf_counter()
        model = await self.model(deadline)
        body = {
            "model": model,
            "messages": [{"role": each["role"], "content": neutralise(each["content"])} for each in messages],
            self._preset.max_tokens: max_tokens,
            "temperature": temperature,
        }
        answer = await self._ask(body, schema, deadline)
        self._refuse_error(answer)
        took_ms = (time.perf_counter() - started) * 1000
        reply = _reply(answer, self._server.redaction, asked=model, took_ms=took_ms)
        if len(reply.text) > max(_MOST_CHARACTERS, max_tokens * _CHARACTERS_A_TOKEN):
            raise BadModelOutput(
                f"The chat model said {len(reply.text):,} characters, and was asked for {max_tokens} tokens at most."
            )
        return reply

    @property
    def external(self) -> bool:
        """Whether what is said to it leaves the machine and its private network."""
        return is_external(self._server.base)

    @property
    def known_model(self) -> str | None:
        """What `model` gives, if that is known without asking."""
        return self._wanted or self._found

    async def model(self, deadline: Deadline) -> str:
        """The name of the model that is asked: the configured one, or the first that the server lists.

        Raises StageError.
        """
        return self.known_model or await self._first_model(deadline)

    async def _first_model(self, deadline: Deadline) -> str:
        with self._meant():
            listed = (await self._server.get(models_url(self._server.base), deadline=deadline)).get("data")
        first = listed[0] if isinstance(listed, list) and listed else None
        name = self._server.redaction.line(first.get("id") if isinstance(first, dict) else None, MAX_NAME)
        if not name:
            raise BackendRejected(f"{public(self._url)} lists no model.", hint="Name the model in the settings.")
        self._found = name
        return name

    async def _ask(
        self, body: Mapping[str, Any], schema: Mapping[str, Any] | None, deadline: Deadline
    ) -> dict[str, Any]:
        refusals: list[Refused] = []
        asked: list[dict[str, Any]] = []
        for step in range(self._first_step(), len(_LADDER)):
            fields = _LADDER[step].fields(self._preset, schema)
            if fields in asked:
                continue
            asked.append(fields)
            try:
                with self._meant():
                    answer = await self._server.post(self._url, {**body, **fields}, deadline=deadline)
            except Refused as error:
                if error.status not in {400, 422}:
                    self._found = None  # a server that was restarted may serve another model
                    raise
                if not _is_of_fields(error, fields):
                    raise
                refusals.append(error)
                continue
            self._remember(step, fields)
            return answer
        raise refusals[0]

    @contextmanager
    def _meant(self) -> Iterator[None]:
        """A refusal becomes what it means with this provider."""
        try:
            yield
        except (Refused, Limited) as error:
            meant = self._preset.error(error.message, error.words)
            if meant is None:
                raise
            self._found = None if isinstance(meant, BackendRejected) else self._found
            raise meant from None

    def _refuse_error(self, answer: Mapping[str, Any]) -> None:
        """Raises what an error means that came with 200."""
        words = None if answer.get("choices") else words_in(answer, self._server.redaction)
        if words is None:
            return
        where = public(self._url)
        if meant := self._preset.error(words.told(where), words):
            raise meant
        if words.status >= 400:
            raise status_error(where, words)
        raise BadModelOutput(f"{where} answered 200 with an error: {words.said}")

    def _first_step(self) -> int:
        """The step that worked last; when that is long ago one caller starts at the top, and the others go on."""
        now = time.monotonic()
        if now < self._top_again_at:
            return self._step
        self._top_again_at = now + _TOP_EVERY_S
        return 0

    def _remember(self, step: int, fields: Mapping[str, Any]) -> None:
        if step > self._step:
            _LOG.warning("%s refused some request fields, asking with %s for now.", public(self._url), fields)
        if step != self._step:
            self._step, self._top_again_at = step, time.monotonic() + _TOP_EVERY_S


def _is_of_fields(refusal: Refused, fields: Mapping[str, Any]) -> bool:
    said = refusal.said.lower()
    return any(word in said for word in (*fields, *_OF_FIELDS))


def _reply(answer: Mapping[str, Any], redaction: Redaction, *, asked: str, took_ms: float) -> ChatReply:
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise BadModelOutput("The chat model answered without a message.")
    finish_reason = redaction.line(choice.get("finish_reason"), MAX_NAME)
    content = message.get("content")
    text = redaction.text(_without_thoughts(content)) if isinstance(content, str) else ""
    if not text.strip() and finish_reason == "content_filter":
        raise QueryRefused("The chat model's filter withheld the answer.")
    if not text.strip():
        raise BadModelOutput(f"The chat model said nothing (finish_reason {finish_reason!r}).")
    usage = answer.get("usage")
    return ChatReply(
        text=text,
        finish_reason=finish_reason,
        call=ModelCall(
            model=answer.get("model") or asked,
            input_tokens=_count(usage, "prompt_tokens"),
            output_tokens=_count(usage, "completion_tokens"),
            took_ms=took_ms,
        ),
    )


def _without_thoughts(content: str) -> str:
    """What follows the thoughts of a model that could not be told not to think; nothing if it never stopped."""
    if content.lstrip().startswith("<think>") and "</think>" not in content:
        return ""
    return content.rpartition("</think>")[2]


def _count(usage: Any, key: str) -> int | None:
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
