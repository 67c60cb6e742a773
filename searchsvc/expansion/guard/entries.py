"""What a cache knows of one completion: the reply, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from searchsvc.errors import BadModelOutput, QueryRefused, Reason
from searchsvc.protocols import ChatReply
from searchsvc.result import ModelCall

_KEPT: Mapping[str, type[QueryRefused | BadModelOutput]] = {
    Reason.QUERY_REFUSED: QueryRefused,
    Reason.BAD_MODEL_OUTPUT: BadModelOutput,
}
"""The failures that are about one query and will come again: all others are about the endpoint, or pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a query has no completion."""

    reason: str
    message: str

    def error(self) -> QueryRefused | BadModelOutput:
        """The error, as it was raised first."""
        return _KEPT[self.reason](self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A reply or a refusal, and until when it holds."""

    outcome: ChatReply | Refusal
    expires_at: float
    """Seconds since the epoch."""
    masked: tuple[str, ...] = ()

    def reply(self) -> ChatReply:
        """Raises QueryRefused, BadModelOutput."""
        if isinstance(self.outcome, Refusal):
            raise self.outcome.error()
        return self.outcome

    def as_text(self) -> str:
        """All but the time, as JSON."""
        kind = "refusal" if isinstance(self.outcome, Refusal) else "reply"
        return json.dumps({kind: asdict(self.outcome), "masked": self.masked}, ensure_ascii=False)


def entry_of(text: str, expires_at: float) -> Entry | None:
    """What `as_text` wrote; None if it is something else."""
    try:
        table = json.loads(text)
        return Entry(outcome=_outcome(table), expires_at=expires_at, masked=tuple(map(str, table["masked"])))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _outcome(table: Mapping[str, Any]) -> ChatReply | Refusal:
    if "refusal" in table:
        refusal = Refusal(**table["refusal"])
        refusal.error()  # a reason that is none is no entry
        return refusal
    reply = table["reply"]
    return ChatReply(text=reply["text"], finish_reason=reply["finish_reason"], call=ModelCall(**reply["call"]))
