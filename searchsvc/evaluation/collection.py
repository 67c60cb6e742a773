"""A collection folder: `corpus.jsonl`, `queries.jsonl`, `qrels.tsv`, each plain or `.gz`."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from searchsvc.documents import BadLine, Document, open_bytes, read_documents
from searchsvc.errors import ConfigurationError, InvalidDocuments
from searchsvc.evaluation.qrels import Qrels, read_qrels
from searchsvc.evaluation.queries import read_queries

_BLOCK = 1 << 20
_LOADS = "words compared"
"""What a load leaves: raised by every change that an index of before would lack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What the documents of a collection are."""

    documents: int
    lacking: int
    """Judgements of a document that is not among them: no ranking can find it."""
    lacking_relevant: int
    """Those of them with a grade above 0, for which every ranking loses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Judged queries over a corpus."""

    folder: Path
    corpus: Path
    digest: str
    """SHA-256 of the decompressed corpus, hexadecimal."""
    queries: Mapping[str, str]
    """Text by query id, in the order of the file: those that have a judgement."""
    qrels: Qrels
    """Of those queries only."""
    unjudged: int
    """Queries of the file that no judgement names: left out."""
    orphaned: int
    """Queries that judgements name and the file does not hold: left out."""
    repeated: int
    """Judgements of a query and document that were judged on an earlier line: the last grade counts."""

    def documents(self) -> Iterator[Document]:
        """The corpus, one document at a time. Raises ConfigurationError naming the line."""
        try:
            for document in read_documents(self.corpus):
                if isinstance(document, BadLine):
                    raise ConfigurationError(f"{self.corpus} line {document.number}: {document.problem}.")
                yield document
        except InvalidDocuments as error:
            raise ConfigurationError(error.message) from error

    def check(self, documents: Iterable[Document]) -> Corpus:
        """`documents`, all of the corpus, against the judgements."""
        absent = {doc_id for grades in self.qrels.values() for doc_id in grades}
        count = 0
        for document in documents:
            count += 1
            absent.discard(document.doc_id)
        lacking = [grade for grades in self.qrels.values() for doc_id, grade in grades.items() if doc_id in absent]
        return Corpus(documents=count, lacking=len(lacking), lacking_relevant=sum(grade > 0 for grade in lacking))

    def index_name(self, analysis: str) -> str:
        """The published name of this corpus as analysed by `analysis` (the analyser's fingerprint)."""
        return "eval-" + hashlib.sha256(f"{self.digest} {analysis} {_LOADS}".encode()).hexdigest()[:16]


def read_collection(folder: Path) -> Collection:
    """The collection in `folder`; the corpus is only hashed. Raises ConfigurationError with file and line."""
    if not folder.is_dir():
        raise ConfigurationError(
            f"{folder} is not a folder.", hint="It should hold corpus.jsonl, queries.jsonl and qrels.tsv."
        )
    corpus, queries_file, qrels_file = (_file(folder, name) for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv"))
    queries = read_queries(queries_file)
    judgements = read_qrels(qrels_file, queries)
    judged = {query_id: text for query_id, text in queries.items() if query_id in judgements.grades}
    if not judged:
        raise ConfigurationError(f"{qrels_file} judges none of the {len(queries)} queries of {queries_file}.")
    return Collection(
        folder=folder,
        corpus=corpus,
        digest=_digest(corpus),
        queries=judged,
        qrels=judgements.grades,
        unjudged=len(queries) - len(judged),
        orphaned=0 if judgements.unknown is None else judgements.unknown.queries,
        repeated=judgements.repeated,
    )


def _file(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise ConfigurationError(f"{folder} has no {name} and no {name}.gz.")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with open_bytes(path) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error
    return digest.hexdigest()
