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

_CLUSTER = re.compile(rf"[\s\S][{MARKS}\u1160-\u11ff\uff9e\uff9f\udc00-\udfff]*")
"""A character and what NFKC or `clean` may melt into it: marks, Hangul vowels and finals, half-width kana marks,
the second half of a surrogate pair."""


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
    if folded == text or (len(folded) == len(text) and unicodedata.is_normalized("NFKC", text)):
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


def _places(cluster: re.Match[str], length: int) -> Sequence[int]:
    if length == cluster.end() - cluster.start():
        return range(cluster.start(), cluster.end())
    return [cluster.start()] * length


def _simplified(text: str) -> str:
    return cast("str", _converter().convert(text))


@lru_cache(maxsize=1)
def _converter() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")
