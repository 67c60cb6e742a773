"""Why a proposed term of an expansion does not join the query: the words of `ExpansionTerm.reason`."""

from __future__ import annotations

ALREADY_SAID = "already in the query"
STOP_WORD = "stop word"
OTHER_LANGUAGE = "other language"
NOT_IN_THE_INDEX = "not in the index"
IN_TOO_MANY = "in too many documents"
SEVERAL_SENSES = "several senses"


def beyond(limit: int) -> str:
    """`limit` heavier terms were kept."""
    return f"beyond the limit of {limit}"
