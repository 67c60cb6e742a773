from __future__ import annotations

import unicodedata
from bisect import bisect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchsvc.text.folding import changes_words, fold, fold_with_origins, raw_span

ANY_TEXT = st.text(st.characters())
"""Surrogates and NUL too."""
TRICKY_TEXT = st.text(st.sampled_from("aé e\u0301 ｶﾞｶ ㍿ﬁ½ 藍屏 乾坤 \u1100\u1161 \u00ad\0\ud83d\ude00𠮷Ａ２，。"))


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Ｐｙｔｈｏｎ３", "Python3"),
        ("ﬁle", "file"),
        ("e\u0301", "é"),
        ("記憶體", "记忆体"),
        ("乾坤與乾燥", "乾坤与干燥"),
        ("a\0b", "ab"),
        ("a\ud800b", "ab"),
        ("exam\u00adple é", "example é"),
        ("Java", "Java"),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded


@settings(deadline=None)
@given(ANY_TEXT | TRICKY_TEXT)
def test_folding_twice_changes_nothing_more_and_gives_text_that_can_be_stored(text: str) -> None:
    folded = fold(text)

    assert fold(folded) == folded
    assert "\0" not in folded
    assert folded.encode().decode() == folded


@settings(deadline=None)
@given(ANY_TEXT | TRICKY_TEXT)
def test_every_folded_character_comes_from_a_place_of_the_raw_text_and_the_places_do_not_go_back(text: str) -> None:
    aligned = fold_with_origins(text)
    if aligned is None:
        return
    folded, origins = aligned

    assert folded == fold(text)
    assert len(origins) == len(folded) + 1
    assert list(origins) == sorted(origins)
    for index in range(len(folded)):
        start, end = raw_span(origins, index, index + 1)
        assert 0 <= start < end <= len(text)


@pytest.mark.parametrize(
    "text", ["ｶﾞﾌﾟ", "e\u0301a\u0323\u0302", "\u1100\u1161\u11a8", "㍿x", "a\0ﬁ", "葛\U000e0100飾", "\ud83d\ude00x"]
)
def test_characters_that_melt_or_grow_are_followed(text: str) -> None:
    aligned = fold_with_origins(text)

    assert aligned is not None
    folded, origins = aligned
    assert folded == fold(text)
    assert text[slice(*raw_span(origins, 0, len(folded)))] == text


@settings(deadline=None)
@given(st.lists(st.sampled_from(["é", "e\u0301", "ｶﾞ", "㍿", "ﬁ", "藍", "a", " ", "\0", "𠮷", "각"])))
def test_a_character_of_the_folded_text_comes_from_the_character_that_gave_it(characters: list[str]) -> None:
    aligned = fold_with_origins("".join(characters))

    assert aligned is not None
    folded, origins = aligned
    expected = [number for number, character in enumerate(characters) for _ in fold(character)]
    starts = [sum(map(len, characters[:number])) for number in range(len(characters))]
    assert [bisect(starts, origin) - 1 for origin in origins[: len(folded)]] == expected


def test_characters_of_rare_scripts_that_melt_are_not_followed() -> None:
    assert fold_with_origins("\U00011099\U000110ba") is None


@settings(deadline=None)
@given(TRICKY_TEXT | ANY_TEXT)
def test_a_text_of_which_it_is_said_that_no_word_changes_keeps_its_letters(text: str) -> None:
    if changes_words(text):
        return
    kept = [character for character in text if unicodedata.category(character)[0] in "LN"]

    assert [character for character in kept if fold(character) not in {character, ""}] == []
