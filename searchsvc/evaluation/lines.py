"""Files of an evaluation, plain or gzip, line by line; whatever is wrong with one is told with file and line."""

from __future__ import annotations

import codecs
import json
import shlex
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from searchsvc.documents import open_bytes
from searchsvc.errors import ConfigurationError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def raw_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (1-based) and text of every line, with its end.

    Raises ConfigurationError if the file cannot be read or is not UTF-8.
    """
    number = 0
    try:
        with open_bytes(path) as lines:
            for number, line in enumerate(lines, 1):
                if number == 1 and (line.startswith(_UTF_16) or b"\0" in line):
                    raise ConfigurationError(f"{path} line 1: not UTF-8 but UTF-16.", hint=_recode(path, "UTF-16"))
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"{path} line {number}: not UTF-8.", hint=f"If it is Chinese text: {_recode(path, 'GB18030')}"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (1-based) and text, without its end, of every line that is not blank. Raises as `raw_lines`."""
    for number, line in raw_lines(path):
        text = line.rstrip("\r\n")
        if text.strip():
            yield number, text


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number (1-based) and object of every line that is not blank. Raises ConfigurationError."""
    for number, text in text_lines(path):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{path} line {number}: not JSON: {error}.") from None
        if not isinstance(value, dict):
            raise ConfigurationError(f"{path} line {number}: a {type(value).__name__} where an object was expected.")
        yield number, value


def required_id(value: dict[str, Any], key: str, *, path: Path, number: int) -> str:
    """The id under `key`, a non-empty string or an integer. Raises ConfigurationError."""
    raw = value.get(key)
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw)
    if isinstance(raw, str) and raw.strip():
        return raw
    raise ConfigurationError(f"{path} line {number}: {key!r} is missing or not a non-empty string.")


def _recode(path: Path, encoding: str) -> str:
    """The command that makes UTF-8 of the file."""
    name = shlex.quote(str(path))
    zipped = path.suffix == ".gz"
    source = f"gzip -dc {name} | iconv -f {encoding} -t UTF-8" if zipped else f"iconv -f {encoding} -t UTF-8 {name}"
    return f"{source} > {shlex.quote('utf8-' + path.name.removesuffix('.gz'))}"
