"""What the values of a field look like in a sample of documents; pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from searchsvc.source_paths import values_at

Document = Mapping[str, Any]
"""The `_source` of a document."""

_MACHINE_SHARE = 0.8
"""A field is machine data if so many of its values are."""

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]+")
_LATIN = re.compile(r"[A-Za-z]{6,}")
_MACHINE = re.compile(
    r"""
      \w+://\S*                                               # addresses
    | [^@\s]+@[^@\s]+
    | (?:/[\w.%~-]+)+/?                                       # paths
    | [0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}    # UUIDs
    | (?=\S*\d)[0-9a-fA-F]{16,}                               # hashes
    | (?=\S*\d)(?=\S*[A-Z])(?=\S*[a-z])[\w+/=-]{20,}          # base64
    | [A-Za-z+/=]{60,}
    | [\d\s.,:;/+_%()TZ-]+                                    # numbers, dates
    | [A-Za-z]{0,8}[-_:.]?\d[\w-]*                            # ids: sku-0012
    """,
    re.VERBOSE | re.ASCII,
)
_FUNCTION_SIGNS = frozenset("的了是在和有不一个这我你他们中为以到与或及")
"""Chinese characters that are most often no part of a word that tells anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSample:
    """The values of one field."""

    documents: int
    """How many documents the sample has."""
    filled: int = 0
    """How many of them have a value."""
    values: int = 0
    distinct: int = 0
    median_characters: int = 0
    most_characters: int = 0
    """90th percentile."""
    example: str = ""
    machine: bool = False
    """Ids, addresses, hashes: nothing that a person would search in words."""

    @property
    def share(self) -> float | None:
        """Of the documents that have a value; None without documents."""
        return self.filled / self.documents if self.documents else None

    @property
    def unique(self) -> bool:
        """Nearly every value occurs once, which a few documents cannot tell."""
        return self.values >= 10 and self.distinct >= 0.95 * self.values

    @property
    def mostly_unique(self) -> bool:
        """Most values occur once, as titles do."""
        return self.values >= 10 and self.distinct > 0.5 * self.values


def sampled(documents: Sequence[Document], path: str) -> FieldSample:
    """What the values at `path` are like."""
    rows = [list(values_at(document, path)) for document in documents]
    texts = [_text(value) for row in rows for value in row]
    texts = [text for text in texts if text.strip()]
    lengths = sorted(map(len, texts))
    machine = sum(_MACHINE.fullmatch(text.strip()) is not None for text in texts)
    return FieldSample(
        documents=len(documents),
        filled=sum(any(_text(value).strip() for value in row) for row in rows),
        values=len(texts),
        distinct=len(set(texts)),
        median_characters=percentile(lengths, 0.5),
        most_characters=percentile(lengths, 0.9),
        example=texts[0] if texts else "",
        machine=bool(texts) and machine >= _MACHINE_SHARE * len(texts),
    )


def percentile(ordered: Sequence[int], fraction: float) -> int:
    """The value below which that fraction of them lies; 0 if there are none."""
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] if ordered else 0


def joined(document: Document, paths: Iterable[str]) -> str:
    """The texts at these paths, as a reranker reads them."""
    return "\n".join(_text(value) for path in paths for value in values_at(document, path))


def sample_words(texts: Iterable[str]) -> list[str]:
    """A word of Chinese and one of Latin letters, each where the texts have one: what the most documents hold."""
    chinese: Counter[str] = Counter()
    latin: Counter[str] = Counter()
    for text in texts:
        chinese.update({pair for run in _HAN.findall(text) for pair in _pairs(run)})
        latin.update({word.lower() for word in _LATIN.findall(text)})
    return [max(found, key=lambda word: (found[word], word)) for found in (chinese, latin) if found]


def _pairs(run: str) -> Iterator[str]:
    """Most Chinese words have two characters, and the pair that the most documents share is nearly always one."""
    for pair in map("".join, pairwise(run)):
        if _FUNCTION_SIGNS.isdisjoint(pair):
            yield pair


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
