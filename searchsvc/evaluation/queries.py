"""Files of queries: TSV, CSV (exports of Quepid too), JSON lines, plain text, TREC topics; plain or gzip."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from searchsvc.documents import clean
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.lines import raw_lines, text_lines
from searchsvc.evaluation.records import Columns, Layout, Record, csv_records, json_records, layout_of, tsv_records

_COLUMNS: Columns = {
    "query_id": ("id", "queryid", "qid"),
    "text": ("text", "query", "querytext", "userquery"),
}
_TOP = re.compile(r"<top>(.*?)(?=</top>|<top>|\Z)", re.IGNORECASE | re.DOTALL)
_NUM = re.compile(r"<num>\s*(?:Number:)?\s*([^<\s]+)", re.IGNORECASE)
_TITLE = re.compile(r"<title>\s*(?:Topic:)?\s*([^<]+)", re.IGNORECASE)


def read_queries(path: Path) -> Mapping[str, str]:
    """Text by id, in the order of the file.

    TSV is `id TAB text`, or has a header as CSV does: with a column for the text (text, query, query_text, user_query),
    and one for the id (id, query_id, qid). Where that is missing, the number of the line is the id, and a text that
    comes again is the same query. JSON lines have the same names as keys. In plain text (.txt) a line is a query and
    its number the id. Of a TREC topic num and title are read.

    Raises ConfigurationError with file, line and the next step: another encoding, an id that comes twice, a missing or
    empty id or text, a wrong number of columns, no query at all.
    """
    layout, _ = layout_of(path)
    queries: dict[str, str] = {}
    texts = set()
    for number, record in _records(path, layout):
        text = clean(record.get("text", "")).strip()
        if not text:
            raise ConfigurationError(
                f"{path} line {number}: a query without text.",
                hint="Give it a text (column text or query) or remove it.",
            )
        query_id = _id(path, number, record, by_line=layout in (Layout.CSV, Layout.TSV))
        if query_id in queries:
            raise ConfigurationError(
                f"{path} line {number}: the query id {query_id!r} came before.", hint="Give one of the two another id."
            )
        if "query_id" in record or text not in texts:
            queries[query_id] = text
        texts.add(text)
    if not queries:
        raise ConfigurationError(f"{path} holds no query.")
    return queries


def _records(path: Path, layout: Layout) -> Iterator[Record]:
    if layout is Layout.JSON_LINES:
        return json_records(path, _COLUMNS)
    if layout is Layout.CSV:
        return csv_records(path, _COLUMNS)
    if layout is Layout.TSV:
        return tsv_records(path, _COLUMNS, ("query_id", "text"))
    if layout is Layout.TOPICS:
        return _topics(path)
    if Path(path.name.removesuffix(".gz")).suffix.lower() == ".txt":
        return _plain(path)
    raise ConfigurationError(
        f"{path} line 1: no known format of queries.",
        hint="Name the file .txt (a query a line), .tsv (id, tab, text), .csv (with a header) or .jsonl.",
    )


def _plain(path: Path) -> Iterator[Record]:
    for number, text in text_lines(path):
        yield number, {"query_id": str(number), "text": text}


def _topics(path: Path) -> Iterator[Record]:
    text = "".join(line for _, line in raw_lines(path))
    for topic in _TOP.finditer(text):
        number = text.count("\n", 0, topic.start()) + 1
        found = {"query_id": _NUM.search(topic[1]), "text": _TITLE.search(topic[1])}
        yield number, {name: " ".join(match[1].split()) for name, match in found.items() if match is not None}


def _id(path: Path, number: int, record: Mapping[str, str], *, by_line: bool) -> str:
    query_id = str(number) if by_line and "query_id" not in record else record.get("query_id", "")
    if not query_id:
        raise ConfigurationError(
            f"{path} line {number}: a query without an id.", hint="Give it an id (column id or query_id)."
        )
    return clean(query_id)
