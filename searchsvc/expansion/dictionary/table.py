"""The rules of synonym files by the words that they are for, and those words found in a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from searchsvc.errors import ConfigurationError
from searchsvc.expansion.dictionary.synonyms import Rule
from searchsvc.expansion.dictionary.words import Alternative, KeyedWord, Match, joined_key, keyed_words, match_of
from searchsvc.text import Analyzer
from searchsvc.text.words import is_han, stem

_MOST_WORDS = 8
"""Of an entry that is looked for; a longer one is a sentence and never said again."""


@dataclass(frozen=True, slots=True)
class _Entry:
    text: str
    words: tuple[KeyedWord, ...]
    key: str


@dataclass(frozen=True, slots=True)
class _Keyed:
    """A rule whose entries are analysed."""

    rule: Rule
    right: tuple[_Entry, ...]
    asked: frozenset[str]
    """The keys of what it is for."""
    keys: frozenset[str]
    """Of both sides."""


class SynonymTable:
    """What synonym files know. Safe in several threads: nothing changes after it was made."""

    def __init__(self, rules: Sequence[Rule], analyzer: Analyzer, *, beneath: Sequence[Rule] = ()) -> None:
        """`beneath`: rules that give way where `rules` have another sense of a word.

        Raises ConfigurationError for an entry of which the analyser leaves nothing.
        """
        by_key: dict[str, list[_Keyed]] = {}
        for rule in rules:
            keyed = _keyed(rule, analyzer)
            for key in keyed.asked:
                by_key.setdefault(key, []).append(keyed)
        own = frozenset(by_key)
        for rule in beneath:
            keyed = _keyed(rule, analyzer)
            for key in keyed.asked:
                known = by_key.setdefault(key, [])
                if key not in own or _related(key, [*known, keyed]):
                    known.append(keyed)
        alternatives = {key: _alternatives(key, known) for key, known in by_key.items()}
        self._alternatives: Mapping[str, tuple[Alternative, ...]] = {
            key: found for key, found in alternatives.items() if found
        }

    def __len__(self) -> int:
        """How many entries it knows."""
        return len(self._alternatives)

    def find(self, words: Sequence[KeyedWord]) -> list[Match]:
        """The entries that stand in a text, the longest first from left to right, none over another.

        An entry may also stand inside a single Chinese word, or inside words that hyphens join.
        """
        matches: list[Match] = []
        place = 0
        while place < len(words):
            run = self._longest(words, place)
            if run is None:
                matches += self._inside(words[place], place)
                place += 1
            else:
                matches.append(run)
                place += run.length
        return matches

    def _longest(self, words: Sequence[KeyedWord], start: int) -> Match | None:
        for end in range(min(len(words), start + _MOST_WORDS), start, -1):
            found = self._alternatives.get(joined_key(word.key for word in words[start:end]))
            if found is not None:
                return match_of(words, start, end - start, found)
        return None

    def _inside(self, word: KeyedWord, place: int) -> list[Match]:
        if is_han(word.key):
            return self._pieces(list(word.key), place, "", shortest=2)
        if "-" in word.key:
            return self._pieces([stem(piece) for piece in word.key.split("-")], place, " ", shortest=1)
        return []

    def _pieces(self, pieces: Sequence[str], place: int, between: str, *, shortest: int) -> list[Match]:
        matches: list[Match] = []
        start = 0
        while start <= len(pieces) - shortest:
            for end in range(min(len(pieces), start + _MOST_WORDS), start + shortest - 1, -1):
                text = between.join(pieces[start:end])
                found = self._alternatives.get(text)
                if found is not None:
                    matches.append(Match(start=place, length=1, text=text, mass=1, alternatives=found))
                    start = end - 1
                    break
            start += 1
        return matches


def _keyed(rule: Rule, analyzer: Analyzer) -> _Keyed:
    left = tuple(_entry(text, rule, analyzer) for text in rule.left)
    right = left if rule.right == rule.left else tuple(_entry(text, rule, analyzer) for text in rule.right)
    asked = frozenset(entry.key for entry in left)
    return _Keyed(rule, right, asked, asked.union(entry.key for entry in right))


def _entry(text: str, rule: Rule, analyzer: Analyzer) -> _Entry:
    words = keyed_words(text, analyzer)
    if not words:
        raise ConfigurationError(
            f"{rule.file}, line {rule.line}: {text!r} has no word that is indexed.",
            hint="Take the entry away, or write a comma inside an entry as `\\,`.",
        )
    return _Entry(text, words, joined_key(word.key for word in words))


def _alternatives(key: str, rules: Sequence[_Keyed]) -> tuple[Alternative, ...]:
    """Each once, in the order of the rules; doubtful where rules that have nothing else in common give them."""
    doubtful = not _related(key, rules)
    found: dict[str, Alternative] = {}
    for keyed in rules:
        for entry in keyed.right:
            if entry.key != key and entry.key not in found:
                found[entry.key] = Alternative(
                    text=entry.text, words=entry.words, place=keyed.rule.place, doubtful=doubtful
                )
    return tuple(found.values())


def _related(key: str, rules: Sequence[_Keyed]) -> bool:
    """Whether other words than `key` chain all the rules together: then they are one sense of it."""
    apart = [set(keyed.keys - {key}) for keyed in rules]
    apart = [keys for keys in apart if keys]
    sense = apart.pop() if apart else set()
    while apart:
        near = next((keys for keys in apart if not sense.isdisjoint(keys)), None)
        if near is None:
            return False
        apart.remove(near)
        sense |= near
    return True
