"""Files of an evaluation, plain or gzip, line by line; whatever is wrong with one is told with file and line."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from searchsvc.documents import open_bytes
from searchsvc.errors import ConfigurationError


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (1-based) and text of every line that is not blank.

    Raises ConfigurationError if the file cannot be read or is not UTF-8.
    """
    number = 0
    try:
        with open_bytes(path) as lines:
            for number, line in enumerate(lines, 1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                if text.strip():
                    yield number, text
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} line {number}: not UTF-8.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error


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


def required_text(value: dict[str, Any], key: str, *, path: Path, number: int) -> str:
    """The non-empty string under `key`. Raises ConfigurationError."""
    text = value.get(key)
    if isinstance(text, str) and text.strip():
        return text
    raise ConfigurationError(f"{path} line {number}: {key!r} is missing or not a non-empty string.")


def required_id(value: dict[str, Any], key: str, *, path: Path, number: int) -> str:
    """The id under `key`, a non-empty string or an integer. Raises ConfigurationError."""
    raw = value.get(key)
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw)
    return required_text(value, key, path=path, number=number)
