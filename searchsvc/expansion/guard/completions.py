"""What is asked of a chat model through the guard, and what comes back."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from searchsvc.documents import clean
from searchsvc.model import Deadline
from searchsvc.protocols import ChatReply
from searchsvc.result import ModelCall

Source = Literal["model", "shared", "cache"]
"""Asked for this caller; asked for another who came first; known from before."""
Check = Callable[[ChatReply], object]
"""Raises BadModelOutput for a reply that cannot be used; depends on the reply, the prompt and the query alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """One query with one prompt."""

    query: str
    """As the user wrote it."""
    prompt_id: str
    language: str
    """Of the prompt."""
    messages: Sequence[Mapping[str, str]]
    schema: Mapping[str, Any] | None
    max_tokens: int
    temperature: float
    passages: tuple[str, ...] = ()
    """Texts of the index that the messages show to the model."""

    def key(self, model: str) -> str:
        """Names the completion in a cache, without telling the query.

        What decides: the query without differences of case, width and blanks, prompt, language, model, passages.
        """
        parts = [normalised(self.query), self.prompt_id, self.language, model, *map(clean, self.passages)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A reply that passed its check."""

    reply: ChatReply
    source: Source
    masked: tuple[str, ...] = ()
    """Kinds of what was masked before it left for an external endpoint: email, phone, ..."""

    @property
    def calls(self) -> tuple[ModelCall, ...]:
        """The call, for the one caller whose it was: so its tokens are counted once."""
        return (self.reply.call,) if self.source == "model" else ()

    @property
    def detail(self) -> dict[str, Any]:
        """For the trace."""
        known: dict[str, Any] = {"completion": self.source, "model": self.reply.call.model}
        return known | ({"masked": list(self.masked)} if self.masked else {})


class Completer(Protocol):
    """Completes queries, each once."""

    async def complete(self, request: CompletionRequest, *, deadline: Deadline, check: Check) -> Completion:
        """The completion, waiting until `deadline` at most.

        Raises StageError: ExpansionLate at the deadline, while the call goes on for the next caller.
        """
        ...


def normalised(query: str) -> str:
    """`query` in NFKC, case-folded, its white space squeezed."""
    folded = unicodedata.normalize("NFKC", clean(query)).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())  # folding may leave letters uncomposed
