"""The demo collection: short support articles in Chinese and English, with judged queries in lay words.

It has the layout that `searchsvc evaluate` reads, so the folder is a collection of its own.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from searchsvc.documents import Document, parse_document

_FOLDER = files(__package__) / "collection"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedQuery:
    """A query and its judgements."""

    query_id: str
    text: str
    grades: dict[str, int]
    """Grade by doc_id: 3 solves exactly this problem in the query's language, 0 only looks as if it did."""

    @property
    def best(self) -> frozenset[str]:
        """The documents of the highest grade."""
        top = max(self.grades.values())
        return frozenset(doc_id for doc_id, grade in self.grades.items() if grade == top)


def demo_documents() -> Iterator[Document]:
    """The articles."""
    for line in (_FOLDER / "corpus.jsonl").read_text("utf-8").splitlines():
        yield parse_document(line)


def demo_queries() -> list[JudgedQuery]:
    """The queries that have a relevant document, in the order of the file."""
    grades: dict[str, dict[str, int]] = {}
    rows = csv.reader((_FOLDER / "qrels.tsv").read_text("utf-8").splitlines(), delimiter="\t")
    next(rows)
    for query_id, doc_id, grade in rows:
        grades.setdefault(query_id, {})[doc_id] = int(grade)
    queries = [json.loads(line) for line in (_FOLDER / "queries.jsonl").read_text("utf-8").splitlines()]
    return [
        JudgedQuery(query_id=query["id"], text=query["text"], grades=grades[query["id"]])
        for query in queries
        if max(grades.get(query["id"], {"": 0}).values()) > 0
    ]
