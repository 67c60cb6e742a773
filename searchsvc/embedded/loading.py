"""One load: documents in, tokens and vectors stored, one commit, the vocabulary, and only then the index is complete.

Killed before the commit a load leaves the index as it was, but keeps the vectors, which are most of the work; killed
after it, the rerun replaces each document by itself. Either way nothing is lost and nothing is there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice

from searchsvc.documents import Document
from searchsvc.embedded.errors import folder_errors, index_errors, other_analyser
from searchsvc.embedded.fields import as_tantivy, create_tantivy, open_tantivy
from searchsvc.embedded.store import DataFolder, Meta
from searchsvc.embedded.vectors import VectorWriter
from searchsvc.embedded.vocabulary import build_vocabulary, write_vocabulary
from searchsvc.model import Candidate
from searchsvc.text import Analyzer
from searchsvc.vocabulary.encoder import ENCODER

_BATCH = 64
"""Documents between two reports: a quarter of a second."""
_HEAP_BYTES = 128_000_000
"""What tantivy gathers before it writes a segment: about a million short passages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Whom to tell how far a load is; what they raise ends it."""

    documents: Callable[[int], None]
    """The number of documents done so far."""
    words: Callable[[int, int], None]
    """The number of words done so far, and that of all: after the documents."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of the documents."""

    documents: int
    duplicates: int


def load_documents(
    folder: DataFolder,
    physical: str,
    documents: Iterable[Document],
    *,
    analyzer: Analyzer,
    reports: Reports,
) -> Loaded:
    """Adds or replaces documents; to be called while `folder.writing()` is held.

    Raises StageError, ConfigurationError.
    """
    meta = folder.meta(physical)
    if meta.fingerprint != analyzer.fingerprint:
        raise other_analyser(physical, meta.fingerprint, analyzer.fingerprint)
    folder.write_meta(physical, replace(meta, complete=False))
    with VectorWriter(folder.vectors, ENCODER) as vectors:
        loaded = _Load(folder, physical, analyzer, vectors).run(documents, reports.documents)
        opened = open_tantivy(folder.tantivy(physical), physical)
        vocabulary = build_vocabulary(opened, vectors, folder.vectors, reports.words)
    write_vocabulary(vocabulary, folder.folder(physical))
    folder.write_meta(
        physical,
        Meta(
            fingerprint=analyzer.fingerprint,
            documents=opened.searcher.num_docs,
            complete=True,
        ),
    )
    return loaded


class _Load:
    def __init__(self, folder: DataFolder, physical: str, analyzer: Analyzer, vectors: VectorWriter) -> None:
        self._physical = physical
        self._analyzer = analyzer
        self._vectors = vectors
        path = folder.tantivy(physical)
        with folder_errors("written", path):
            path.mkdir(exist_ok=True)
        self._index = create_tantivy(path, physical)

    def run(self, documents: Iterable[Document], report: Callable[[int], None]) -> Loaded:
        """All documents, in one commit: a search sees all of them or none."""
        remaining = iter(documents)
        seen: set[str] = set()
        lines = 0
        with index_errors("written", self._physical):
            writer = self._index.writer(heap_size=_HEAP_BYTES, num_threads=1)
        try:
            with index_errors("written", self._physical):
                writer.garbage_collect_files()  # a commit that was killed may have left a file that this one will make
            while batch := list(islice(remaining, _BATCH)):
                with index_errors("written", self._physical):
                    for document in batch:
                        writer.delete_documents_by_term("doc_id", document.doc_id)
                        writer.add_document(as_tantivy(document, self._analyzer))
                self._vectors.add([_passage(document) for document in batch])
                seen.update(document.doc_id for document in batch)
                lines += len(batch)
                report(lines)
            with index_errors("written", self._physical):
                writer.commit()
        finally:
            with index_errors("written", self._physical):
                writer.wait_merging_threads()  # and gives the lock back
        return Loaded(documents=len(seen), duplicates=lines - len(seen))


def _passage(document: Document) -> str:
    """What the reranker will read of the document."""
    return Candidate(doc_id=document.doc_id, score=0.0, source=document.source()).passage
