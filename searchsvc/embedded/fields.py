"""The tantivy index: its fields, and how a document becomes one of tantivy's and back.

The one place that knows what is in a field. BM25 is tantivy's own, k1 1.2 and b 0.75, over one field: the title's
terms, then the text's, as the other engine indexes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zlib import crc32

import tantivy

from searchsvc.documents import Document
from searchsvc.embedded.errors import index_errors
from searchsvc.embedded.filters import milliseconds
from searchsvc.model import Candidate
from searchsvc.text import Analyzer
from searchsvc.vocabulary.words import word_forms

KEYWORD_CHARACTERS = 8191
"""Longer values of lang, tags and url are stored but not indexed, as in the other engine."""
_COMMIT_FILE = "meta.json"
"""Lists the segments of the last commit."""


@dataclass(frozen=True, slots=True)
class OpenTantivy:
    """An index at one commit: later commits are not seen."""

    index: str
    """Its name, for errors."""
    schema: tantivy.Schema
    searcher: tantivy.Searcher
    commit: str
    """Differs between any two commits of the index."""


def create_tantivy(folder: Path, index: str) -> tantivy.Index:
    """The index in `folder`, made if there is none. Raises StageError; `index` is its name."""
    with index_errors("opened", index):
        return _registered(tantivy.Index(_schema(), path=str(folder)))


def open_tantivy(folder: Path, index: str) -> OpenTantivy:
    """The last commit of the index in `folder`. Raises StageError."""
    with index_errors("opened", index):
        while True:
            commit = _commit(folder)
            opened = _registered(tantivy.Index.open(str(folder)))
            opened.config_reader(reload_policy="manual")  # a snapshot; and no thread that watches the folder
            searcher = opened.searcher()
            if _commit(folder) == commit:
                return OpenTantivy(index, opened.schema, searcher, commit)


def as_tantivy(document: Document, analyzer: Analyzer) -> tantivy.Document:
    """What is indexed and stored of `document`."""
    made = tantivy.Document()
    made.add_text("doc_id", document.doc_id)
    words = [*analyzer.words(document.title), *analyzer.words(document.text)]
    made.add_text("tokens", " ".join(word.term for word in words))
    made.add_text("words", " ".join(sorted(f"{term}/{form}" for term, form in word_forms(words))))
    for name, values in (("lang", [document.lang or None]), ("url", [document.url or None]), ("tags", document.tags)):
        for value in values:
            if value is not None and len(value) <= KEYWORD_CHARACTERS:
                made.add_text(name, value)
    if document.updated_at is not None:
        made.add_integer("updated_at", milliseconds(datetime.fromisoformat(document.updated_at)))
    made.add_bytes("source", json.dumps(document.source(), ensure_ascii=False).encode())
    return made


def doc_id_of(stored: tantivy.Document) -> str:
    """The id of a stored document."""
    return str(stored["doc_id"][0])


def candidate_of(stored: tantivy.Document, score: float) -> Candidate:
    """A stored document as it was loaded."""
    return Candidate(doc_id=doc_id_of(stored), score=score, source=json.loads(stored["source"][0]))


def word_surfaces(opened: OpenTantivy) -> dict[str, str]:
    """Every term that may be a neighbour, and the word that it is most often made from. Raises StageError."""
    surfaces: dict[str, str] = {}
    with index_errors("read", opened.index):
        pairs = opened.searcher.terms_with_prefix("words", "")
    for pair, _ in pairs:  # most frequent first
        term, surface = pair.split("/")
        surfaces.setdefault(term, surface)
    return surfaces


def document_counts(opened: OpenTantivy) -> dict[str, int]:
    """In how many documents each term of the index is. Raises StageError."""
    with index_errors("read", opened.index):
        return dict(opened.searcher.terms_with_prefix("tokens", ""))


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("doc_id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("tokens", tokenizer_name="terms", index_option="freq")
    builder.add_text_field("words", tokenizer_name="terms", index_option="basic")
    for name in ("lang", "tags", "url"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("updated_at", indexed=True)
    builder.add_bytes_field("source", stored=True)
    return builder.build()


def _commit(folder: Path) -> str:
    """Tantivy replaces this file as a whole at every commit and merge."""
    return f"{crc32((folder / _COMMIT_FILE).read_bytes()):08x}"


def _registered(index: tantivy.Index) -> tantivy.Index:
    whitespace = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
    index.register_tokenizer("terms", whitespace)
    return index
