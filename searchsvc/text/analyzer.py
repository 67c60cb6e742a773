"""The one analyser: every engine indexes and searches these terms, so that the engines rank alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from searchsvc.documents import clean
from searchsvc.text.folding import fold, fold_with_origins, raw_span
from searchsvc.text.segmenter import SegmenterName, dictionary_bytes, load_segmenter
from searchsvc.text.userdict import load_user_words
from searchsvc.text.words import ASCII_RUNS, RUNS, Span, is_han, run_spans, run_terms, whole_spans

ANALYSIS_VERSION = 1
"""Raised by every change that gives other terms for a text: indices and gain models made before do not fit any more."""


@dataclass(frozen=True, slots=True)
class Word:
    """An index term, and the word that it stands for."""

    term: str
    surface: str
    """As the text has it."""


class Analyzer:
    """Text to index terms.

    `user_dictionary`: a file in jieba's format, one `word [frequency [tag]]` a line, of words to be kept whole.
    `segmenter`: which package cuts Chinese; both give the same terms. Words of a user are shared with no other object.
    Safe in several threads at once. Raises ConfigurationError that names file and line.
    """

    def __init__(self, user_dictionary: Path | None = None, *, segmenter: SegmenterName = "auto") -> None:
        user_words = () if user_dictionary is None else load_user_words(user_dictionary)
        self._segmenter = load_segmenter(segmenter, user_words)
        parts = (str(ANALYSIS_VERSION).encode(), dictionary_bytes(), repr(user_words).encode())
        self.fingerprint = hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:12]
        """Hash of analysis version, jieba's dictionary and user dictionary; the same for both segmenters."""

    def terms(self, text: str) -> list[str]:
        """The index terms in order: the same for documents and queries, no stop word left out.

        None of them is empty, holds white space or is longer than 255 UTF-16 units.
        """
        folded = fold(text)
        runs = ASCII_RUNS if folded.isascii() else RUNS
        cut_for_search = self._segmenter.cut_for_search
        terms: list[str] = []
        for run in runs.findall(folded):
            terms += cut_for_search(run) if is_han(run) else run_terms(run)
        return terms

    def words(self, text: str, *, parts: bool = True) -> list[Word]:
        """The terms of `terms`, each with the word as the user wrote it.

        Without `parts` only whole words: no shorter words inside a Chinese one, no parts of an identifier.
        """
        text = clean(text)
        aligned = fold_with_origins(text)
        if aligned is None:
            text = fold(text)
            aligned = text, range(len(text) + 1)
        folded, origins = aligned
        return [
            Word(term, text[slice(*raw_span(origins, start, end))]) for term, start, end in self._spans(folded, parts)
        ]

    def _spans(self, folded: str, parts: bool) -> Iterator[Span]:
        runs = ASCII_RUNS if folded.isascii() else RUNS
        for run in runs.finditer(folded):
            for term, start, end in self._run_spans(run[0], parts):
                yield term, run.start() + start, run.start() + end

    def _run_spans(self, run: str, parts: bool) -> Iterable[Span]:
        if not is_han(run):
            return run_spans(run) if parts else whole_spans(run)
        if parts:
            return self._segmenter.tokenize(run)
        words = self._segmenter.cut(run)
        ends = accumulate(map(len, words))
        return ((word, end - len(word), end) for word, end in zip(words, ends, strict=True))
