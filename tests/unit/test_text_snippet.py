from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchsvc.text import snippet
from tests.support.analyzers import analyzer

ANALYZER = analyzer()
TEXT = st.text(st.characters()) | st.text(
    st.sampled_from("蓝屏死机網路 ，。a b.cé\u0301e\u0301ｶﾞＡ㍿\0\ud800😀👩\u200d💻葛\U000e0100")
)
CHARACTERS = ("e\u0301", "a", "क्", "क", "字", "葛\U000e0100", "👩\u200d💻", "ｶﾞ", " ", "藍屏", "蓝屏")
FILLER = "这里是一些别的内容。"


def _marked(text: str, query: str, **options: int) -> str:
    return snippet(text, ANALYZER.terms(query), **options)


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("如何安装Python环境，导入失败怎么办", "python 导入", "如何安装<em>Python</em>环境，<em>导入</em>失败怎么办"),
        ("蓝屏死机怎么办", "蓝屏 死机", "<em>蓝屏死机</em>怎么办"),
        ("中国科学院计算所", "中国科学院", "<em>中国科学院</em>计算所"),
        ("電腦藍屏了", "蓝屏", "電腦<em>藍屏</em>了"),
        ("电脑蓝屏了", "藍屏", "电脑<em>蓝屏</em>了"),
        ("Ｐｙｔｈｏｎ与python", "python", "<em>Ｐｙｔｈｏｎ</em>与<em>python</em>"),
        ("It runs; running ran.", "run", "It <em>runs</em>; <em>running</em> ran."),
        ("A ModuleNotFoundError here", "module error", "A <em>Module</em>NotFound<em>Error</em> here"),
        ("A ModuleNotFoundError here", "ModuleNotFoundError", "A <em>ModuleNotFoundError</em> here"),
        ("use node.js, not node", "node", "use <em>node</em>.js, not <em>node</em>"),
        ("reimport import", "import", "reimport <em>import</em>"),
        ("C++ and C# and C", "c#", "C++ and <em>C#</em> and C"),
        ("cafe\u0301s cafe\u0301", "café", "cafe\u0301s <em>cafe\u0301</em>"),
        ("ﬁle ㍿", "file 株式会社", "<em>ﬁle</em> <em>㍿</em>"),
        ("葛\U000e0100城", "葛", "<em>葛\U000e0100</em>城"),
        ("the error of the disk", "the error of", "the <em>error</em> of the disk"),
        ("to be or not to be", "to be", "<em>to</em> <em>be</em> or not <em>to</em> <em>be</em>"),
        ("nothing here", "elsewhere", "nothing here"),
        ("안녕하세요", "안녕", "<em>안녕</em>하세요"),
        ("a < b & 蓝屏", "蓝屏", "a < b & <em>蓝屏</em>"),
        ("", "蓝屏", ""),
    ],
)
def test_matched_words_are_marked_in_the_raw_text(text: str, query: str, expected: str) -> None:
    assert _marked(text, query) == expected


def test_no_terms_give_the_beginning_of_the_text() -> None:
    assert snippet("一二三四五六", [], length=4) == "一二三四…"


def test_the_window_shows_most_of_the_different_terms() -> None:
    text = "蓝屏。" * 5 + FILLER * 40 + "驱动冲突导致蓝屏死机。" + FILLER * 40

    shown = _marked(text, "蓝屏 死机 驱动", length=60)

    assert "<em>驱动</em>冲突导致<em>蓝屏死机</em>" in shown
    assert shown.startswith("…")
    assert shown.endswith("…")


def test_a_window_that_begins_inside_the_text_begins_after_a_mark_or_at_a_word() -> None:
    text = FILLER * 30 + "驱动冲突" + FILLER * 30
    english = "some words of no interest " * 30 + "then a firewall " + "and more words follow here " * 30

    assert _marked(text, "驱动", length=60)[1:].startswith(FILLER)
    words = _marked(english, "firewall", length=60).strip("…").split()
    assert set(words) <= {*english.split(), "<em>firewall</em>"}


def test_the_length_bounds_the_raw_text() -> None:
    text = (FILLER * 30 + "驱动冲突") * 3

    assert len(snippet(text, ["驱动"], length=50, pre="", post="").strip("…")) <= 50


def test_other_marks_can_be_given() -> None:
    assert snippet("蓝屏了", ["蓝屏"], pre="\x02", post="\x03") == "\x02蓝屏\x03了"


def test_matches_beyond_the_part_that_is_looked_at_are_not_shown() -> None:
    text = "内容" * 3_000 + "蓝屏"

    assert snippet(text, ["蓝屏"], length=10) == "内容" * 5 + "…"


@settings(deadline=None)
@given(TEXT, TEXT, st.integers(1, 30))
def test_a_snippet_without_its_marks_is_a_piece_of_the_text(text: str, query: str, length: int) -> None:
    terms = ANALYZER.terms(query)

    plain = snippet(text, terms, length=length, pre="", post="")

    start, end = plain.startswith("…") and plain not in text, plain.endswith("…") and plain not in text
    piece = plain[1 if start else 0 : -1 if end else None]
    assert piece in text
    assert len(piece) <= length or piece == text


@settings(deadline=None)
@given(st.lists(st.sampled_from(CHARACTERS), max_size=40), st.lists(st.sampled_from(CHARACTERS)), st.integers(1, 30))
def test_neither_cut_nor_mark_comes_before_a_combining_character(
    text: list[str], query: list[str], length: int
) -> None:
    shown = snippet("".join(text), ANALYZER.terms(" ".join(query)), length=length, pre="[", post="]")

    for before, after in pairwise(shown):
        assert not (before in "[]…" and (unicodedata.combining(after) or after in "\u200d\U000e0100"))
        assert not (before == "\u200d" and after in "[]…")


@settings(deadline=None)
@given(st.lists(st.sampled_from(["run", "Runs", "disk", "Disks", "蓝屏", "fast"]), min_size=1, max_size=8))
def test_every_word_of_a_short_text_that_is_a_term_is_marked(words: list[str]) -> None:
    shown = snippet(" ".join(words), ["run", "disk", "蓝屏"])

    expected = [word if word == "fast" else f"<em>{word}</em>" for word in words]
    assert shown == " ".join(expected)
