"""The user dictionary: words that the segmenter shall not cut, in jieba's format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from searchsvc.errors import ConfigurationError
from searchsvc.text.folding import fold

_LINE = re.compile(r"(?P<word>.+?)(?: (?P<frequency>[0-9]+))?(?: (?P<tag>[a-z]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserWord:
    """One entry."""

    text: str
    """Folded."""
    frequency: int | None
    """None: just high enough to keep the word whole."""
    tag: str


def load_user_words(path: Path) -> tuple[UserWord, ...]:
    """The entries of a file: a word, its frequency, its part of speech on a line, the last two optional.

    UTF-8; blank lines are skipped. A word that is not wholly Chinese has no effect: other scripts are cut by rule.
    Raises ConfigurationError that names file and line.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except OSError as error:
        raise ConfigurationError(f"cannot read the user dictionary {path}: {error.strerror}.") from error
    return tuple(_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip())


def _parse(line: bytes, place: str) -> UserWord:
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{place}: not UTF-8.") from None
    match = _LINE.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"{place}: {text!r} is not `word [frequency [tag]]`.")
    frequency = int(match["frequency"]) if match["frequency"] else None
    if frequency == 0:
        raise ConfigurationError(f"{place}: the frequency of {match['word']!r} is 0.", hint="Give 1 or more, or none.")
    return UserWord(text=fold(match["word"]), frequency=frequency, tag=match["tag"] or "")
