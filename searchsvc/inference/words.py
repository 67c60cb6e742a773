"""What a model server says when it refuses: its words, its codes, and when it may be asked again."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from searchsvc.inference.redaction import MAX_NAME, Redaction

_MAX_RETRY_S = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A refusal, without secrets."""

    status: int
    """The HTTP status, or the one that the body names where the answer was 200."""
    said: str
    """On one line, cut."""
    code: str = ""
    """What the server calls the error; empty if it has no name for it."""
    codes: frozenset[str] = frozenset()
    """Code and type, lower-cased."""
    retry_after_s: float | None = None
    """Seconds until it may be asked again; None if it does not say."""

    def told(self, where: str) -> str:
        """The sentence for a message."""
        code = f" ({self.code})" if self.code and self.code.lower() not in self.said.lower() else ""
        return f"{where} answered {self.status}{code}: {self.said or 'no text'}"


def words_of(status: int, content: bytes, headers: Mapping[str, str], redaction: Redaction) -> Words:
    """The refusal in an answer of any shape: OpenAI's, FastAPI's, DashScope's own, a bare string, plain text."""
    try:
        body = orjson.loads(content)
        said = _said(body)
    except (orjson.JSONDecodeError, RecursionError):  # lists within lists, deeper than `str` goes
        body, said = None, content.decode(errors="replace")
    return _words(status, body, said, redaction, retry_after_s=_retry_after(headers))


def words_in(answer: Mapping[str, Any], redaction: Redaction) -> Words | None:
    """The refusal in an answer that came with 200; None if there is none."""
    error = answer.get("error")
    if not error and not (answer.get("code") and isinstance(answer.get("message"), str)):
        return None
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 200
    return _words(status, answer, _said(answer), redaction, retry_after_s=None)


def _words(status: int, body: Any, said: str, redaction: Redaction, *, retry_after_s: float | None) -> Words:
    error = body.get("error") if isinstance(body, dict) else None
    table = error if isinstance(error, dict) else body if isinstance(body, dict) else {}
    names = [redaction.line(table.get(key), MAX_NAME) for key in ("code", "type")]
    return Words(
        status=status,
        said=redaction.line(said),
        code=next(filter(None, names), ""),
        codes=frozenset(name.lower() for name in names if name),
        retry_after_s=retry_after_s,
    )


def _said(body: Any) -> str:
    if isinstance(body, dict):
        body = next((body[key] for key in ("error", "detail", "message") if body.get(key)), body)
    if isinstance(body, dict):
        body = body.get("message") or body
    return str(body)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of Retry-After (RFC 9110 10.2.3: seconds or a date), of retry-after-ms where OpenAI sends it."""
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        else:
            seconds = _seconds(headers["retry-after"])
    except (KeyError, ValueError, OverflowError):
        return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _MAX_RETRY_S)


def _seconds(written: str) -> float:
    try:
        return float(written)
    except ValueError:
        return parsedate_to_datetime(written).timestamp() - time.time()
