"""What is shown of a document's source: the fields that were asked for, and marked fragments of some."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from searchsvc.text import snippet

_FRAGMENTS = 5
_READ = 20
"""Of the strings of one field so many are looked at."""


def picked(source: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """`source` with the fields at these dotted paths alone, which lead through objects, arrays and dotted keys."""
    kept: dict[str, Any] = {}
    for key, value in source.items():
        if key in paths:
            kept[key] = value
        elif rests := _rests(key, paths):
            inner = _picked_inside(value, rests)
            if inner:
                kept[key] = inner
    return kept


def highlights(source: Mapping[str, Any], paths: Sequence[str], terms: Collection[str]) -> dict[str, list[str]]:
    """For each path the first fragments, one of a string, in which one of the index terms is marked; none: left out."""
    found = {path: list(islice(_fragments(source, path, terms), _FRAGMENTS)) for path in paths}
    return {path: fragments for path, fragments in found.items() if fragments}


def _rests(key: str, paths: Sequence[str]) -> list[str]:
    return [path[len(key) + 1 :] for path in paths if path.startswith(f"{key}.")]


def _picked_inside(value: Any, paths: Sequence[str]) -> Any:
    if isinstance(value, Mapping):
        return picked(value, paths)
    return [inner for each in _inside(value) if isinstance(each, Mapping) and (inner := picked(each, paths))]


def _fragments(source: Mapping[str, Any], path: str, terms: Collection[str]) -> Iterator[str]:
    for text in islice(_strings(picked(source, [path])), _READ):
        fragment = snippet(text, terms)
        if "<em>" in fragment and ("<em>" not in text or fragment != snippet(text, terms, pre="", post="")):
            yield fragment


def _strings(value: Any) -> Iterator[str]:
    """All strings in a value, in the order in which they are written."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            waiting.extend(reversed(list(each.values())))
        else:
            waiting.extend(reversed(list(_inside(each))))


def _inside(value: Any) -> Iterator[Any]:
    """What arrays hold, those inside arrays too: Elasticsearch makes no difference. Loops, for depth has no bound."""
    waiting = [value] if isinstance(value, list) else []
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting.extend(reversed(each))
        else:
            yield each
