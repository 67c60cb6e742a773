"""Words as the dictionary compares them, and what was found for those of a query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from searchsvc.text import Analyzer, is_stop_word
from searchsvc.text.words import is_han, stem


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedWord:
    """A whole word of a text."""

    key: str
    """What is compared: the index term, and of an identifier its stem, so that its case does not matter."""
    term: str
    """The index term."""
    surface: str
    """As the text has it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alternative:
    """What a dictionary gives for some words."""

    text: str
    """As the dictionary has it."""
    words: tuple[KeyedWord, ...]
    place: str
    """Where the dictionary has it."""
    doubtful: bool
    """The words, or this one, have several senses: it is added only where the index bears it out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Match:
    """Words of a query that a dictionary knows."""

    start: int
    """The place of the first of them among the words of the query, 0-based."""
    length: int
    """How many words."""
    text: str
    """The words as the query has them."""
    mass: int
    """How many of them say something; never 0."""
    alternatives: tuple[Alternative, ...]


def match_of(words: Sequence[KeyedWord], start: int, length: int, alternatives: tuple[Alternative, ...]) -> Match:
    """That of `length` words from `start`."""
    run = words[start : start + length]
    mass = sum(not is_stop_word(word.surface) for word in run)
    return Match(start=start, length=length, text=spoken(run), mass=max(1, mass), alternatives=alternatives)


def keyed_words(text: str, analyzer: Analyzer) -> tuple[KeyedWord, ...]:
    """The whole words of `text` in order, stop words too."""
    return tuple(
        KeyedWord(key=_key(word.term, word.surface), term=word.term, surface=word.surface)
        for word in analyzer.words(text, parts=False)
    )


def joined_key(keys: Iterable[str]) -> str:
    """The key of several words: Chinese ones without a space between them, however they are cut."""
    joined = ""
    for key in keys:
        spaced = joined and not (is_han(joined[-1]) and is_han(key))
        joined += f" {key}" if spaced else key
    return joined


def spoken(words: Iterable[KeyedWord]) -> str:
    """The words for a person to read."""
    text = ""
    for word in words:
        spaced = text and not (is_han(text[-1]) and is_han(word.surface))
        text += f" {word.surface}" if spaced else word.surface
    return text


def _key(term: str, surface: str) -> str:
    """The stem also where the term is none: `NullPointerException` and `nullpointerexception` are one word."""
    return stem(term) if term == surface.lower() else term
