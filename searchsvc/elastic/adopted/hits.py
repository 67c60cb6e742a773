"""The reader of Elasticsearch's answers from adopted indices: pure functions to our values.

Every function raises BackendRejected if the answer has another shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from searchsvc.elastic.adopted.bodies import PHRASE, QUERY, WORD, passage_fields
from searchsvc.elastic.adopted.fields import header
from searchsvc.elastic.adopted.vectors import Place
from searchsvc.elastic.hits import shape
from searchsvc.errors import BackendRejected
from searchsvc.model import Candidate, Ranking, Reading, SortKey, Value, WeightedTerm
from searchsvc.protocols import RetrieveRequest
from searchsvc.schema import AdoptedIndex, FieldKind, IndexSchema
from searchsvc.source_paths import picked, values_at

THE_QUERY = "the query"
"""What the contribution of the clause that reads the user's text is called."""
_MEASURED = 10
"""Hits that a word is weighed by."""


def ranking(reply: Any, index: AdoptedIndex, schema: IndexSchema, request: RetrieveRequest) -> Ranking:
    """The candidates in Elasticsearch's order.

    Raises BackendRejected where the documents cannot be told apart, or come without their fields.
    """
    with shape("a search"):
        raw = reply["hits"]["hits"]
        candidates = [_candidate(hit, index, schema, request) for hit in raw]
        seen: dict[str, str] = {}
        for candidate, hit in zip(candidates, raw, strict=True):
            place = f"{hit['_index']}/{hit['_id']}"
            other = seen.setdefault(candidate.doc_id, place)
            if other != place:
                raise _told_apart_by(index, f"{other} and {place} are both {candidate.doc_id!r}")
    return Ranking(candidates=tuple(candidates))


def word_weight(reply: Any, words: Sequence[WeightedTerm], mass: float) -> float | None:
    """How much one word of the query weighs in the score of the clause that reads it; None: it cannot be told.

    Over the best hits that hold at least one of `words`: what the clause gives them, by what the phrases of the words
    give them. `mass` is that of all words of the query, of which `words` may be a part.
    """
    with shape("a search"):
        text = phrases = 0.0
        for hit in reply["hits"]["hits"][:_MEASURED]:
            named = hit.get("matched_queries", {})
            by_words = sum(score for name, score in named.items() if name.startswith(WORD))
            if by_words > 0:
                text, phrases = text + named.get(QUERY, 0.0), phrases + by_words
    share = sum(word.weight for word in words) / mass if mass > 0 else 0.0
    return text / phrases * share if text > 0 else None


def held(reply: Any, index: AdoptedIndex, words: Sequence[str]) -> dict[str, frozenset[str]]:
    """Which of the words each document holds, by its id."""
    with shape("a search"):
        return {
            _doc_id(hit, index): frozenset(
                words[int(name.removeprefix(WORD))] for name in hit.get("matched_queries", ())
            )
            for hit in reply["hits"]["hits"]
        }


def places(reply: Any, index: AdoptedIndex) -> dict[str, Place]:
    """Where the documents lie, by their ids."""
    with shape("a search"):
        return {
            _doc_id(hit, index): Place(index=hit["_index"], id=hit["_id"], routing=hit.get("_routing"))
            for hit in reply["hits"]["hits"]
        }


def _candidate(hit: Mapping[str, Any], index: AdoptedIndex, schema: IndexSchema, request: RetrieveRequest) -> Candidate:
    source = hit.get("_source")
    if source is None:
        raise BackendRejected(
            f"The documents of {hit['_index']} come without their fields: its mapping disables _source.",
            hint=f"Take it out of {header(index.name)}: nothing can be shown of it.",
        )
    values = hit.get("fields", {})
    groups = values.get(request.collapse, ()) if request.collapse is not None else ()
    return Candidate(
        doc_id=_doc_id(hit, index),
        score=float(hit["_score"]),
        source=picked(source, frozenset(index.returned)) if index.returned else source,
        contributions=_contributions(hit, request) if request.explain else {},
        reading=_reading(source, index),
        group=groups[0] if groups else None,
        sort_values=tuple(
            _sort_value(value, key, schema, values)
            for key, value in zip(request.sort, hit.get("sort", ()), strict=False)
        ),
    )


def _doc_id(hit: Mapping[str, Any], index: AdoptedIndex) -> str:
    if index.doc_id == "_id":
        return str(hit["_id"])
    if index.doc_id == "_index/_id":
        return f"{hit['_index']}/{hit['_id']}"
    found = hit.get("fields", {}).get(index.doc_id, ())
    if len(found) != 1:
        raise _told_apart_by(index, f"{hit['_index']}/{hit['_id']} has {len(found)} values of {index.doc_id}")
    return str(found[0])


def _told_apart_by(index: AdoptedIndex, what: str) -> BackendRejected:
    return BackendRejected(
        f'{header(index.name)} id = "{index.doc_id}" does not tell the documents of {index.target} apart: {what}.',
        hint='Write id = "_index/_id", or name a keyword field that differs.',
    )


def _contributions(hit: Mapping[str, Any], request: RetrieveRequest) -> dict[str, float]:
    named = hit.get("matched_queries", {})
    found = {THE_QUERY: named[QUERY]} if QUERY in named else {}
    for place, phrase in enumerate(request.query.phrases):
        if (score := named.get(f"{PHRASE}{place}")) is not None:
            found[phrase.term] = found.get(phrase.term, 0.0) + score
    return found


def _sort_value(value: Any, key: SortKey, schema: IndexSchema, values: Mapping[str, Any]) -> Value | None:
    """Of a document without a number Elasticsearch tells the largest there is, of true 1."""
    if key.field not in values:
        return None
    return bool(value) if schema.fields[key.field].kind is FieldKind.BOOLEAN else value


def _reading(source: Mapping[str, Any], index: AdoptedIndex) -> Reading:
    parts = (_text(source, name) for name in passage_fields(index))
    return Reading(
        title=_text(source, index.title, between=" ") if index.title is not None else "",
        text=_text(source, index.snippet) if index.snippet is not None else "",
        passage="\n".join(part for part in parts if part)[: index.rerank_characters],
    )


def _text(source: Mapping[str, Any], name: str, *, between: str = "\n") -> str:
    """The values of a field, those of objects left out."""
    return between.join(str(value) for value in values_at(source, name) if isinstance(value, str | int | float))
