"""Reading the source of a document by dotted paths, which lead through objects, arrays and keys that hold the dots.

Arrays inside arrays are no difference to Elasticsearch and none here. All loops, for arrays may be of any depth.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any


def picked(source: Mapping[str, Any], paths: Collection[str]) -> dict[str, Any]:
    """`source` with the fields and objects at these paths alone, in its own shape."""
    kept: dict[str, Any] = {}
    for key, value in source.items():
        if key in paths:
            kept[key] = value
        elif rests := [path[len(key) + 1 :] for path in paths if path.startswith(f"{key}.")]:
            inner = _picked_inside(value, rests)
            if inner:
                kept[key] = inner
    return kept


def values_at(source: Any, path: str) -> Iterator[Any]:
    """The values at a path, in the order in which they are written; no nulls."""
    waiting = [(source, path)]
    while waiting:
        value, rest = waiting.pop()
        if isinstance(value, list):
            waiting.extend((each, rest) for each in reversed(value))
        elif not rest:
            if value is not None:
                yield value
        elif isinstance(value, Mapping):
            inner = [(each, rest[len(key) + 1 :]) for key, each in value.items() if f"{rest}.".startswith(f"{key}.")]
            waiting.extend(reversed(inner))


def strings_in(value: Any) -> Iterator[str]:
    """All strings in a value, in the order in which they are written."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            waiting.extend(reversed(list(each.values())))
        else:
            waiting.extend(reversed(list(_flattened(each))))


def _picked_inside(value: Any, paths: Collection[str]) -> Any:
    if isinstance(value, Mapping):
        return picked(value, paths)
    return [inner for each in _flattened(value) if isinstance(each, Mapping) and (inner := picked(each, paths))]


def _flattened(value: Any) -> Iterator[Any]:
    """What arrays hold, those inside arrays too; nothing of what is no array."""
    waiting = [value] if isinstance(value, list) else []
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting.extend(reversed(each))
        else:
            yield each
