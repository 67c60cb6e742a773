"""Files of judgements: TSV, CSV (exports of Quepid too), JSON lines, TREC qrels; plain or gzip."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from searchsvc.documents import clean
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.lines import text_lines
from searchsvc.evaluation.records import Columns, Layout, Record, csv_records, json_records, layout_of, tsv_records

Qrels = Mapping[str, Mapping[str, int]]
"""Grade by query id and doc_id; a grade above 0 is relevant (TREC)."""

_COLUMNS: Columns = {
    "query_id": ("queryid", "qid", "topic", "topicid"),
    "query": ("query", "querytext", "text"),
    "doc_id": ("docid", "documentid", "corpusid", "docno", "document", "doc"),
    "grade": ("grade", "rating", "score", "relevance", "rel"),
    "source": ("source",),
}
_UNNAMED = ("query_id", "doc_id", "grade", "source")
_GRADE = re.compile(r"([+-]?\d{1,9})(\.0*)?")
_MODEL = "llm"
"""How the source of a judgement by a model begins; any other is a person's."""

Key = tuple[str, str]
"""Query id and doc_id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Judgements whose query is not among the queries."""

    judgements: int
    queries: int
    first_line: int
    """Number (1-based) of the first of them."""
    first: str
    """Its query, as it is named there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QrelsFile:
    """What a file of judgements holds for some queries."""

    path: Path
    grades: Qrels
    """Of known queries only, in the order of the queries."""
    lines: Mapping[Key, int]
    """Number of the line that counts, by query id and doc_id."""
    repeated: int
    """Judgements of a query and document that have another one on another line: one of them counts."""
    ungraded: int
    """Records without a grade, as exports have them for documents that nobody judged: left out."""
    unknown: Unknown | None
    sources: Mapping[str, int]
    """How many of the grades that count are of each source; "" where none is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judgement:
    """One record."""

    query: str
    """Id or text, as the file names it."""
    doc_id: str
    grade: int
    source: str
    number: int

    @property
    def by_model(self) -> bool:
        return self.source.startswith(_MODEL)


def read_qrels(path: Path, queries: Mapping[str, str]) -> QrelsFile:
    """The judgements for `queries` (text by id).

    TSV is `query_id TAB doc_id TAB grade [TAB source]`, a header is not needed. CSV has a header with columns of these
    names or those of Quepid (query, docid, rating), JSON lines the same as keys. TREC qrels are `query_id 0 doc_id
    grade`. Where the text of the query stands in place of its id, all queries of that text are judged.
    Of several judgements of a query and document the last counts, but a person's before a model's (source `llm…`).

    Raises ConfigurationError with file, line and the next step: another encoding, a wrong number of columns, a grade
    that is no integer, a missing query or document.
    """
    by_text: dict[str, list[str]] = {}
    for query_id, text in queries.items():
        by_text.setdefault(text.strip(), []).append(query_id)
    counting: dict[Key, _Judgement] = {}
    judgements = ungraded = 0
    for number, record in _records(path):
        found = _judgement(path, number, record)
        if found is None:
            ungraded += 1
            continue
        for query_id in by_text.get(found.query, [found.query]) if "query_id" not in record else [found.query]:
            judgements += 1
            key = (query_id, found.doc_id)
            if key not in counting or not found.by_model or counting[key].by_model:
                counting[key] = found
    known = {key: each for key, each in counting.items() if key[0] in queries}
    return QrelsFile(
        path=path,
        grades=_grades(known, queries),
        lines={key: each.number for key, each in known.items()},
        repeated=judgements - len(counting),
        ungraded=ungraded,
        unknown=_unknown([each for key, each in counting.items() if key not in known]),
        sources=Counter(each.source for each in known.values()),
    )


def _records(path: Path) -> Iterator[Record]:
    layout, first = layout_of(path)
    columns = first.split()
    if layout is not Layout.CSV and len(columns) == 4 and _GRADE.fullmatch(columns[3]) is not None:
        return _trec(path)
    if layout is Layout.JSON_LINES:
        return json_records(path, _COLUMNS)
    if layout is Layout.CSV:
        return csv_records(path, _COLUMNS)
    if layout is Layout.TSV:
        return tsv_records(path, _COLUMNS, _UNNAMED[: max(3, min(4, first.count("\t") + 1))])
    raise ConfigurationError(
        f"{path} line 1: no known format of judgements.",
        hint="A line is query id, doc_id and grade, separated by tabs; or a TREC line: query id, 0, doc_id, grade.",
    )


def _trec(path: Path) -> Iterator[Record]:
    for number, text in text_lines(path):
        columns = text.split()
        if len(columns) != 4:
            raise ConfigurationError(
                f"{path} line {number}: {len(columns)} columns where 4 were expected.",
                hint="A TREC line is query id, 0, doc_id and grade, separated by white space.",
            )
        yield number, {"query_id": columns[0], "doc_id": columns[2], "grade": columns[3]}


def _judgement(path: Path, number: int, record: Mapping[str, str]) -> _Judgement | None:
    """None: there is no grade in it."""
    query = record.get("query_id") or record.get("query")
    for what, value in (("query (query_id, or query)", query), ("document (doc_id)", record.get("doc_id"))):
        if not value:
            raise ConfigurationError(
                f"{path} line {number}: a judgement without a {what}.",
                hint="Mend the line, or the names in the header.",
            )
    if "grade" not in record:
        raise ConfigurationError(
            f"{path} line {number}: a judgement without a grade.", hint="Its column or key is grade, rating or score."
        )
    if not record["grade"]:
        return None
    grade = _GRADE.fullmatch(record["grade"])
    if grade is None:
        raise ConfigurationError(
            f"{path} line {number}: the grade {record['grade']!r} is not an integer.",
            hint="Grades are whole numbers; above 0 is relevant.",
        )
    return _Judgement(
        query=clean(str(query)),
        doc_id=clean(record["doc_id"]),
        grade=int(grade[1]),
        source=record.get("source", ""),
        number=number,
    )


def _grades(known: Mapping[Key, _Judgement], queries: Mapping[str, str]) -> Qrels:
    grades: dict[str, dict[str, int]] = {query_id: {} for query_id in queries}
    for (query_id, doc_id), judgement in known.items():
        grades[query_id][doc_id] = judgement.grade
    return {query_id: found for query_id, found in grades.items() if found}


def _unknown(judgements: Sequence[_Judgement]) -> Unknown | None:
    if not judgements:
        return None
    first = min(judgements, key=lambda judgement: judgement.number)
    queries = {judgement.query for judgement in judgements}
    return Unknown(judgements=len(judgements), queries=len(queries), first_line=first.number, first=first.query)
