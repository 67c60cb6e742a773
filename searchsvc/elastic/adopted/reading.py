"""From the hits of an adopted index to candidates: their fields have names of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from searchsvc.elastic.adopted.bodies import ORIGINAL, SAID
from searchsvc.elastic.hits import shape
from searchsvc.errors import BackendRejected
from searchsvc.model import Candidate, Ranking, Reading
from searchsvc.protocols import RetrieveRequest
from searchsvc.schema import AdoptedIndex

MEASURED = 10
"""Over so many of the best the weight of a word is measured."""


def adopted_ranking(reply: Any, index: AdoptedIndex, request: RetrieveRequest) -> Ranking:
    """The candidates in the order of the answer.

    Raises BackendRejected if two of them have one id, or a document comes without its source.
    """
    with shape("a search"):
        found = [(hit["_index"], _candidate(hit, index, request)) for hit in reply["hits"]["hits"]]
    seen: dict[str, str] = {}
    for name, candidate in found:
        other = seen.setdefault(candidate.doc_id, name)
        if other != name:
            raise BackendRejected(
                f"[indices.{index.name}] id: {candidate.doc_id!r} is a document of {other} and another one of {name}.",
                hint='Write id = "_index/_id".',
            )
    return Ranking(candidates=tuple(candidate for _, candidate in found))


def word_weight(reply: Any) -> float | None:
    """Σ score of the original clause / Σ score of the query's own words as phrases, over the best; None: no word is
    found as a phrase in any of them.
    """
    with shape("a search"):
        named = [hit.get("matched_queries", {}) for hit in reply["hits"]["hits"][:MEASURED]]
        original = phrases = 0.0
        for scores in named:
            said = sum(score for name, score in scores.items() if name.startswith(SAID))
            if said > 0:
                original += scores.get(ORIGINAL, 0.0)
                phrases += said
    return original / phrases if phrases > 0 and original > 0 else None


def _candidate(hit: Mapping[str, Any], index: AdoptedIndex, request: RetrieveRequest) -> Candidate:
    source = hit.get("_source")
    if source is None:
        raise BackendRejected(
            f"The documents of {hit['_index']} come without their _source, so their texts cannot be read.",
            hint="Its mapping turns _source off: an index with _source is needed.",
        )
    named = hit.get("matched_queries")
    scores = named if isinstance(named, dict) and request.explain else {}
    group = hit.get("fields", {}).get(request.collapse) if request.collapse is not None else None
    return Candidate(
        doc_id=_doc_id(hit, source, index),
        score=hit["_score"] or 0.0,  # null where only conditions were asked for
        source=_pruned(source, "", index.returned) if index.returned else source,
        contributions={name: score for name, score in scores.items() if not name.startswith(SAID)},
        reading=_reading(source, index),
        group=group[0] if group else None,
        sort_values=tuple(hit.get("sort", ())),
    )


def _doc_id(hit: Mapping[str, Any], source: Mapping[str, Any], index: AdoptedIndex) -> str:
    if index.doc_id == "_id":
        return str(hit["_id"])
    if index.doc_id == "_index/_id":
        return f"{hit['_index']}/{hit['_id']}"
    value = next(_values(source, "", index.doc_id), None)
    if value is None:
        raise BackendRejected(
            f'[indices.{index.name}] id: the document {hit["_id"]!r} of {hit["_index"]} has no "{index.doc_id}".',
            hint='Name a field that every document has, or write id = "_id".',
        )
    return value


def _reading(source: Mapping[str, Any], index: AdoptedIndex) -> Reading:
    title = " ".join(_values(source, "", index.title)) if index.title is not None else ""
    text = "\n".join(_values(source, "", index.snippet)) if index.snippet is not None else ""
    read = index.rerank_text or tuple(name for name in (index.title, index.snippet) if name is not None)
    passage = "\n".join(each for name in read for each in _values(source, "", name))
    return Reading(title=title, text=text, passage=passage[: index.rerank_characters])


def _values(value: Any, at: str, name: str) -> Iterator[str]:
    """The values at the dotted path `name`, through lists; keys may hold dots themselves."""
    if isinstance(value, list):
        for each in value:
            yield from _values(each, at, name)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            path = f"{at}.{key}" if at else key
            if path == name or name.startswith(f"{path}."):
                yield from _values(inner, path, name)
    elif at == name and value is not None:
        yield value if isinstance(value, str) else str(value)


def _pruned(value: Any, at: str, names: Sequence[str]) -> Any:
    """What of the JSON `value` lies at or under one of the dotted paths."""
    if isinstance(value, list):
        return [kept for kept in (_pruned(each, at, names) for each in value) if kept not in ({}, [])]
    if not isinstance(value, Mapping):
        return {}
    kept = {}
    for key, inner in value.items():
        path = f"{at}.{key}" if at else key
        if any(path == name or path.startswith(f"{name}.") for name in names):
            kept[key] = inner
        elif any(name.startswith(f"{path}.") for name in names):
            inside = _pruned(inner, path, names)
            if inside not in ({}, []):
                kept[key] = inside
    return kept
