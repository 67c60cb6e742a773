"""What the analysers of an adopted index make of words, for explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from searchsvc.elastic.calls import Searches
from searchsvc.elastic.tokens import AnalysedField, analysed
from searchsvc.errors import StageError, UnknownIndex
from searchsvc.protocols import RetrieveRequest
from searchsvc.schema import AdoptedIndex, TextField

_MOST_WORDS = 32
_SHARE = 0.3
"""Of the time that is left: it is not worth more to an explanation."""

Tokens = Mapping[str, Mapping[str, Sequence[str]]]
"""Tokens by field and word."""


async def tokens(
    searches: Searches, index: AdoptedIndex, fields: Sequence[TextField], request: RetrieveRequest
) -> Tokens:
    """What the fields outside nested paths make of the words of the query; nothing where that cannot be told.

    It cannot of several indices, which may differ, and of nested fields, whose analysers `read` alone does not show.
    """
    outside = [
        AnalysedField(name=field.name)
        for field in fields
        if not any(field.name.startswith(f"{path}.") for path in index.nested)
    ]
    words = dict.fromkeys(word.term for word in (*request.query.terms, *request.query.phrases))
    if "*" in index.target or "," in index.target:
        return {}
    client = searches.client
    if request.caller is not None:
        client = client.options(headers={"authorization": request.caller.authorization})
    try:
        found = await analysed(client, index.target, outside, list(words)[:_MOST_WORDS], request.deadline.share(_SHARE))
    except (StageError, UnknownIndex):
        return {}
    return {
        field: {word: list(each) for word, each in made.items()} for field, made in found.items() if any(made.values())
    }
