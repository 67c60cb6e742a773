"""Keeps what a chat model says to queries in a file of recorded expansions, so that nothing is asked twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import orjson

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.runner import Search
from searchsvc.expansion.llm import METHOD
from searchsvc.expansion.runs import Record, parse_record, read_records, text_key
from searchsvc.model import SearchRequest
from searchsvc.result import Expansion, ModelCall, SearchResult

ASKING = METHOD
"""The method that asks a chat model: what any other proposes costs nothing to find again."""
_GZIP = b"\x1f\x8b"
_BEGINNING = b'{"id":'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """What was asked, of whom."""

    query_id: str
    prompt: str
    model: str


class Recording:
    """A file of recorded expansions, open to be added to; used as a context manager."""

    def __init__(self, path: Path) -> None:
        """Reads what is there, and mends a last line that was cut.

        Raises ConfigurationError if the file cannot be read or written, is compressed, or has a line that is no record.
        """
        self.path = path
        self.added = 0
        self._queries: dict[_Key, str] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _mend(path)
            for record in read_records(path):
                self._know(record)
            self._file: IO[bytes] = path.open("ab")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def has(self, query_id: str, user_query: str, *, prompt: str, model: str) -> bool:
        """Whether this text of the query has been asked of the model with that prompt."""
        known = self._queries.get(_Key(query_id=query_id, prompt=prompt, model=model))
        return known is not None and known in ("", text_key(user_query))

    def add(self, record: Record) -> None:
        """Written at once, unless it is there. Raises ConfigurationError if it cannot be written."""
        if self.has(record.query_id, record.query, prompt=record.prompt, model=record.model):
            return
        try:
            self._file.write(orjson.dumps(record.as_json(), option=orjson.OPT_APPEND_NEWLINE))
            self._file.flush()
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror}.") from error
        self._know(record)
        self.added += 1

    def heard(self, search: Search, *, asked: str | None = None) -> Search:
        """`search`; what a chat model said in it is recorded. `asked`: the name that the model is asked by."""

        async def hearing(request: SearchRequest) -> SearchResult:
            result = await search(request)
            for record in records_of(result, asked=asked):
                self.add(record)
            return result

        return hearing

    def _know(self, record: Record) -> None:
        if record.method != ASKING:
            return
        for model in {record.model, record.asked or record.model}:
            key = _Key(query_id=record.query_id, prompt=record.prompt, model=model)
            self._queries[key] = text_key(record.query)


def records_of(result: SearchResult, *, asked: str | None = None) -> Iterator[Record]:
    """What a chat model said in a search; nothing where it failed, was late or was not asked."""
    for expansion in result.expansion.expansions:
        if expansion.method == ASKING and expansion.text:
            yield _record(result, expansion, asked)


def _record(result: SearchResult, expansion: Expansion, asked: str | None) -> Record:
    known = str(expansion.detail.get("model", ""))  # of an answer that was cached there is no call
    call = next(iter(expansion.calls), ModelCall(model=known))
    return Record(
        query_id=result.query_id,
        query=result.user_query,
        text=expansion.text,
        terms=expansion.said_terms,
        method=ASKING,
        model=call.model,
        asked=asked if asked is not None and asked != call.model else "",
        prompt=expansion.prompt_id,
        input_tokens=call.input_tokens,
        output_tokens=call.output_tokens,
        took_ms=round(call.took_ms, 1),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _mend(path: Path) -> None:
    """Ends the last line, or takes it away if it is no whole record. Raises ConfigurationError, OSError."""
    with path.open("a+b") as file:
        file.seek(0)
        if file.read(2) == _GZIP:
            raise ConfigurationError(
                f"{path} is compressed; recorded expansions are added to a plain file.", hint=f"gzip -d {path}"
            )
        file.seek(0)
        last, begins = b"", 0
        for line in file:
            last, begins = line, file.tell() - len(line)
        if not last.strip() or last.endswith(b"\n"):
            return
        if _is_cut(last):
            file.truncate(begins)
        elif _is_record(last):
            file.write(b"\n")


def _is_cut(line: bytes) -> bool:
    """Whether it begins as our lines do and does not end: nothing else is taken away, whoever's file it is."""
    try:
        json.loads(line)
    except ValueError:
        return line.startswith(_BEGINNING[: len(line)])
    return False


def _is_record(line: bytes) -> bool:
    try:
        parse_record(line)
    except ValueError:
        return False
    return True
