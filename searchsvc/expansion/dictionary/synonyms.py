r"""Reads synonym files in the syntax that Solr and Elasticsearch share.

One rule a line: `a, b, c` are words that mean the same, `a, b => c, d` gives c and d for a or b and nothing back.
An entry may have several words. `#` begins a line of comment; a backslash takes the character after it as it is, so
that a comma is written `\,` and an arrow `\=>`. Syntax: https://solr.apache.org/guide/solr/latest/indexing-guide/filters.html
(Synonym Graph Filter) and Elasticsearch's page of the synonym token filter, format `solr`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from searchsvc.errors import ConfigurationError

_TOKEN = re.compile(r"\\(?P<escaped>.)|(?P<dangling>\\)|(?P<arrow>=>)|(?P<comma>,)|(?P<plain>[^\\,=]+|=)")
_RULE_HINT = "Write `a, b` for words that mean the same, `a => b` for one way."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a file."""

    left: tuple[str, ...]
    """What is looked for in a query."""
    right: tuple[str, ...]
    """What it brings; of words that mean the same the same as `left`."""
    file: Path
    line: int
    """1-based."""

    @property
    def place(self) -> str:
        """Where it stands, in few words."""
        return f"{self.file.name}:{self.line}"


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of a UTF-8 file.

    Raises ConfigurationError that names file and line, and what to do.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except OSError as error:
        raise ConfigurationError(
            f"The synonym file {path} cannot be read: {error.strerror}.",
            hint="Name a file of rules in the setting expander.dictionaries.",
        ) from error
    return tuple(_rules(lines, path))


def _rules(lines: list[bytes], path: Path) -> Iterator[Rule]:
    for number, line in enumerate(lines, 1):
        place = f"{path}, line {number}"
        try:
            text = line.decode().strip()
        except UnicodeDecodeError:
            raise ConfigurationError(f"{place}: not UTF-8.", hint="Save the file as UTF-8.") from None
        if text and not text.startswith("#"):
            left, right = _sides(text, place)
            yield Rule(left=left, right=right, file=path, line=number)


def _sides(text: str, place: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    sides: list[list[str]] = [[""]]
    for token in _TOKEN.finditer(text):
        if token["dangling"]:
            raise _malformed(place, text, "nothing follows the backslash", "Write a backslash itself as `\\\\`.")
        if token["arrow"]:
            sides.append([""])
        elif token["comma"]:
            sides[-1].append("")
        else:
            sides[-1][-1] += token["escaped"] or token["plain"]
    if len(sides) > 2:
        raise _malformed(place, text, "it has two arrows", "Write one rule a line, an arrow inside an entry as `\\=>`.")
    entries = [tuple(" ".join(entry.split()) for entry in side) for side in sides]
    if not all(all(side) for side in entries):
        hint = "Take the comma or arrow without a word beside it away; a comma inside an entry is written `\\,`."
        raise _malformed(place, text, "it has an empty entry", hint)
    if len(entries) == 1 and len(entries[0]) == 1:
        raise _malformed(place, text, "it has one entry only", _RULE_HINT)
    return entries[0], entries[-1]


def _malformed(place: str, text: str, problem: str, hint: str) -> ConfigurationError:
    shown = text if len(text) <= 80 else f"{text[:80]}…"
    return ConfigurationError(f"{place}: {shown!r} is no rule: {problem}.", hint=hint)
