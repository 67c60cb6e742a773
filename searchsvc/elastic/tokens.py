"""What the analyser of a field makes of a word, read by term vectors of documents that are not stored.

That needs the index privilege `read` alone; `_analyze` would need `manage`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elasticsearch import AsyncElasticsearch

from searchsvc.elastic.errors import translated
from searchsvc.model import Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysedField:
    """A field, and how a document that is not stored gets a word to its analyser."""

    name: str
    source: str | None = None
    """The field of a document that the word is put in: of a multi-field its parent; None: the field itself."""
    analyzer: str | None = None
    """Read by this analyser, in the text field `source`, in place of that one's own.

    A nested field needs it: term vectors of a document that is not stored do not reach into nested objects.
    """


async def analysed(
    client: AsyncElasticsearch,
    index: str,
    fields: Sequence[AnalysedField],
    words: Iterable[str],
    deadline: Deadline,
) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """By field and word the tokens, in the order of the text, as that field would index the word.

    `index` is one index, no alias of several and no wildcard. A field of which Elasticsearch tells nothing, such as
    a nested one without `analyzer`, has no tokens.
    Raises BackendTimeout, BackendUnavailable, BackendRejected, Overloaded, UnknownIndex.
    """
    asked = [(field, word) for field in fields for word in dict.fromkeys(words)]
    if not asked:
        return {}
    with translated(f"reading tokens of {index}"):
        async with asyncio.timeout(deadline.left_s()):
            reply = await client.mtermvectors(docs=[_document(index, field, word) for field, word in asked])
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for (field, word), answer in zip(asked, reply.body["docs"], strict=True):
        found.setdefault(field.name, {})[word] = _tokens(answer)
    return found


def _document(index: str, field: AnalysedField, word: str) -> dict[str, Any]:
    source = field.source or field.name
    read = field.name if field.analyzer is None else source
    asked = {
        "_index": index,
        "doc": {source: word},
        "fields": [read],
        "field_statistics": False,
        "term_statistics": False,
        "routing": "any",  # where the mapping demands one
    }
    return asked if field.analyzer is None else {**asked, "per_field_analyzer": {read: field.analyzer}}


def _tokens(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """In the order of their positions; those at one position by where they begin, then by length."""
    placed = [
        (token["position"], token.get("start_offset", 0), len(term), term)
        for vector in answer.get("term_vectors", {}).values()
        for term, counted in vector["terms"].items()
        for token in counted["tokens"]
    ]
    return tuple(term for *_, term in sorted(placed))
