"""The query that a search of an adopted index runs: the owner's own, or one made from the text fields.

The user's text is put in as a JSON value where `{{query}}` stands; the JSON is parsed once and never rewritten as
text. The clause that holds it is the leaf: expansion goes beside the leaf, so that whatever stands around stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from searchsvc.elastic.adopted.fields import header
from searchsvc.errors import ConfigurationError
from searchsvc.suggest import did_you_mean

PLACEHOLDER = "{{query}}"
MATCH_ALL: Mapping[str, Any] = {"match_all": {}}

Clause = dict[str, Any]
"""A query of Elasticsearch."""
Path = tuple[str | int, ...]
"""Keys and places on the way into JSON."""

_BODY_KEYS = ("query", "rescore", "min_score", "post_filter", "indices_boost", "runtime_mappings")
_OF_THE_REQUEST = frozenset(
    [
        "size",
        "from",
        "sort",
        "aggs",
        "aggregations",
        "highlight",
        "_source",
        "fields",
        "docvalue_fields",
        "stored_fields",
        "track_total_hits",
        "track_scores",
        "collapse",
        "search_after",
        "pit",
        "timeout",
        "explain",
        "profile",
        "suggest",
    ]
)
"""Keys of a body that every request sets as it needs."""

_AROUND = frozenset({"nested", "has_child", "has_parent"})
"""Their inside is of other documents: nothing of this one can be searched there."""
_SLOTS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(_AROUND, frozenset({"query"})),
    "bool": frozenset({"must", "should", "filter"}),
    "dis_max": frozenset({"queries"}),
    "function_score": frozenset({"query"}),
    "script_score": frozenset({"query"}),
    "constant_score": frozenset({"filter"}),
    "boosting": frozenset({"positive"}),
    "pinned": frozenset({"organic"}),
    "rule": frozenset({"organic"}),
}
"""Where the queries lie by which a compound finds documents."""
_SCORED = ("function_score", "script_score")
_DEEPEST = 100
"""Keys and places on the way to the text: a level of `bool` is three of them, and Elasticsearch takes 30 levels."""
_LIKE = re.compile(r"\{\{\s*query\s*\}\}", re.IGNORECASE)
_WRITE = f'Write "{PLACEHOLDER}" as the whole value, once, as in {{"match": {{"title": "{PLACEHOLDER}"}}}}.'


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseQuery:
    """A search body, and the leaf in it."""

    body: Mapping[str, Any]
    leaf: Path
    """Where the leaf stands in `body`."""
    reading: Callable[[str], Clause]
    """The leaf for a text."""
    scope: tuple[Mapping[str, Any], ...] = ()
    """What the leaf demands of a document whatever the text: holds for all that is put beside it, too."""
    everything: tuple[Mapping[str, Any], ...] = ()
    """Filters: what the body demands of a document whatever the text."""

    def around(self, clause: Mapping[str, Any]) -> dict[str, Any]:
        """The body with `clause` in the place of the leaf."""
        body: dict[str, Any] = _put(self.body, self.leaf, clause)
        return body


def default_query(reading: Callable[[str], Clause]) -> BaseQuery:
    """The query of an index whose owner gave none."""
    return BaseQuery(body={"query": {}}, leaf=("query",), reading=reading)


def read_base_query(index: str, text: str) -> BaseQuery:
    """The `base_query` in the table of `index`. Raises ConfigurationError that names it, and the next step."""
    try:
        body, placeholder = _body(text)
        return _read(body, placeholder)
    except RecursionError as error:
        raise ConfigurationError(
            f"{header(index)} base_query is nested too deeply.", hint="Elasticsearch itself takes 30 levels."
        ) from error
    except _Wrong as wrong:
        raise ConfigurationError(f"{header(index)} base_query {wrong.what}.", hint=wrong.hint) from wrong.__cause__


class _Wrong(Exception):
    """What is wrong with it, as the end of a sentence."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def _body(text: str) -> tuple[dict[str, Any], Path]:
    """The search body, and where the placeholder stands in it."""
    parsed = _parsed(text)
    if not isinstance(parsed, dict):
        raise _Wrong("is no JSON object", 'Write a query such as {"match": …}, or a body such as {"query": …}.')
    body = parsed if "query" in parsed or len(parsed) != 1 else {"query": parsed}
    placeholder = _placeholder(body)
    if "query" not in body:
        raise _Wrong(
            f"is neither a query, which has one key, nor a search body, which has query: its keys are {_listed(body)}",
            'Write {"query": …} around the query, or {"bool": …} around several.',
        )
    for key in body:
        if key not in _BODY_KEYS:
            ours = f"Leave out {key}: every request sets it as it needs."
            hint = ours if key in _OF_THE_REQUEST else did_you_mean(key, _BODY_KEYS)
            raise _Wrong(f"has the key {key!r}, which cannot stand beside query", hint)
    if placeholder[0] != "query":
        raise _Wrong(f"has {PLACEHOLDER} in {placeholder[0]}", "Put it into query: that is what finds documents.")
    return body, placeholder


def _parsed(text: str) -> Any:
    try:
        parsed = orjson.loads(text)
        json.loads(text, object_pairs_hook=_refuse_doubled)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _Wrong(f"is no JSON: {where}: {error.msg}", "Mend it, or try it in the console of Kibana.") from error
    return parsed


def _refuse_doubled(pairs: list[tuple[str, Any]]) -> None:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise _Wrong(f"has the key {key!r} twice in one object", "Elasticsearch refuses that: write a list.")


def _placeholder(body: Mapping[str, Any]) -> Path:
    """Where it stands."""
    found = list(_found(body, ()))
    for path, value in found:
        if value is None:
            raise _Wrong(f"has {PLACEHOLDER} in a key, at {_shown(path)}", _WRITE)
        if value != PLACEHOLDER:
            raise _Wrong(f"has more or less than {PLACEHOLDER} in the value {value!r} at {_shown(path)}", _WRITE)
    if not found:
        raise _Wrong(f"has no {PLACEHOLDER}, so that the user's text would go nowhere", _WRITE)
    if len(found) > 1:
        places = ", ".join(_shown(path) for path, _ in found)
        raise _Wrong(f"has {PLACEHOLDER} {len(found)} times, at {places}", "Write one clause, such as a multi_match.")
    if len(found[0][0]) > _DEEPEST:
        raise RecursionError
    return found[0][0]


def _found(value: Any, path: Path) -> Iterator[tuple[Path, str | None]]:
    """The places of values that hold something like the placeholder; those of keys, with None."""
    if isinstance(value, str) and _LIKE.search(value):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if _LIKE.search(key):
                yield (*path, key), None
            yield from _found(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _found(inner, (*path, place))


def _read(body: dict[str, Any], placeholder: Path) -> BaseQuery:
    compounds, innermost = _way(placeholder)
    leaf = next((at for at in compounds if placeholder[at] in _AROUND), innermost)
    clause, inside = _at(body, placeholder[:leaf]), placeholder[leaf:]
    scope: tuple[Mapping[str, Any], ...] = ()
    if any(
        at > leaf and _has_others(_at(body, placeholder[: at + 1])) for at in compounds if placeholder[at] == "bool"
    ):
        scope = (_put(clause, placeholder[leaf:innermost], MATCH_ALL),)
    elif placeholder[leaf] == "knn":
        filters = clause["knn"].get("filter", [])
        scope = tuple(filters) if isinstance(filters, list) else (filters,)
    everything = _put(body, placeholder[:leaf], {"bool": {"filter": list(scope)}} if scope else MATCH_ALL)
    for at in compounds:
        if at < leaf and placeholder[at] in _SCORED:
            _at(everything, placeholder[: at + 1]).pop("min_score", None)  # it speaks of the scores that a text gives
    return BaseQuery(
        body=body,
        leaf=placeholder[:leaf],
        reading=lambda text: _put(clause, inside, text),
        scope=scope,
        everything=(everything["query"], *([body["post_filter"]] if "post_filter" in body else [])),
    )


def _way(placeholder: Path) -> tuple[list[int], int]:
    """Where in the path the names of the compounds stand, outermost first, and that of the innermost clause."""
    compounds, at = [], 1
    while at + 1 < len(placeholder) and placeholder[at] in _SLOTS:
        name, slot = str(placeholder[at]), placeholder[at + 1]
        if slot not in _SLOTS[name]:
            raise _Wrong(
                f"has {PLACEHOLDER} under {name}.{slot}, by which no document is found: {_shown(placeholder)}",
                f"Put it where {name} searches: {_listed(_SLOTS[name])}.",
            )
        compounds.append(at)
        at += 2
        if at < len(placeholder) and isinstance(placeholder[at], int):
            at += 1
    if at >= len(placeholder):
        raise _Wrong(f"has {PLACEHOLDER} in the place of a query, at {_shown(placeholder)}", _WRITE)
    if any(name == "bool" and slot in _SLOTS["bool"] for name, slot in pairwise(placeholder[at:])):
        # conditions in there would not hold for what is put beside it
        raise _Wrong(
            f"has {PLACEHOLDER} in a bool inside {placeholder[at]}, a clause that may not stand around one",
            f"Put the bool around {placeholder[at]}, or use one of {_listed(_SLOTS)}.",
        )
    return compounds, at


def _has_others(boolean: Mapping[str, Any]) -> bool:
    clauses = [each for slot in ("must", "should", "filter", "must_not") if (each := boolean.get(slot))]
    return len(clauses) > 1 or any(isinstance(each, list) and len(each) > 1 for each in clauses)


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _put(value: Any, path: Path, new: Any) -> Any:
    """A copy of `value` along `path`, at whose end stands `new`."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _put(value[path[0]], path[1:], new)
    return copy


def _shown(path: Path) -> str:
    return ".".join(map(str, path))


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
