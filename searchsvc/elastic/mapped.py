"""The fields of indices that others made, read from their mappings and settings; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from searchsvc.elastic.adopted.caps import KINDS
from searchsvc.schema import FieldKind

_OBJECTS = frozenset({"object", "nested"})
_UNWRITABLE = frozenset("*^")
_SHOWN_INDICES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedField:
    """One field as a query names it."""

    name: str
    type: str
    source: str
    """Where its values stand in a document: its name, or of a multi-field that of its parent."""
    nested: tuple[str, ...] = ()
    """The nested paths around it, outermost first."""
    analyzer: str = ""
    """How it reads text, and how it reads a query if that is another way; empty for what is not analysed."""
    indexed: bool = True
    doc_values: bool = True

    @property
    def is_text(self) -> bool:
        """It is analysed."""
        return KINDS.get(self.type) is FieldKind.TEXT


def mapped_fields(mapping: Mapping[str, Any], settings: Mapping[str, Any]) -> list[MappedField]:
    """The fields of one index, `mapping` and `settings` as Elasticsearch answers them below the name of the index.

    In the order of the mapping; what is switched off (`enabled: false`), aliases of other fields and names that a
    table cannot hold (with a wildcard, a boost, or white space at an end) are left out.
    """
    analysis = settings.get("settings", {}).get("index", {}).get("analysis", {}).get("analyzer", {})
    default = "default" if "default" in analysis else "standard"
    found = _below(mapping["mappings"].get("properties", {}), "", (), default)
    return [field for field in found if field.name == field.name.strip() and not _UNWRITABLE & {*field.name}]


def merged(by_index: Mapping[str, Sequence[MappedField]]) -> tuple[list[MappedField], list[str]]:
    """The fields of several indices as one list, and a sentence on each that is not the same thing in all of them.

    A field that differs in its type or in the nested paths around it is left out.
    """
    found: dict[str, dict[str, MappedField]] = {}
    for index, fields in by_index.items():
        for field in fields:
            found.setdefault(field.name, {})[index] = field
    kept, conflicts = [], []
    for name, places in found.items():
        kinds = {(field.type, field.nested, field.source) for field in places.values()}
        analyzers = {field.analyzer for field in places.values()}
        first = next(iter(places.values()))
        if len(kinds) > 1:
            conflicts.append(f"{name} is {_in_words(places)}: left out.")
            continue
        if len(analyzers) > 1:
            conflicts.append(f"{name} is read by different analysers: {', '.join(sorted(analyzers))}.")
        kept.append(
            replace(
                first,
                indexed=all(field.indexed for field in places.values()),
                doc_values=all(field.doc_values for field in places.values()),
            )
        )
    return kept, conflicts


def _in_words(places: Mapping[str, MappedField]) -> str:
    by_kind: dict[str, list[str]] = {}
    for index, field in places.items():
        inside = f" inside nested {field.nested[-1]}" if field.nested else ""
        by_kind.setdefault(f"{field.type}{inside}", []).append(index)
    return ", but ".join(
        f"{kind} in {', '.join(indices[:_SHOWN_INDICES])}{' …' * (len(indices) > _SHOWN_INDICES)}"
        for kind, indices in by_kind.items()
    )


def _below(properties: Mapping[str, Any], prefix: str, nested: tuple[str, ...], default: str) -> Iterator[MappedField]:
    for key, mapping in properties.items():
        name, kind = f"{prefix}{key}", mapping.get("type", "object")
        if kind in _OBJECTS and mapping.get("enabled", True):
            inside = (*nested, name) if kind == "nested" else nested
            yield from _below(mapping.get("properties", {}), f"{name}.", inside, default)
        if kind in _OBJECTS or kind == "alias":
            continue
        yield _field(mapping, name, name, nested, default)
        for sub, sub_mapping in mapping.get("fields", {}).items():
            yield _field(sub_mapping, f"{name}.{sub}", name, nested, default)


def _field(mapping: Mapping[str, Any], name: str, source: str, nested: tuple[str, ...], default: str) -> MappedField:
    is_text = KINDS.get(mapping["type"]) is FieldKind.TEXT
    return MappedField(
        name=name,
        type=mapping["type"],
        source=source,
        nested=nested,
        analyzer=_analyzer(mapping, default) if is_text else "",
        indexed=_is(mapping.get("index", True)),
        doc_values=_is(mapping.get("doc_values", True)),
    )


def _analyzer(mapping: Mapping[str, Any], default: str) -> str:
    analyzer = str(mapping.get("analyzer", default))
    searching = str(mapping.get("search_analyzer", analyzer))
    return analyzer if searching == analyzer else f"{analyzer}, queries {searching}"


def _is(flag: Any) -> bool:
    """A mapping may hold `"false"`, as Elasticsearch accepts it."""
    return flag not in (False, "false")
