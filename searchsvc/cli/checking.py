"""A JSONL file of documents, read as a whole before any of it is loaded."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from searchsvc.cli.common import progress
from searchsvc.documents import BadLine, Document, read_documents
from searchsvc.errors import InvalidDocuments

_SHOWN = 20
"""How many bad lines are told with their problem; of the others the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFile:
    """What the lines of a file are."""

    documents: int
    bad: tuple[BadLine, ...]

    def bad_told(self) -> list[str]:
        """A sentence for each of the first bad lines, and one with the numbers of all others."""
        told = [f"line {line.number}: {line.problem}" for line in self.bad[:_SHOWN]]
        if len(self.bad) > _SHOWN:
            numbers = ", ".join(str(line.number) for line in self.bad[_SHOWN:])
            told.append(f"and {len(self.bad) - _SHOWN} more, lines {numbers}")
        return told


def check_file(file: Path) -> CheckedFile:
    """Read every line. Raises InvalidDocuments if the file cannot be read, or not once more."""
    _refuse_pipe(file)
    documents = 0
    bad: list[BadLine] = []
    with progress() as bar:
        for line in bar.track(read_documents(file), total=None, description=f"checking {escape(file.name)}"):
            if isinstance(line, Document):
                documents += 1
            else:
                bad.append(line)
    return CheckedFile(documents=documents, bad=tuple(bad))


def _refuse_pipe(file: Path) -> None:
    """A file is read once to check it and once to load it; a pipe has lost its beginning by then."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return  # reading it will tell
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device, which can be read only once"
        raise InvalidDocuments(
            f"{file} is {what}; documents are read from a file, once to check them and once to load them.",
            hint="Save them to a file first, then: searchsvc index load FILE",
        )
