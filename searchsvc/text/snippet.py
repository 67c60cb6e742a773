"""Snippets: the part of a raw text that shows most of a query's terms, with the matched words marked.

Made for ten results a request, so the text is not segmented: Chinese terms are searched as substrings, words of other
scripts by their stem. The first 5,000 characters of a text are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from searchsvc.text.folding import MARKS, changes_words, fold_with_origins, raw_span
from searchsvc.text.stopwords import STOP_WORDS
from searchsvc.text.words import ASCII_RUNS, WORD_RUNS, Span, is_unspaced, run_spans, run_terms

_SCANNED = 5_000
_ELLIPSIS = "…"
_LOOK_AROUND = 24
"""Characters within which a cut looks for the end of a clause or of a word."""
_BREAK = re.compile(r"[\s,.;:!?，。；：！？、…]+")
_JOINER = "\u200d"
"""Between the parts of an emoji."""
_STICKY = frozenset(MARKS) | {_JOINER} | {chr(code) for code in range(0xE0100, 0xE01F0)}
"""Combining marks and variation selectors: neither a cut nor the end of a mark comes before them."""

Match = tuple[int, int, str]
"""Where a match begins and ends, and the term."""


def snippet(text: str, terms: Collection[str], *, length: int = 200, pre: str = "<em>", post: str = "</em>") -> str:
    """The window of `text` of at most `length` characters that has most of the distinct index terms.

    The text is as it was but for the marks `pre` and `post` and an ellipsis at a cut end; nothing is escaped. Matches
    that touch or overlap share one mark. Stop words are marked only if there are no other terms.
    """
    matches = sorted(_matches(text[:_SCANNED], frozenset(terms)))
    start, end = _window(text, matches, length)
    marked = _marked(text, start, end, matches, (pre, post))
    return f"{_ELLIPSIS if start > 0 else ''}{marked}{_ELLIPSIS if end < len(text) else ''}"


def _matches(text: str, terms: frozenset[str]) -> list[Match]:
    if not changes_words(text):
        return _folded_matches(text, terms)
    aligned = fold_with_origins(text)
    if aligned is None:
        return []
    folded, origins = aligned
    spans = [(*raw_span(origins, start, end), term) for start, end, term in _folded_matches(folded, terms)]
    return [(start, _with_marks(text, end), term) for start, end, term in spans]


def _with_marks(text: str, end: int) -> int:
    while end < len(text) and text[end] in _STICKY:
        end += 1
    return end


def _folded_matches(text: str, terms: frozenset[str]) -> list[Match]:
    unspaced, spaced = _wanted(terms)
    matches: list[Match] = []
    for term in unspaced:
        start = text.find(term)
        while start >= 0:
            end = start + len(term)
            matches.append((start, end, term))
            start = text.find(term, end)
    if spaced.terms:
        runs = ASCII_RUNS if text.isascii() else WORD_RUNS
        for run in set(runs.findall(text)):
            if spaced[run]:
                matches += _run_matches(text, run, spaced[run])
    return matches


class _WantedSpans(dict[str, tuple[Span, ...]]):
    """The places of the wanted terms in each run that was met: the ten texts of a request share most of their words."""

    def __init__(self, terms: frozenset[str]) -> None:
        super().__init__()
        self.terms = terms

    def __missing__(self, run: str) -> tuple[Span, ...]:
        wanted = not self.terms.isdisjoint(run_terms(run))
        spans = self[run] = tuple(span for span in run_spans(run) if span[0] in self.terms) if wanted else ()
        return spans


@lru_cache(maxsize=64)
def _wanted(terms: frozenset[str]) -> tuple[tuple[str, ...], _WantedSpans]:
    """The terms to be marked: those searched as substrings, and those searched as words."""
    wanted = terms - STOP_WORDS or terms
    unspaced = tuple(term for term in wanted if is_unspaced(term))
    return unspaced, _WantedSpans(wanted.difference(unspaced))


def _run_matches(text: str, run: str, spans: Sequence[Span]) -> Iterator[Match]:
    place = text.find(run)
    while place >= 0:
        if not _inside_word(text, place) and not _inside_word(text, place + len(run)):
            for term, start, end in spans:
                yield place + start, place + end, term
        place = text.find(run, place + len(run))


def _window(text: str, matches: Sequence[Match], length: int) -> tuple[int, int]:
    """Where the snippet begins and ends."""
    if len(text) <= length:
        return 0, len(text)
    first, last = _best_stretch(matches, length)
    if last <= length:
        return 0, _whole(text, length)
    spare = max(0, length - (last - first))
    start = min(first - spare // 2, len(text) - length)
    clause = _BREAK.search(text, start, min(start + _LOOK_AROUND, first))
    start = clause.end() if clause else _whole(text, start)
    return start, max(start, _whole(text, min(start + length, len(text))))


def _best_stretch(matches: Sequence[Match], length: int) -> tuple[int, int]:
    """The first stretch of at most `length` characters with the most distinct terms."""
    best, stretch = 0, (0, 0)
    counts: dict[str, int] = {}
    left = 0
    for right, (_, end, term) in enumerate(matches):
        counts[term] = counts.get(term, 0) + 1
        while left < right and end - matches[left][0] > length:
            gone = matches[left][2]
            counts[gone] -= 1
            if counts[gone] == 0:
                del counts[gone]
            left += 1
        if len(counts) > best:
            best, stretch = len(counts), (matches[left][0], end)
    return stretch


def _whole(text: str, place: int) -> int:
    """`place`, moved back so that no combining character is cut off, and no word of letters if it is short."""
    if place == len(text):
        return place
    for earlier in range(place, 0, -1):
        if text[earlier] in _STICKY or text[earlier - 1] == _JOINER:
            continue
        if place - earlier >= _LOOK_AROUND or not _inside_word(text, earlier):
            return earlier
    return 0


def _inside_word(text: str, place: int) -> bool:
    """Whether both neighbours of a place are letters or digits of a script that puts space between words."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    return before.isalnum() and after.isalnum() and not is_unspaced(before) and not is_unspaced(after)


def _marked(text: str, start: int, end: int, matches: Sequence[Match], marks: tuple[str, str]) -> str:
    pieces: list[str] = []
    place = start
    for mark_start, mark_end in _joined(matches, start, end):
        pieces += (text[place:mark_start], marks[0], text[mark_start:mark_end], marks[1])
        place = mark_end
    return "".join((*pieces, text[place:end]))


def _joined(matches: Sequence[Match], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Stretches of touching matches inside the window."""
    open_start = open_end = -1
    for match_start, match_end, _ in matches:
        if match_start < start or match_end > end:
            continue
        if match_start <= open_end:
            open_end = max(open_end, match_end)
            continue
        if open_end > 0:
            yield open_start, open_end
        open_start, open_end = match_start, match_end
    if open_end > 0:
        yield open_start, open_end
