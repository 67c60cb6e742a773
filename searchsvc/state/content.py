"""What both stores share: how a document is written down, and the error for a write that came too late."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from searchsvc.errors import BackendRejected, Conflict


def as_text(value: Mapping[str, Any]) -> str:
    """The document as JSON text.

    Raises ValueError or TypeError if it holds what JSON has not: NaN, infinity, other objects.
    """
    return json.dumps(dict(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def from_text(text: Any, *, kind: str, name: str) -> Mapping[str, Any]:
    """The document in a text that `as_text` wrote. Raises BackendRejected if something else stands there."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise damaged(kind, name) from error
    if not isinstance(value, dict):
        raise damaged(kind, name)
    return value


def damaged(kind: str, name: str) -> BackendRejected:
    """The error for a document that this service did not write."""
    return BackendRejected(
        f"The stored state of {kind} {name!r} is no JSON object.", hint="Remove it: it is made anew when needed."
    )


def conflict(kind: str, name: str) -> Conflict:
    """The error for a write that expected another revision than the one that is there."""
    return Conflict(
        f"{kind} {name!r} was changed by somebody else in the meantime.", hint="Read it again, then decide."
    )
