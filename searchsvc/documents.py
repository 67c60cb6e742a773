"""What a document is: one JSON object a line, `{id, title?, text, lang?, tags?, url?, updated_at?}`, other keys kept.

The one place that reads that shape; every engine stores what comes out of here.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast

from searchsvc.errors import InvalidDocuments

MAX_ID_BYTES = 512
"""Elasticsearch's limit for an _id; the embedded engine keeps it so that a corpus loads in both."""

MAX_DEPTH = 100
"""How deep the values of a document may be nested: more than that no JSON writer and no index takes."""

_BITS = 63

_KNOWN = frozenset({"id", "title", "text", "lang", "tags", "url", "updated_at"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document, checked."""

    doc_id: str
    text: str
    title: str = ""
    lang: str | None = None
    tags: tuple[str, ...] = ()
    url: str | None = None
    updated_at: str | None = None
    """ISO 8601."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """All other keys of the line: kept, not indexed."""

    def source(self) -> dict[str, Any]:
        """The document as it was loaded, without its id."""
        known = {"title": self.title, "text": self.text, "lang": self.lang, "tags": list(self.tags), "url": self.url}
        known["updated_at"] = self.updated_at
        return {**self.extra, **{key: value for key, value in known.items() if value not in (None, "", [])}}


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that is no document."""

    number: int
    """1-based."""
    problem: str


def clean(text: str) -> str:
    """`text` without NUL and lone surrogates, which neither engine nor model server stores or reads faithfully."""
    if text.isascii():
        return text.replace("\0", "")
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "ignore")


def parse_document(line: str | bytes) -> Document:
    """The document of one JSON line.

    Raises InvalidDocuments with the key that is wrong.
    """
    try:
        raw = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidDocuments(f"not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise InvalidDocuments(f"a {type(raw).__name__} where an object was expected")
    raw = cast("dict[str, Any]", _clean_value(raw, MAX_DEPTH))
    doc_id = raw.get("id")
    if isinstance(doc_id, int) and not isinstance(doc_id, bool):
        doc_id = str(doc_id)
    if not isinstance(doc_id, str) or not doc_id:
        raise InvalidDocuments("'id' is missing or not a non-empty string")
    if len(doc_id.encode()) > MAX_ID_BYTES:
        raise InvalidDocuments(f"'id' is longer than {MAX_ID_BYTES} bytes")
    return Document(
        doc_id=doc_id,
        title=_text(raw, "title") or "",
        text=_required_text(raw),
        lang=_text(raw, "lang"),
        tags=_tags(raw),
        url=_text(raw, "url"),
        updated_at=_timestamp(raw),
        extra={key: value for key, value in raw.items() if key not in _KNOWN},
    )


def read_documents(path: Path) -> Iterator[Document | BadLine]:
    """The documents of a JSONL file, plain or gzip, one at a time.

    A line that is no document comes as BadLine, an empty line not at all.
    Raises InvalidDocuments if the file cannot be read, or ends in the middle of a gzip stream.
    """
    try:
        with open_bytes(path) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    yield parse_document(line)
                except InvalidDocuments as error:
                    yield BadLine(number=number, problem=error.message)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidDocuments(f"cannot read {path}: {error}.") from error


def open_bytes(path: Path) -> IO[bytes]:
    """The decompressed bytes of `path`; its first bytes tell whether it is gzip. Raises OSError."""
    with path.open("rb") as probe:
        zipped = probe.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path, "rb")) if zipped else path.open("rb")


def _clean_value(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise InvalidDocuments(f"an integer of more than {_BITS + 1} bits, which JSON readers round")
    if not isinstance(value, list | dict):
        return value
    if depth == 0:
        raise InvalidDocuments(f"values nested more than {MAX_DEPTH} deep")
    if isinstance(value, list):
        return [_clean_value(item, depth - 1) for item in value]
    return {clean(key): _clean_value(item, depth - 1) for key, item in value.items()}


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    if value is None or isinstance(value, str):
        return value
    raise InvalidDocuments(f"'{key}' is a {type(value).__name__} where a string was expected")


def _required_text(raw: Mapping[str, Any]) -> str:
    text = _text(raw, "text")
    if text is None:
        raise InvalidDocuments("'text' is missing")
    return text


def is_id(value: str) -> bool:
    """Whether a document can have this id: cursors, which clients can change, hold ids."""
    return clean(value) == value and 0 < len(value.encode()) <= MAX_ID_BYTES


def _tags(raw: Mapping[str, Any]) -> tuple[str, ...]:
    tags = raw.get("tags") or ()
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
        raise InvalidDocuments("'tags' is not a list of strings")
    return tuple(tags)


def _timestamp(raw: Mapping[str, Any]) -> str | None:
    value = _text(raw, "updated_at")
    if not value:
        return None
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise InvalidDocuments(f"'updated_at' is no ISO 8601 time: {value!r}") from None
    return value
