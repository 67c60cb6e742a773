"""What a request may name on an index that others made, and what its table names wrongly. Pure functions.

Elasticsearch answers a misspelt field, and a nested one without `nested`, with 200 and no hits: only a look at the
fields can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from searchsvc.elastic.adopted.caps import NESTED, Field, Fields
from searchsvc.schema import AdoptedIndex, FieldKind, IndexField, IndexSchema
from searchsvc.suggest import did_you_mean
from searchsvc.toml_names import table_key

_COUNTED = (FieldKind.KEYWORD, FieldKind.DATE, FieldKind.NUMBER, FieldKind.BOOLEAN)
_LONGEST_HINT = 300
_IDS = ("_id", "_index/_id")


def schema_of(index: AdoptedIndex, fields: Fields, *, unmapped: frozenset[str] = frozenset()) -> IndexSchema:
    """What a request may name on the index; `problems` is what its table names and the index does not have.

    `unmapped`: those of `not_in_mapping` that documents hold.
    """
    named = dict.fromkeys((*index.filters, *index.facets))
    usable = (_index_field(index, fields, name) for name in named)
    table = _Table(index, fields)
    return IndexSchema(
        lost=frozenset(field.name for field in index.text_fields if table.loses(field.name)),
        fields={field.name: field for field in usable if field is not None},
        returned=index.returned or None,
        problems=tuple(table.problems(unmapped)),
    )


def not_in_mapping(index: AdoptedIndex, fields: Fields) -> tuple[str, ...]:
    """The names of what is shown of which the mapping does not tell whether documents hold them."""
    shown = dict.fromkeys(name for _, name in _shown(index) if not fields.is_inside_opaque(name))
    return tuple(name for name in shown if name not in fields.by_name or fields.sub_field_of(name) is not None)


def header(name: str) -> str:
    """The header of the table of `name`, as TOML writes it."""
    return f"[{table_key(name)}]"


def _index_field(index: AdoptedIndex, fields: Fields, name: str) -> IndexField | None:
    """None: the field cannot be used as the table says."""
    mapped, nested = fields.by_name.get(name), fields.nested_path(name)
    if mapped is None or mapped.kind is None or (nested is not None and nested not in index.nested):
        return None
    has_values = mapped.kind is not FieldKind.TEXT and mapped.aggregatable
    filters, facets = name in index.filters and mapped.searchable, name in index.facets and has_values
    if not (filters or facets):
        return None
    # values of different types cannot be put in one order
    sort = filters and has_values and nested is None and len(mapped.types) == 1
    return IndexField(name=name, kind=mapped.kind, nested=nested, filter=filters, facet=facets, sort=sort)


def _shown(index: AdoptedIndex) -> Iterator[tuple[str, str]]:
    """Key and name of all that is read from the documents themselves."""
    yield from (("title", name) for name in (index.title,) if name is not None)
    yield from (("snippet", name) for name in (index.snippet,) if name is not None)
    yield from (("rerank_text", name) for name in index.rerank_text)
    yield from (("returned", name) for name in index.returned)


@dataclass(frozen=True, slots=True)
class _Table:
    """The table of an index, held against its fields; every method gives sentences on what is wrong."""

    index: AdoptedIndex
    fields: Fields

    def problems(self, unmapped: frozenset[str]) -> Iterator[str]:
        yield from self._searched()
        yield from self._nested()
        yield from self._id()
        yield from self._filtered()
        yield from self._faceted()
        yield from self._read(unmapped)

    def loses(self, text_field: str) -> bool:
        """Whether nothing would be found in it."""
        return any(self._fit("text_fields", text_field, (FieldKind.TEXT,), ""))

    def _searched(self) -> Iterator[str]:
        for field in self.index.text_fields:
            yield from self._fit("text_fields", field.name, (FieldKind.TEXT,), "is not text and cannot be searched")

    def _nested(self) -> Iterator[str]:
        for path in self.index.nested:
            mapped = self.fields.by_name.get(path)
            if mapped is None:
                yield self._unknown("nested", path, self.fields.nested_paths)
            elif set(mapped.types) != {NESTED}:
                hint = self._hint(path, self.fields.nested_paths - {path})
                yield self._said("nested", path, f"is {mapped.described()}, no nested path. {hint}")

    def _id(self) -> Iterator[str]:
        name, indices = self.index.doc_id, self.fields.indices
        if name not in _IDS:
            yield from self._fit("id", name, (FieldKind.KEYWORD,), "is no keyword and cannot identify documents")
            if self.fields.nested_path(name) is not None:
                yield self._said("id", name, "is nested: a document may have several. Name a keyword field outside.")
        elif name == "_id" and len(indices) > 1:
            several = f"tells documents apart within one index, and {self.index.target} stands for {len(indices)}"
            yield self._said("id", name, f'{several}. Write id = "_index/_id", or name a keyword field.')

    def _filtered(self) -> Iterator[str]:
        kinds = (*_COUNTED, FieldKind.TEXT)
        for name in self.index.filters:
            yield from self._fit("filters", name, kinds, "cannot be filtered")

    def _faceted(self) -> Iterator[str]:
        for name in self.index.facets:
            yield from self._fit("facets", name, _COUNTED, "has no values that can be counted", counted=True)

    def _read(self, unmapped: frozenset[str]) -> Iterator[str]:
        leaves = [name for name, each in self.fields.by_name.items() if not each.is_parent]
        for key, name in _shown(self.index):
            mapped, whole = self.fields.by_name.get(name), self.fields.sub_field_of(name)
            if name in unmapped:
                continue
            if whole is not None:
                yield self._said(key, name, f"is another reading of {whole}, not in the documents. Write {whole}.")
            elif mapped is None and not self.fields.is_inside_opaque(name):
                yield self._unknown(key, name, [each for each in leaves if self.fields.sub_field_of(each) is None])
            elif mapped is not None and mapped.is_parent and key != "returned":
                inside = [each for each in leaves if each.startswith(f"{name}.")]
                yield self._said(key, name, f"is {mapped.described()} and holds no text. {self._hint(name, inside)}")

    def _fit(
        self, key: str, name: str, kinds: tuple[FieldKind, ...], misfit: str, *, counted: bool = False
    ) -> Iterator[str]:
        """What is wrong with a field that must be indexed, of one of the kinds, and reachable."""
        mapped = self.fields.by_name.get(name)
        fitting = [each for each in self.fields.of_kind(*kinds) if each != name]
        if mapped is None:
            yield self._unknown(key, name, fitting)
            return
        if mapped.kind not in kinds:
            yield self._said(key, name, f"is {mapped.described()}: it {misfit}. {self._hint(name, fitting)}")
        elif unusable := _unusable(mapped, counted=counted):
            yield self._said(key, name, f"{unusable}. {self._hint(name, fitting)}")
        path = self.fields.nested_path(name)
        if path is not None and path not in self.index.nested and key != "id":
            listed = ", ".join(f'"{each}"' for each in (*self.index.nested, path))
            lies = f"lies in the nested path {path}, where nothing is found unless that is listed"
            yield self._said(key, name, f"{lies}. Write nested = [{listed}].")

    def _unknown(self, key: str, name: str, known: Iterable[str]) -> str:
        return self._said(key, name, f"is not there: {self.index.target} has no such field. {self._hint(name, known)}")

    def _said(self, key: str, name: str, what: str) -> str:
        return f'{header(self.index.name)} {key}: "{name}" {what}'

    def _hint(self, name: str, known: Iterable[str]) -> str:
        names = sorted(known)
        if not names:
            return "It has none that would do."
        inside = [each for each in names if each.startswith(f"{name}.")]
        if len(inside) == 1:
            return f"Did you mean {inside[0]}?"
        hint = did_you_mean(name, inside or names)
        return hint if len(hint) <= _LONGEST_HINT else f"{len(names)} other fields would do."


def _unusable(mapped: Field, *, counted: bool) -> str:
    """Why nothing can be done with the values; empty: something can."""
    if counted and not mapped.aggregatable:
        return "has no doc_values: it cannot be counted"
    return "" if mapped.searchable or counted else "is not indexed (index: false): nothing is found in it"
