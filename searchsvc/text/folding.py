"""Folding: the form of a text in which queries and documents are compared.

NFKC (Unicode Standard Annex 15: full-width to half-width, ligatures, composed accents), then Traditional to
Simplified Chinese by OpenCC's `t2s`, which maps character to character and so keeps the length. Case is kept:
the cut into words needs it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import opencc

from searchsvc.documents import clean

MARKS = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code)) in {"Mn", "Mc"})
"""The combining marks of the Basic Multilingual Plane: they belong to the letter before them."""

_SOFT_HYPHEN = "\u00ad"
"""Invisible, inside words: dropped."""

_MELTING = rf"{MARKS}\u1160-\u11ff\uff9e\uff9f\udc00-\udfff"
"""What NFKC or `clean` may melt into the character before it: marks, Hangul vowels and finals, half-width kana
marks, the second half of a surrogate pair."""
_MOVES = re.compile(rf"[{_MELTING}\0\u00ad\ud800-\udfff]")
"""What makes the folded text shorter."""
_CLUSTER = re.compile(rf"[\s\S][{_MELTING}]*")


def fold(text: str) -> str:
    """`text` without NUL, lone surrogates and soft hyphens, in NFKC, in Simplified characters."""
    text = clean(text)
    if text.isascii():
        return text
    return _simplified(unicodedata.normalize("NFKC", text.replace(_SOFT_HYPHEN, "")))


def fold_with_origins(text: str) -> tuple[str, Sequence[int]] | None:
    """The folded text, and for each of its characters, and its end, the place in `text` that it came from.

    None for the rare text whose characters melt together in a way that cannot be followed.
    """
    folded = fold(text)
    if len(folded) == len(text) and _MOVES.search(text) is None:  # then nothing grew: character by character
        return folded, range(len(text) + 1)
    origins: list[int] = []
    pieces: list[str] = []
    for cluster in _CLUSTER.finditer(text):
        piece = unicodedata.normalize("NFKC", clean(cluster[0]).replace(_SOFT_HYPHEN, ""))
        pieces.append(piece)
        origins.extend(_places(cluster, len(piece)))
    if len(origins) != len(folded) or _simplified("".join(pieces)) != folded:
        return None
    return folded, [*origins, len(text)]


def changes_words(text: str) -> bool:
    """Whether folding may change letters or digits of `text`; punctuation does not count. Cheaper than to fold."""
    return not text.isascii() and any(pattern.search(text) for pattern in _changing())


@lru_cache(maxsize=1)
def _changing() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Two patterns, since `re` is fast on a large set of characters only within the Basic Multilingual Plane."""
    characters = [chr(code) for code in (*range(0x80, 0xD800), *range(0xE000, 0x10000)) if chr(code).isprintable()]
    folded = fold("\n".join(characters)).split("\n")
    changed = (
        before
        for before, after in zip(characters, folded, strict=True)
        if before != after and any(map(str.isalnum, after))
    )
    return re.compile(f"[{''.join(changed)}{_MELTING}{_SOFT_HYPHEN}]"), re.compile(
        "[\U0001d400-\U0001d7ff\U00020000-\U0003ffff\U000e0100-\U000e01ef]"
    )


def raw_span(origins: Sequence[int], start: int, end: int) -> tuple[int, int]:
    """Where the folded characters from `start` to `end` came from: never an empty place."""
    raw_start = origins[start]
    while origins[end] <= raw_start:
        end += 1
    return raw_start, origins[end]


def _places(cluster: re.Match[str], length: int) -> Sequence[int]:
    if length == cluster.end() - cluster.start():
        return range(cluster.start(), cluster.end())
    return [cluster.start()] * length


def _simplified(text: str) -> str:
    return cast("str", _converter().convert(text))


@lru_cache(maxsize=1)
def _converter() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")
