"""What a request may name on an index, and how an index that others made is to be read. Standard library only."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class FieldKind(StrEnum):
    """What the values of a field are."""

    KEYWORD = "keyword"
    DATE = "date"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"
    """Analysed: it may be asked for existence only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexField:
    """A field that a request may name."""

    name: str
    kind: FieldKind
    nested: str | None = None
    """The nested path that it lies in."""
    filter: bool = True
    facet: bool = False
    sort: bool = False
    """Single-valued, so that it may be sorted by and collapsed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSchema:
    """All of them, and which source fields come back."""

    fields: Mapping[str, IndexField]
    returned: tuple[str, ...] | None = None
    """None: whatever a document holds."""
    lost: frozenset[str] = frozenset()
    """Text fields of the table that cannot be searched."""
    problems: tuple[str, ...] = ()
    """What the table of the index names and its mapping does not have any more, as sentences."""


MANAGED = IndexSchema(
    fields={
        "doc_id": IndexField(name="doc_id", kind=FieldKind.KEYWORD, sort=True),
        "lang": IndexField(name="lang", kind=FieldKind.KEYWORD, facet=True, sort=True),
        "tags": IndexField(name="tags", kind=FieldKind.KEYWORD, facet=True),
        "url": IndexField(name="url", kind=FieldKind.KEYWORD, facet=True, sort=True),
        "updated_at": IndexField(name="updated_at", kind=FieldKind.DATE, facet=True, sort=True),
    }
)
"""Of the indices that this service makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextField:
    """A field that is searched."""

    name: str
    boost: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedIndex:
    """How to stand in front of an index that others made: the table `[indices.NAME]`."""

    name: str
    """What a request calls it."""
    target: str
    """What Elasticsearch calls it: an index, an alias, or a wildcard."""
    text_fields: tuple[TextField, ...]
    nested: tuple[str, ...] = ()
    """Nested paths."""
    doc_id: str = "_id"
    """`_id`, `_index/_id`, or a keyword field."""
    title: str | None = None
    snippet: str | None = None
    returned: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    facets: tuple[str, ...] = ()
    rerank_text: tuple[str, ...] = ()
    """Fields that a reranker reads, in this order."""
    rerank_characters: int = 2000
    base_query: str | None = None
    """JSON with `{{query}}` where the user's text goes."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, where searches run in the caller's name."""

    authorization: str = field(repr=False)
    """The `Authorization` header as it came: a secret."""

    @property
    def identity(self) -> str:
        """Tells callers apart without telling the secret: the user, the id of the API key, or a hash of the token.

        A hash of a password could be tried offline; tokens are random.
        """
        scheme, _, value = self.authorization.partition(" ")
        if scheme.lower() in ("basic", "apikey"):
            try:
                return f"{scheme.lower()} {base64.b64decode(value, validate=True).partition(b':')[0].decode()}"
            except ValueError:
                pass  # as any other token
        return hashlib.sha256(self.authorization.encode()).hexdigest()
