"""Which scripts a text is written in: the language check of what a model wrote."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache

WELCOME = frozenset({"LATIN", "CJK"})
"""Technical terms are English in every language, and a collection may be Chinese and English."""


def scripts_of(text: str) -> Counter[str]:
    """How many letters `text` has of each script, by Unicode's names: LATIN, CJK, CYRILLIC; KANA is one."""
    return Counter(script for script in map(_script, text) if script)


def is_foreign(text: str, user_query: str) -> bool:
    """Whether most letters of `text` are of scripts that are neither welcome everywhere nor in the query."""
    letters = scripts_of(text)
    known = WELCOME | scripts_of(user_query).keys()
    return sum(count for script, count in letters.items() if script not in known) * 2 > letters.total()


@lru_cache(maxsize=1 << 13)
def _script(character: str) -> str:
    """The first word of the letter's name, without its width; empty for whatever is no letter."""
    plain = unicodedata.normalize("NFKC", character)[:1]
    name = unicodedata.name(plain, "") if plain.isalpha() else ""
    return "KANA" if name.startswith(("HIRAGANA", "KATAKANA")) else name.partition(" ")[0]
