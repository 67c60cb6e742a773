"""Reads WordNet's database: words of the same synonym set, English only.

The format is that of the manual page wndb(5WN); Debian's package `wordnet-base` installs the files in
/usr/share/wordnet. Inflected words are led back to their base by the endings of morphy(7WN); its lists of exceptions
(`mice`, `ran`) are left alone. The index is read at the first look-up; a synonym set is read from its file when asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from searchsvc.errors import ConfigurationError
from searchsvc.expansion.dictionary.words import Alternative, KeyedWord, Match, keyed_words, match_of
from searchsvc.text import Analyzer, is_stop_word

_POS = ("noun", "verb", "adj", "adv")
_ENDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        *(("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z")),
        *(("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y")),
    ),
    "verb": (
        *(("s", ""), ("ies", "y"), ("es", "e"), ("es", "")),
        *(("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    ),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}
_INDEX_LINE = re.compile(r"(\S+) [nvar] ([0-9]+) [0-9]+ (?:\S+ )*?[0-9]+ [0-9]+((?: [0-9]{8})+) *")
_SET_LINE = re.compile(r"([0-9]{8}) [0-9]{2} [nvasr] ([0-9a-f]{2}) (.*)")
_MARKER = re.compile(r"\((?:p|a|ip)\)")
_MOST_WORDS = 4
"""Of a lemma that is looked for."""
_MOST_SETS = 8
"""Synonym sets that are read for one word, the most frequent first: a word with more says too little."""
_HINT = "Set expander.wordnet to a folder with index.noun, data.noun and so on, such as /usr/share/wordnet."

_Synset = tuple[str, int]
"""The part of speech, and where its line begins in the data file, in bytes."""


@dataclass(frozen=True, slots=True)
class _Found:
    lemma: str
    synsets: tuple[_Synset, ...]


class WordNet:
    """A database in a folder. Safe in several threads."""

    def __init__(self, folder: Path, analyzer: Analyzer) -> None:
        """Reads nothing yet. Raises ConfigurationError if a file is missing."""
        self._folder = folder
        self._analyzer = analyzer
        self._lock = Lock()
        self._index: dict[str, tuple[_Synset, ...]] = {}
        names = [f"{kind}.{pos}" for pos in _POS for kind in ("index", "data")]
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ConfigurationError(f"{folder} is no WordNet database: {', '.join(missing)} is missing.", hint=_HINT)

    def load(self) -> None:
        """Reads the index, half a second, unless that is done. Raises ConfigurationError with file and line."""
        with self._lock:
            if not self._index:
                self._index = self._read_index()

    def find(self, words: Sequence[KeyedWord]) -> list[Match]:
        """The lemmas that stand in a text, the longest first from left to right, with their synonyms.

        Reads files. Raises ConfigurationError with file and line, or byte.
        """
        self.load()
        matches: list[Match] = []
        place = 0
        while place < len(words):
            length, found = self._longest(words, place)
            alternatives = self._alternatives(found)
            if alternatives:
                matches.append(match_of(words, place, length, alternatives))
            place += length
        return matches

    def _longest(self, words: Sequence[KeyedWord], start: int) -> tuple[int, Sequence[_Found]]:
        """How many words the longest lemma from `start` has, and its bases; (1, ()) if there is none."""
        for end in range(min(len(words), start + _MOST_WORDS), start, -1):
            if end == start + 1 and is_stop_word(words[start].surface):
                continue
            found = self._bases("_".join(word.surface.lower() for word in words[start:end]))
            if found:
                return end - start, found
        return 1, ()

    def _bases(self, text: str) -> Sequence[_Found]:
        """The lemmas that `text` is, or is a form of."""
        bases: dict[str, list[_Synset]] = {}
        for pos in _POS:
            for lemma in self._lemmas(text, pos):
                bases.setdefault(lemma, []).extend(self._synsets(lemma, pos))
        return [_Found(lemma, tuple(synsets)) for lemma, synsets in bases.items()]

    def _lemmas(self, text: str, pos: str) -> list[str]:
        if self._synsets(text, pos):
            return [text]
        stripped = (text.removesuffix(end) + new for end, new in _ENDINGS[pos] if text.endswith(end))
        return [lemma for lemma in dict.fromkeys(stripped) if self._synsets(lemma, pos)]

    def _synsets(self, lemma: str, pos: str) -> list[_Synset]:
        return [synset for synset in self._index.get(lemma, ()) if synset[0] == pos]

    def _alternatives(self, found: Sequence[_Found]) -> tuple[Alternative, ...]:
        """Doubtful if the words have several senses, or the synonym itself has."""
        own = {each.lemma for each in found}
        every = dict.fromkeys(synset for each in found for synset in each.synsets)
        sets = [frozenset(self._read_set(synset)) - own for synset in list(every)[:_MOST_SETS]]
        several = len(every) > _MOST_SETS or len(set(sets)) > 1
        lemmas = dict.fromkeys(lemma for each in sets for lemma in sorted(each))
        return tuple(
            Alternative(
                text=lemma.replace("_", " "),
                words=words,
                place="WordNet",
                doubtful=several or len(self._index.get(lemma, ())) > 1,
            )
            for lemma in lemmas
            if (words := keyed_words(lemma.replace("_", " "), self._analyzer))
        )

    def _read_index(self) -> dict[str, tuple[_Synset, ...]]:
        index: dict[str, tuple[_Synset, ...]] = {}
        for pos in _POS:
            name = f"index.{pos}"
            for number, line in enumerate(self._bytes(name).splitlines(), 1):
                if line.startswith(b"  ") or not line.strip():
                    continue  # the licence
                parsed = _INDEX_LINE.fullmatch(line.decode("utf-8", "replace"))
                if parsed is None or int(parsed[2]) != len(parsed[3]) // len(" 00000000"):
                    raise _damaged(self._folder / name, f"line {number}")
                synsets = tuple((pos, int(offset)) for offset in parsed[3].split())
                index[parsed[1]] = index.get(parsed[1], ()) + synsets
        if not index:
            raise _damaged(self._folder / "index.noun", "it has no lemma")
        return index

    def _bytes(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{self._folder / name} cannot be read: {error.strerror}.", hint=_HINT) from error

    def _read_set(self, synset: _Synset) -> list[str]:
        """The lemmas of a synonym set, in lower case."""
        pos, offset = synset
        path = self._folder / f"data.{pos}"
        try:
            with path.open("rb") as data:
                data.seek(offset)
                line = data.readline().decode("utf-8", "replace")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}.", hint=_HINT) from error
        parsed = _SET_LINE.match(line)
        if parsed is None or int(parsed[1]) != offset:
            raise _damaged(path, f"byte {offset}: no synonym set begins there")
        fields = parsed[3].split()
        count = int(parsed[2], 16)
        if len(fields) <= 2 * count:
            raise _damaged(path, f"byte {offset}: it has fewer words than it says")
        return [lemma.lower() for lemma in _plain(fields[: 2 * count : 2])]


def _plain(words: Sequence[str]) -> Iterator[str]:
    """Without the marker that says where an adjective may stand."""
    return (_MARKER.sub("", word) for word in words)


def _damaged(path: Path, where: str) -> ConfigurationError:
    return ConfigurationError(f"{path} is damaged, {where}.", hint="Install WordNet's files again.")
