"""What stored documents hold, by their term vectors; that needs the index privilege `read` alone.

Elasticsearch makes the vectors from `_source` where they are not stored: of multi-fields and of nested ones too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from elasticsearch import AsyncElasticsearch

from searchsvc.elastic.errors import translated
from searchsvc.elastic.hits import shape
from searchsvc.errors import BackendUnavailable
from searchsvc.model import Deadline
from searchsvc.schema import Caller
from searchsvc.text.words import is_han

Cut = Callable[[str], Sequence[str]]
"""Chinese to words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a document lies."""

    index: str
    """The concrete index."""
    id: str
    routing: str | None = None


async def stored_terms(
    client: AsyncElasticsearch,
    places: Sequence[Place],
    fields: Sequence[str],
    *,
    cut: Cut,
    deadline: Deadline,
    caller: Caller | None = None,
) -> list[Counter[str]]:
    """How often each document holds its terms in these fields, in the order given; of one that is gone nothing.

    Terms are as the index has them. Where it has a run of Chinese as single characters, `cut` makes words of it.
    Raises BackendTimeout, BackendUnavailable, BackendRejected, Overloaded, UnknownIndex; Unauthenticated and Forbidden
    in the name of a caller.
    """
    if not (places and fields):
        return [Counter() for _ in places]
    if caller is not None:
        client = client.options(headers={"authorization": caller.authorization})
    with translated("reading term vectors", in_callers_name=caller is not None):
        async with asyncio.timeout(deadline.left_s()):
            reply = await client.mtermvectors(docs=[_asked(place, fields) for place in places], realtime=False)
    with shape("term vectors"):
        return [_terms(answer, cut) for answer in reply.body["docs"]]


def _asked(place: Place, fields: Sequence[str]) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "_index": place.index,
        "_id": place.id,
        "fields": list(fields),
        "offsets": False,
        "payloads": False,
        "field_statistics": False,
        "term_statistics": False,
    }
    return asked if place.routing is None else {**asked, "routing": place.routing}


def _terms(answer: Mapping[str, Any], cut: Cut) -> Counter[str]:
    """Raises BackendUnavailable where a shard did not answer."""
    if "error" in answer:
        raise BackendUnavailable(f"Terms of {answer['_index']} cannot be read: {answer['error'].get('type')}.")
    found: Counter[str] = Counter()
    for vector in answer.get("term_vectors", {}).values():
        characters: dict[int, str] = {}
        for term, counted in vector["terms"].items():
            if len(term) == 1 and is_han(term):
                characters |= {token["position"]: term for token in counted["tokens"]}
            else:
                found[term] += counted["term_freq"]
        for run in _runs(characters):
            found.update(cut(run))
    return found


def _runs(characters: Mapping[int, str]) -> Iterator[str]:
    """Characters at positions that follow one another, joined."""
    numbered = enumerate(sorted(characters))
    for _, together in groupby(numbered, key=lambda each: each[1] - each[0]):
        yield "".join(characters[position] for _, position in together)
