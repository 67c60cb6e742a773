"""Words of the scripts that are not Chinese: English stems, identifiers and their parts, bigrams of kana and Hangul.

A run is what `RUNS` finds in folded text. Rules, in order:

- kana, Hangul and the Chinese characters that the segmenter does not know give their bigrams, a single one itself;
- a plain English word, also Capitalised or ALLCAPS, gives its stem (Snowball `english`, "Porter2");
- an identifier gives itself in lower case, then its parts: `ModuleNotFoundError`, `snake_case`, `dotted.names`,
  `kebab-case`, `python3`, `v1.2.3`; the numbers of a version stay together and single letters are no parts;
- a word in any other alphabet gives itself in lower case. Scripts that put no space between words (Thai, Khmer)
  give whole runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from threading import Lock
from typing import cast

import Stemmer

from searchsvc.text.folding import MARKS

Span = tuple[str, int, int]
"""A term, and where its word begins and ends."""

MAX_TERM = 255
"""In UTF-16 units: Elasticsearch cuts longer tokens into pieces."""

_HAN = "\u4e00-\u9fd5"
"""The characters of the segmenters' dictionaries."""
_BIGRAMMED = (
    "\u1100-\u11ff\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u9fd6-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W{_HAN}{_BIGRAMMED}]"
_LETTERS = rf"(?:{_LETTER}|[{MARKS}])"
_JOINED = r"[.'’‐-]"

_WORD = rf"{_LETTER}{_LETTERS}*+(?:{_JOINED}{_LETTER}{_LETTERS}*+)*+(?:\+\+|\#(?![A-Za-z0-9_]))?"

RUNS = re.compile(rf"[{_HAN}]{{1,500}}|[{_BIGRAMMED}]+|{_WORD}")
"""Runs of one script. A Chinese run ends after 500 characters: no text without a mark is that long, and the
segmenters' time for one run is bounded."""
ASCII_RUNS = re.compile(r"\w+(?:[.'-]\w+)*+(?:\+\+|\#(?!\w))?", re.ASCII)
"""The same for text that is ASCII."""
WORD_RUNS = re.compile(_WORD)
"""Only those that are words of an alphabet."""

_BIGRAMMED_RUN = re.compile(rf"[{_BIGRAMMED}]+")
_UNSPACED_RUN = re.compile(rf"[{_HAN}{_BIGRAMMED}]")
_PUNCTUATION = str.maketrans("’‐", "'-")
_SEGMENT = re.compile(r"(?:[^_.+#-]|(?<=[0-9])\.(?=[0-9]))+")
"""Between separators; a dot between digits is none."""
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]+")
_WITH_NUMBER = re.compile(r"([A-Za-z]{2,}|[vV])([0-9]+(?:\.[0-9]+)*)|([0-9]+(?:\.[0-9]+)*)([A-Za-z]{2,})")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z]{2})")
_PLAIN = re.compile(r"[a-z']+")

_CACHED_LENGTH = 64
_stemmer = Stemmer.Stemmer("english", 0)
_stemmer_lock = Lock()
"""A stemmer is not made for several threads at once."""


def is_unspaced(term: str) -> bool:
    """Whether a term is Chinese, kana or Hangul: its characters stand in a text without space around them."""
    return _UNSPACED_RUN.match(term) is not None


def is_han(run: str) -> bool:
    """Whether a run of `RUNS` is for the segmenter."""
    return "\u4e00" <= run < "\u9fd6"


def run_terms(run: str) -> tuple[str, ...]:
    """The index terms of a run that is not Chinese."""
    return _cached_terms(run) if len(run) <= _CACHED_LENGTH else tuple(term for term, _, _ in _spans(run))


def run_spans(run: str) -> tuple[Span, ...]:
    """The index terms of a run that is not Chinese, each with its place in the run."""
    return _cached_spans(run) if len(run) <= _CACHED_LENGTH else tuple(_spans(run))


def whole_spans(run: str) -> tuple[Span, ...]:
    """The first term of a run, which stands for all of it; of kana and Hangul every bigram."""
    return run_spans(run) if _BIGRAMMED_RUN.match(run) else run_spans(run)[:1]


@lru_cache(maxsize=1 << 16)
def _cached_terms(run: str) -> tuple[str, ...]:
    return tuple(term for term, _, _ in _spans(run))


@lru_cache(maxsize=1 << 13)
def _cached_spans(run: str) -> tuple[Span, ...]:
    return tuple(_spans(run))


def _spans(run: str) -> Iterator[Span]:
    if _BIGRAMMED_RUN.match(run):
        yield from _bigrams(run)
        return
    word = run.translate(_PUNCTUATION)
    if word[-2:] in {"'s", "'S"}:
        word = word[:-2]
    segments = list(_SEGMENT.finditer(word))
    if len(segments) == 1 and segments[0][0] == word:
        yield from _segment_spans(word, 0)
    elif segments:
        yield cut(word.lower()), 0, len(word)
        for segment in segments:
            if _is_part(segment[0]):
                yield from _segment_spans(segment[0], segment.start())


def _segment_spans(segment: str, start: int) -> Iterator[Span]:
    end = start + len(segment)
    parts = _parts(segment)
    if len(parts) == 1:
        yield stem(segment.lower()), start, end
        return
    whole = segment.lower()
    yield cut(whole), start, end
    if stem(whole) != cut(whole):  # what the same identifier typed in lower case gives
        yield stem(whole), start, end
    for part in parts:
        if _is_part(part):
            yield stem(part.lower()), start, start + len(part)
        start += len(part)


def _parts(segment: str) -> list[str]:
    if not segment.isascii() or _HEXADECIMAL.fullmatch(segment):
        return [segment]
    numbered = _WITH_NUMBER.fullmatch(segment)
    return [part for part in numbered.groups() if part] if numbered else _HUMP.split(segment)


def _is_part(text: str) -> bool:
    return len(text) > 1 or text.isdigit()


def _bigrams(run: str) -> Iterator[Span]:
    if len(run) == 1:
        yield run, 0, 1
    for start in range(len(run) - 1):
        yield run[start : start + 2], start, start + 2


def stem(word: str) -> str:
    """The index term of a word in lower case: its stem if it is made of English letters, else itself."""
    word = cut(word)
    return _stem(word) if _PLAIN.fullmatch(word) else word


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    with _stemmer_lock:
        return cast("str", _stemmer.stemWord(word))


def cut(term: str) -> str:
    """`term`, cut at 255 UTF-16 units."""
    if len(term) <= MAX_TERM // 2:
        return term
    return term.encode("utf-16-le")[: 2 * MAX_TERM].decode("utf-16-le", "ignore")
