"""The user dictionary: words that the segmenter shall not cut, in jieba's format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from searchsvc.errors import ConfigurationError
from searchsvc.text.folding import fold

_HAN = re.compile(r"[\u4e00-\u9fd5]+")
_FREQUENCY = re.compile(r"[0-9]{1,9}")
_TAG = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserWord:
    """One entry."""

    text: str
    """Folded."""
    frequency: int | None
    """None: just high enough to keep the word whole."""
    tag: str


def load_user_words(path: Path) -> tuple[UserWord, ...]:
    """The entries of a file: on each line a word, its frequency, its part of speech; the last two may be left out.

    UTF-8; blank lines are skipped. A word that is not wholly Chinese is checked and left out, since words of other
    scripts are cut by rule. Raises ConfigurationError that names file and line.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except OSError as error:
        raise ConfigurationError(f"cannot read the user dictionary {path}: {error.strerror}.") from error
    words = [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    return tuple(word for word in words if _HAN.fullmatch(word.text))


def _parse(line: bytes, place: str) -> UserWord:
    try:
        word, *rest = line.decode().split()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{place}: not UTF-8.") from None
    frequency = int(rest.pop(0)) if rest and _FREQUENCY.fullmatch(rest[0]) else None
    tag = rest.pop(0) if rest and _TAG.fullmatch(rest[0]) else ""
    if rest or frequency == 0:
        raise ConfigurationError(
            f"{place}: {line.decode().strip()!r} is no entry.",
            hint="Write `word [frequency] [tag]`, the frequency from 1 to 999999999, the tag in small letters.",
        )
    return UserWord(text=fold(word), frequency=frequency, tag=tag)
