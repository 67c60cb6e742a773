"""Recorded expansions: one JSON object a line, `{id, text, method, model, …}`, several runs in a file.

A run is a method and a model, `METHOD/MODEL`; where a line names the prompt that was used, the prompt belongs to it:
`METHOD:PROMPT/MODEL`. Names of models hold slashes of their own: a run is always named as a whole.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from searchsvc.documents import clean, open_bytes
from searchsvc.errors import ConfigurationError
from searchsvc.model import RecordedRun
from searchsvc.suggest import did_you_mean

_FILES = 8
"""That are kept in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a chat model once said to a query."""

    query_id: str
    text: str
    method: str
    model: str = ""
    """As it answered."""
    prompt: str = ""
    """Id of the prompt."""
    query: str = ""
    """The text of the query; empty: not recorded."""
    asked: str = ""
    """The model that was asked, where it answers by another name."""
    terms: tuple[str, ...] = ()
    """As the model wrote them, where the prompt asks for terms."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    took_ms: float = 0.0
    date: str = ""
    """ISO 8601, of the answer."""

    @property
    def run(self) -> str:
        """The run that it belongs to, prompt included."""
        return f"{self.method}:{self.prompt}{self._model}" if self.prompt else self.short_run

    @property
    def short_run(self) -> str:
        """The same without the prompt."""
        return f"{self.method}{self._model}"

    @property
    def _model(self) -> str:
        return f"/{self.model}" if self.model else ""

    def as_json(self) -> dict[str, Any]:
        """The line of the file, without what is not known."""
        known = {
            "id": self.query_id,
            "query": self.query,
            "text": self.text,
            "terms": list(self.terms),
            "method": self.method,
            "model": self.model,
            "asked": self.asked,
            "prompt": self.prompt,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "took_ms": self.took_ms or None,
            "date": self.date,
        }
        return {key: value for key, value in known.items() if value not in (None, "", [])}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The records of one run."""

    name: str
    short_name: str
    by_id: dict[str, Record] = field(default_factory=dict)
    by_text: dict[str, Record] = field(default_factory=dict)

    def find(self, query_id: str, user_query: str) -> Record | None:
        """The record of a query: by its id, unless that was recorded with another text; else by its text."""
        record = self.by_id.get(query_id)
        if record is not None and (not record.query or text_key(record.query) == text_key(user_query)):
            return record
        return self.by_text.get(text_key(user_query))

    def add(self, record: Record) -> None:
        """The last line of a query counts."""
        self.by_id[record.query_id] = record
        if record.query:
            self.by_text[text_key(record.query)] = record


def text_key(text: str) -> str:
    """The same for texts that differ in blanks and in upper and lower case only."""
    return " ".join(clean(text).casefold().split())


def find_run(recorded: RecordedRun) -> Run:
    """The run that is meant; read once, and again when the file has changed.

    Raises ConfigurationError: the file cannot be read, a line is none (file and line named), there is no such run, or
    there are several and none is named.
    """
    path = Path(recorded.file)
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigurationError(
            f"The file of recorded expansions {path} cannot be read: {error.strerror}.",
            hint="Name a file of JSON lines, {id, text, method, model}, plain or gzip.",
        ) from None
    runs = _runs(path, found.st_mtime_ns, found.st_size)
    if recorded.run is None or not runs:
        return _only(path, runs)
    named = [run for name, run in runs.items() if recorded.run in (name, run.short_name)]
    if not named:
        nearest = did_you_mean(recorded.run, runs)
        hint = nearest if nearest == _all(runs) else f"{nearest} {_all(runs)}"
        raise ConfigurationError(f"{path} has no run {recorded.run!r}.", hint=hint)
    exact = runs.get(recorded.run)
    if exact is None and len(named) > 1:
        names = ", ".join(run.name for run in named)
        raise ConfigurationError(
            f"{path}: the run {recorded.run!r} was recorded with several prompts.", hint=f"Name one of: {names}."
        )
    return exact or named[0]


def read_records(path: Path) -> Iterator[Record]:
    """Every record of the file, plain or gzip. Raises ConfigurationError with file and line."""
    number = 0
    try:
        with open_bytes(path) as lines:
            for number, line in enumerate(lines, 1):  # noqa: B007 - the errors below name it
                if line.strip():
                    yield parse_record(line)
    except _BadRecord as error:
        cut = isinstance(error, _NotJson) and not line.endswith(b"\n")
        hint = "The line is not whole: recording to the same file once more mends it." if cut else ""
        raise ConfigurationError(f"{path} line {number}: {error}.", hint=hint) from None
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error


def parse_record(line: bytes) -> Record:
    """The record of one JSON line. Raises ValueError with what is wrong."""
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _NotJson(f"not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise _BadRecord(f"a {type(raw).__name__} where an object was expected")
    query_id = raw.get("id")
    if isinstance(query_id, int) and not isinstance(query_id, bool):
        query_id = str(query_id)
    if not isinstance(query_id, str) or not query_id.strip():
        raise _BadRecord("'id' is missing or not a non-empty string")
    text, method = _string(raw, "text"), _string(raw, "method")
    if raw.get("text") is None or not method:  # an empty text is a model that said nothing
        raise _BadRecord(f"{'method' if raw.get('text') is not None else 'text'!r} is missing")
    return Record(
        query_id=clean(query_id),
        text=text,
        method=method,
        model=_string(raw, "model"),
        prompt=_string(raw, "prompt"),
        query=_string(raw, "query"),
        asked=_string(raw, "asked"),
        terms=_terms(raw),
        input_tokens=_count(raw, "input_tokens"),
        output_tokens=_count(raw, "output_tokens"),
        took_ms=float(_count(raw, "took_ms", float) or 0),
        date=_string(raw, "date"),
    )


class _BadRecord(ValueError):
    """A line that is no record."""


class _NotJson(_BadRecord):
    """Nor anything else: perhaps it was cut."""


@lru_cache(maxsize=_FILES)
def _runs(path: Path, _changed_ns: int, _bytes: int) -> Mapping[str, Run]:
    runs: dict[str, Run] = {}
    for record in read_records(path):
        run = runs.get(record.run)
        if run is None:
            run = runs[record.run] = Run(name=record.run, short_name=record.short_run)
        run.add(record)
    return runs


def _only(path: Path, runs: Mapping[str, Run]) -> Run:
    if not runs:
        raise ConfigurationError(f"{path} holds no recorded expansion.")
    if len(runs) > 1:
        raise ConfigurationError(
            f"{path} holds {len(runs)} runs, and none is named.",
            hint=f"expansion.run=METHOD/MODEL names one. {_all(runs)}",
        )
    return next(iter(runs.values()))


def _all(runs: Mapping[str, Run]) -> str:
    return f"There are: {', '.join(sorted(runs))}." if runs else ""


def _string(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _BadRecord(f"{key!r} is a {type(value).__name__} where a string was expected")
    return clean(value).strip()


def _terms(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Of a file of others `terms` may be anything."""
    value = raw.get("terms")
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(clean(each) for each in value)
    return ()


def _count(raw: Mapping[str, Any], key: str, kind: type[float] = int) -> Any:
    value = raw.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, kind)) or value < 0:
        raise _BadRecord(f"{key!r} is {value!r}: a number was expected")
    return value
