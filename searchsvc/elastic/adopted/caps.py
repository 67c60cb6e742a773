"""The fields of an index that others made, as `_field_caps` tells them. Pure functions.

That call needs the index privilege `read` alone. It names nested paths and objects too, and an alias field as the type
of its target; it leaves out objects without fields, those that are not indexed (`enabled: false`), and whatever is in
the documents and not in the mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from searchsvc.elastic.hits import shape
from searchsvc.errors import BackendUnavailable
from searchsvc.schema import FieldKind

KINDS: Mapping[str, FieldKind] = {
    **dict.fromkeys(("text", "match_only_text", "annotated_text", "search_as_you_type"), FieldKind.TEXT),
    **dict.fromkeys(("keyword", "constant_keyword", "wildcard", "ip", "version"), FieldKind.KEYWORD),
    **dict.fromkeys(("byte", "short", "integer", "long", "unsigned_long"), FieldKind.NUMBER),
    **dict.fromkeys(("half_float", "float", "double", "scaled_float"), FieldKind.NUMBER),
    **dict.fromkeys(("date", "date_nanos"), FieldKind.DATE),
    "boolean": FieldKind.BOOLEAN,
}
"""By type, in a mapping and as `_field_caps` tells it; the others can be neither searched nor filtered here."""
NESTED = "nested"
_PARENTS = frozenset({"object", NESTED})
_OPAQUE = "flattened"
"""A field whose values are objects of any shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field, an object or a nested path."""

    types: Mapping[str, tuple[str, ...]]
    """The indices that map it to each type, sorted; none are named where all agree."""
    searchable: bool = True
    """In every index."""
    aggregatable: bool = True
    """In every index: its values can be counted and sorted by."""

    @property
    def kind(self) -> FieldKind | None:
        """What its values are; None where they cannot be filtered, or the indices do not agree."""
        kinds = {KINDS.get(each) for each in self.types}
        return kinds.pop() if len(kinds) == 1 else None

    @property
    def is_parent(self) -> bool:
        """It holds other fields, and has no value."""
        return _PARENTS.issuperset(self.types)

    def described(self) -> str:
        """Its type, or types with the indices that have them, as the end of "it is …"."""
        if len(self.types) == 1:
            return next(iter(self.types))
        return " and ".join(f"{each} in {some(indices)}" for each, indices in sorted(self.types.items()))


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The fields of one index, or of all that a wildcard or an alias stands for."""

    indices: tuple[str, ...]
    """The concrete indices, sorted."""
    by_name: Mapping[str, Field]

    def of_kind(self, *kinds: FieldKind) -> list[str]:
        """The names of all fields of these kinds."""
        return [name for name, each in self.by_name.items() if each.kind in kinds]

    def nested_path(self, name: str) -> str | None:
        """The innermost nested path that `name` lies in; None if it lies in none."""
        return next((each for each in _ancestors(name) if each in self.nested_paths), None)

    def sub_field_of(self, name: str) -> str | None:
        """The field of which `name` is another reading (`title` of `title.raw`), and that the documents hold."""
        above = next((each for each in _ancestors(name) if each in self.by_name), None)
        if name not in self.by_name or above is None or not _PARENTS.isdisjoint(self.by_name[above].types):
            return None
        return above

    def is_inside_opaque(self, name: str) -> bool:
        """Whether `name` lies in a field that takes objects of any shape."""
        return any(_OPAQUE in self.by_name[each].types for each in _ancestors(name) if each in self.by_name)

    @cached_property
    def nested_paths(self) -> frozenset[str]:
        """The names that are nested in at least one index."""
        return frozenset(name for name, each in self.by_name.items() if NESTED in each.types)


def read_fields(reply: Any) -> Fields:
    """The fields in an answer of `_field_caps`.

    Raises BackendRejected if it is none, BackendUnavailable if a part of the indices did not answer.
    """
    with shape("a list of fields"):
        if reply.get("failed_indices"):
            failed = sorted(index for each in reply["failures"] for index in each["indices"])
            raise BackendUnavailable(f"The fields of {some(failed)} cannot be read: no copy of a shard answers.")
        by_name = {
            name: _field(types)
            for name, types in sorted(reply["fields"].items())
            if not any(each["metadata_field"] for each in types.values())
        }
        return Fields(indices=tuple(sorted(reply["indices"])), by_name=by_name)


def some(names: Sequence[str]) -> str:
    """The first of the names, and how many more there are."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _field(types: Mapping[str, Mapping[str, Any]]) -> Field:
    return Field(
        types={each: tuple(sorted(entry.get("indices", ()))) for each, entry in sorted(types.items())},
        searchable=all(entry["searchable"] for entry in types.values()),
        aggregatable=all(entry["aggregatable"] for entry in types.values()),
    )


def _ancestors(name: str) -> Iterator[str]:
    """The paths that `name` lies in, innermost first."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name
