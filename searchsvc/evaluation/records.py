"""Files of records in the formats that people keep queries and judgements in: TSV, CSV, JSON lines.

Columns and keys have many spellings; a caller names those it knows, and gets records under its own names.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.lines import json_lines, raw_lines, text_lines

Columns = Mapping[str, Sequence[str]]
"""Spellings by our name of a column, without case, spaces and marks: `Doc ID`, `doc-id` and `docid` are `docid`."""
Record = tuple[int, Mapping[str, str]]
"""Number (1-based) of its line, and what stands there by our name of the column, without white space around it."""

_MARKS = re.compile(r"[\W_]+")
_TOPIC = re.compile(r"\s*<top>", re.IGNORECASE)


class Layout(Enum):
    """How the records of a file are written."""

    JSON_LINES = "JSON lines"
    CSV = "CSV"
    TSV = "TSV"
    TOPICS = "TREC topics"
    OTHER = "other"


def layout_of(path: Path) -> tuple[Layout, str]:
    """The layout by the first line and the end of the name, and that line. Raises ConfigurationError."""
    _, first = next(text_lines(path), (0, ""))
    if not first:
        raise ConfigurationError(f"{path} is empty.")
    ending = Path(path.name.removesuffix(".gz")).suffix.lower()
    if first.lstrip().startswith('{"') or ending in (".jsonl", ".ndjson"):
        return Layout.JSON_LINES, first
    if _TOPIC.match(first):
        return Layout.TOPICS, first
    if ending == ".csv":
        return Layout.CSV, first
    return (Layout.TSV if "\t" in first or ending == ".tsv" else Layout.OTHER), first


def json_records(path: Path, columns: Columns) -> Iterator[Record]:
    """One object a line; of its keys those that are known. Raises ConfigurationError naming the line."""
    for number, value in json_lines(path):
        record: dict[str, str] = {}
        for key, cell in value.items():
            name = _name(key, columns)
            if name is None or cell is None:
                continue
            if isinstance(cell, bool) or not isinstance(cell, str | int | float):
                raise ConfigurationError(
                    f"{path} line {number}: {key!r} is a {type(cell).__name__} where text or a number was expected."
                )
            record.setdefault(name, str(cell).strip())
        yield number, record


def csv_records(path: Path, columns: Columns) -> Iterator[Record]:
    """Comma-separated, quoted as RFC 4180 has it, with a header. Raises ConfigurationError naming the line."""
    rows = csv.reader((line for _, line in raw_lines(path)), strict=True)
    header: list[str] = []
    number = 1
    try:
        for row in rows:
            started, number = number, rows.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if not header:
                header = row
                continue
            yield started, _record(row, header, columns, path=path, number=started)
    except csv.Error as error:
        raise ConfigurationError(
            f"{path} line {number}: not CSV: {error}.", hint="A value with a comma or a quote in it is quoted."
        ) from None


def tsv_records(path: Path, columns: Columns, unnamed: Sequence[str]) -> Iterator[Record]:
    """Tab-separated; the first line is a header if its first column has a known name.

    Without a header, or with one of as many columns that does not name all of them, they are `unnamed`, in that order.
    Raises ConfigurationError naming the line.
    """
    header: Sequence[str] = ()
    for number, text in text_lines(path):
        row = text.split("\t")
        if not header:
            named = {_name(cell, columns) for cell in row} - {None}
            headed = _name(row[0], columns) is not None
            header = row if headed and not (len(row) == len(unnamed) and named < set(unnamed)) else unnamed
            if headed:
                continue
        yield number, _record(row, header, columns, path=path, number=number)


def _record(row: Sequence[str], header: Sequence[str], columns: Columns, *, path: Path, number: int) -> dict[str, str]:
    if len(row) != len(header):
        raise ConfigurationError(
            f"{path} line {number}: {len(row)} columns where {len(header)} were expected.",
            hint=f"A line is {', '.join(header)}.",
        )
    record: dict[str, str] = {}
    for title, cell in zip(header, row, strict=True):
        name = _name(title, columns)
        if name is not None:
            record.setdefault(name, cell.strip())
    return record


def _name(title: str, columns: Columns) -> str | None:
    """Our name of a column; None: it is not known."""
    spelling = _MARKS.sub("", title).lower()
    return next((name for name, spellings in columns.items() if spelling in spellings), None)
