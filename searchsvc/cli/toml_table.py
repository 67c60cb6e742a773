"""Writes the table `[indices.NAME]` into a TOML file that a person keeps; all else in it stays byte for byte."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from searchsvc.errors import ConfigurationError
from searchsvc.toml_names import INDICES, table_key, toml_string

KEPT_KEY = "base_query"
"""A person wrote it by hand: a table that is replaced keeps it."""

_LINE = 100
"""A list that would be longer is written one item a line."""
_COMMENTS = {
    "text_fields": "searched; ^ weighs a field",
    "nested": "paths that are mapped as nested",
    "returned": "what comes back of a document",
    "filters": "what a request may filter by; and sort by, if it is not nested",
    "facets": "what a request may have counted",
    "rerank_text": "what the reranker reads, in this order, and how many characters of it at most",
}


def rendered(name: str, table: Mapping[str, Any], order: Sequence[str]) -> str:
    """The table with its header alone on a line, its keys in this order, and comments for a reader."""
    lines = [f"[{table_key(name)}]"]
    for key in order:
        value = table.get(key)
        if value is None or value in ([], ()):
            continue
        if key in _COMMENTS:
            lines.append(f"# {_COMMENTS[key]}")
        lines.append(f"{key} = {_value(value)}")
    return "\n".join(lines) + "\n"


def with_table(text: str, name: str, block: str, *, force: bool) -> str:
    """`text` with the table at its end, or with `force` in place of the one that is there.

    Raises ConfigurationError where it is there already, and where it is written such that it cannot be told apart
    from the rest.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    before = tomllib.loads(text)
    block = block.replace("\n", newline)
    if name in before.get(INDICES, {}):
        if not force:
            raise ConfigurationError(
                f"The table [{table_key(name)}] is there already.", hint="Replace it with --force, or edit it."
            )
        changed = _replaced(text, name, block)
    else:
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        changed = text + gap + block
    _check_rest(before, changed, name)
    return changed


def write(path: Path, text: str, check: Callable[[Path], object]) -> None:
    """Replace the file at once, after `check` has read what will stand there.

    Raises ConfigurationError, also that of `check`; the file is then as it was.
    """
    path = path.resolve()  # a link stays one
    try:
        with NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            check(Path(file.name))
            _mode_of(path, Path(file.name))
            Path(file.name).replace(path)
        finally:
            Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}.",
            hint="Run the command in a folder that you may write to, and take the file from there.",
        ) from error


def read(path: Path) -> str:
    """The text of the file with its line ends as they are; empty if there is none. Raises ConfigurationError."""
    try:
        text = path.read_bytes().decode()
        tomllib.loads(text)
    except FileNotFoundError:
        return ""
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}.", hint="Mend it first: nothing was written.") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    return text


def _mode_of(path: Path, made: Path) -> None:
    if path.exists():
        shutil.copymode(path, made)
        return
    mask = os.umask(0)
    os.umask(mask)
    made.chmod(0o666 & ~mask)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return toml_string(value)
    if not isinstance(value, list | tuple):
        return str(value)
    items = [toml_string(item) for item in value]
    line = f"[{', '.join(items)}]"
    return line if len(line) <= _LINE else "[\n" + "".join(f"  {item},\n" for item in items) + "]"


def _replaced(text: str, name: str, block: str) -> str:
    """With `block` in place of the table, whose `base_query` it keeps as it was written."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)  # splitlines would split at signs that end no line in TOML
    headers = list(_headers(lines))
    own = [place for place, (_, names) in enumerate(headers) if names == [INDICES, name]]
    if not own:
        raise _inline(name)
    start = headers[own[0]][0]
    end = headers[own[0] + 1][0] if own[0] + 1 < len(headers) else len(lines)
    while end > start + 1 and _says_nothing(lines[end - 1]):
        end -= 1  # comments and blank lines in front of the next header are that one's
    return "".join([*lines[:start], block, *_kept(lines, start, end), *lines[end:]])


def _headers(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Number and dotted key of each line that is a header; a line inside a string or a list only looks like one."""
    for number, line in enumerate(lines):
        if line.lstrip().startswith("[") and _ends_a_statement(lines[:number]):
            yield number, _names(line)


def _names(header: str) -> list[str]:
    found: Any = tomllib.loads(header)
    names = []
    while isinstance(found, dict) and found:
        key, found = next(iter(found.items()))
        names.append(key)
    return names


def _kept(lines: Sequence[str], start: int, end: int) -> Sequence[str]:
    """The lines of `base_query` in the table between these lines, with the comments right above it."""
    for first in range(start + 1, end):
        key = lines[first].partition("=")[0].strip().strip("\"'")
        if key == KEPT_KEY and _ends_a_statement(lines[:first]):
            last = next(last for last in range(first + 1, end + 1) if _ends_a_statement(lines[:last]))
            begin = first
            while lines[begin - 1].lstrip().startswith("#"):
                begin -= 1
            return lines[begin:last]
    return ()


def _ends_a_statement(lines: Sequence[str]) -> bool:
    """Whether these first lines of a file are TOML by themselves: then nothing is open at their end."""
    try:
        tomllib.loads("".join(lines))
    except tomllib.TOMLDecodeError:
        return False
    return True


def _says_nothing(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _check_rest(before: Mapping[str, Any], changed: str, name: str) -> None:
    """Raises ConfigurationError unless everything but the table means what it meant."""
    try:
        after = tomllib.loads(changed)
    except tomllib.TOMLDecodeError:
        raise _inline(name) from None
    if _without(before, name) != _without(after, name):
        raise _inline(name)


def _without(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    others = {key: table for key, table in values.get(INDICES, {}).items() if key != name}
    return {**values, INDICES: others}


def _inline(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"[{table_key(name)}] cannot be written beside what is there: indices are written inline, or with dotted keys.",
        hint="Write each index as a table of its own, its header alone on a line: [indices.NAME].",
    )
