"""The file that judgements are written to: tab-separated, with a header, one line a judgement, by whom and when.

A judgement is in the file as soon as it is made. People and models may judge the same pair, each on a line of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.judging import GRADES
from searchsvc.evaluation.lines import text_lines
from searchsvc.evaluation.qrels import Key

HUMAN = "human"
"""The source of what people judge."""
_HEADER = ("query_id", "doc_id", "grade", "source", "judged_at")


@dataclass(frozen=True, slots=True)
class Judgement:
    """One line of the file; its columns in their order."""

    query_id: str
    doc_id: str
    grade: int
    source: str
    """`human`, or `llm:MODEL rubric ID`."""
    judged_at: str
    """ISO 8601, UTC."""

    @property
    def key(self) -> Key:
        """Query id and doc_id."""
        return self.query_id, self.doc_id


class JudgementFile:
    """One file of judgements; one process at a time may write to it."""

    def __init__(self, path: Path) -> None:
        """Makes the file if there is none. Raises ConfigurationError if it cannot be written, or is another file."""
        self.path = path
        with self._told():
            if not path.exists() or not path.stat().st_size:
                self._add("\t".join(_HEADER))
            self.read()
            self._end_last_line()

    def read(self) -> tuple[Judgement, ...]:
        """All judgements, in the order of the file. Raises ConfigurationError naming the line."""
        lines = text_lines(self.path)
        _, header = next(lines, (1, ""))
        if tuple(header.split("\t")) != _HEADER:
            raise ConfigurationError(
                f"{self.path} line 1: not the header of a file of judgements.",
                hint="Name another file with --out; evaluate reads several formats, but judge adds only to its own.",
            )
        return tuple(self._parsed(number, text) for number, text in lines)

    def grades(self, source: str) -> dict[Key, int]:
        """The grades of one source, in the order in which they were given; the last of a pair counts."""
        grades: dict[Key, int] = {}
        for judgement in self.read():
            if judgement.source == source:
                grades.pop(judgement.key, None)
                grades[judgement.key] = judgement.grade
        return grades

    def add(self, key: Key, grade: int, source: str) -> None:
        """One more judgement, made now. Raises ConfigurationError if it cannot be written."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        judgement = Judgement(*key, grade, source, now)
        with self._told():
            self._add("\t".join(map(str, astuple(judgement))))

    def remove(self, key: Key, source: str) -> None:
        """Take back what `source` said of a pair; the file is the old or the new one at any time.

        Raises ConfigurationError if it cannot be written.
        """
        kept = [judgement for judgement in self.read() if (judgement.key, judgement.source) != (key, source)]
        rows = [_HEADER, *map(astuple, kept)]
        target = self.path.resolve()  # a link stays a link
        new = target.with_name(f".{target.name}.new")
        with self._told():
            new.write_bytes("".join("\t".join(map(str, row)) + "\n" for row in rows).encode())
            shutil.copymode(target, new)
            new.replace(target)

    def _add(self, line: str) -> None:
        with self.path.open("ab") as file:
            file.write(f"{line}\n".encode())

    def _end_last_line(self) -> None:
        """An editor may have left the last line without an end, and the next judgement must not run into it."""
        with self.path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")

    def _parsed(self, number: int, text: str) -> Judgement:
        columns = text.split("\t")
        if len(columns) != len(_HEADER):
            raise ConfigurationError(
                f"{self.path} line {number}: {len(columns)} columns where {len(_HEADER)} were expected.",
                hint="Mend or remove the line; columns are separated by tabs.",
            )
        query_id, doc_id, grade, source, judged_at = columns
        if grade not in map(str, GRADES):
            raise ConfigurationError(
                f"{self.path} line {number}: the grade {grade!r} is none of {', '.join(map(str, GRADES))}.",
                hint="Mend or remove the line.",
            )
        return Judgement(query_id, doc_id, int(grade), source, judged_at)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror}.") from error
