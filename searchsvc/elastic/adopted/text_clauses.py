"""The clauses that search text fields through their own analysers: a whole text, and one word as a phrase.

A `match` on one Chinese word hits other words' characters where the analyser makes single characters of it; a phrase
does not. A field inside a nested path is found by `nested` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from searchsvc.elastic.adopted.base_query import Clause
from searchsvc.schema import AdoptedIndex, IndexSchema, TextField

TIE_BREAKER = 0.3
"""How much the fields beside the best one count, as in a `multi_match` of type `best_fields` that is tuned so."""


@dataclass(frozen=True, slots=True)
class TextClauses:
    """Of the text fields of one index that can be searched now; there may be none."""

    fields: tuple[TextField, ...]
    nested: tuple[str, ...]

    @classmethod
    def of(cls, index: AdoptedIndex, schema: IndexSchema) -> TextClauses:
        """Those of the table that the index still has."""
        return cls(tuple(field for field in index.text_fields if field.name not in schema.lost), index.nested)

    def match(self, text: str) -> Clause:
        """The best field counts, and the others a little."""
        clauses = [self._read("match", field, text) for field in self.fields]
        return clauses[0] if len(clauses) == 1 else {"dis_max": {"queries": clauses, "tie_breaker": TIE_BREAKER}}

    def phrase(self, word: str, *, boost: float = 1.0, name: str | None = None) -> Clause:
        """The same of a word, which must stand there as it is written. There must be a field."""
        clauses = [self._read("match_phrase", field, word) for field in self.fields]
        best: dict[str, Any] = {"queries": clauses, "tie_breaker": TIE_BREAKER, "boost": boost}
        return {"dis_max": best if name is None else {**best, "_name": name}}

    def _read(self, how: str, field: TextField, text: str) -> Clause:
        clause = {how: {field.name: {"query": text, "boost": field.boost}}}
        path = innermost(field.name, self.nested)
        return clause if path is None else inside(path, clause, score_mode="max")


def innermost(name: str, nested: Sequence[str]) -> str | None:
    """The innermost of the nested paths that a field lies in; None: it lies in none."""
    return max((path for path in nested if name.startswith(f"{path}.")), key=len, default=None)


def inside(path: str, query: Clause, **how: str) -> Clause:
    """`query` about one of the objects at a nested path, in those indices of several that have it."""
    return {"nested": {"path": path, "query": query, "ignore_unmapped": True, **how}}
