"""Synonym files: what the syntax means, and what is said of a line that is no rule."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import ConfigurationError
from searchsvc.expansion.dictionary.synonyms import Rule, read_rules


def rules_of(folder: Path, text: str | bytes) -> tuple[Rule, ...]:
    file = folder / "own.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_rules(file)


def sides(folder: Path, text: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [(rule.left, rule.right) for rule in rules_of(folder, text)]


def test_words_that_mean_the_same_stand_on_both_sides(tmp_path: Path) -> None:
    assert sides(tmp_path, "蓝屏, blue screen,BSOD") == [(("蓝屏", "blue screen", "BSOD"),) * 2]


def test_an_arrow_leads_one_way(tmp_path: Path) -> None:
    assert sides(tmp_path, "断网, offline => 网络中断") == [(("断网", "offline"), ("网络中断",))]
    assert sides(tmp_path, "a=>b,c") == [(("a",), ("b", "c"))]


def test_comments_and_blank_lines_are_no_rules_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, "# a, b\n\n   \r\na, b\r\n  # indented\n c,d # not a comment\n")

    assert [(rule.line, rule.left) for rule in rules] == [(4, ("a", "b")), (6, ("c", "d # not a comment"))]
    assert [rule.place for rule in rules] == ["own.txt:4", "own.txt:6"]


def test_white_space_around_and_inside_entries_does_not_count(tmp_path: Path) -> None:
    assert sides(tmp_path, "\t a \t b ,  c  ") == [(("a b", "c"),) * 2]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"1\,000", "1,000"),
        (r"a \=> b", "a => b"),
        (r"a =\> b", "a => b"),
        (r"C:\\temp", "C:\\temp"),
        (r"\#channel", "#channel"),
        ("a=b", "a=b"),
        ("a > b", "a > b"),
        ("x == y", "x == y"),
    ],
)
def test_a_backslash_takes_a_character_as_it_is(tmp_path: Path, written: str, meant: str) -> None:
    assert sides(tmp_path, f"{written}, other") == [((meant, "other"),) * 2]


def test_a_byte_order_mark_is_no_part_of_the_first_entry(tmp_path: Path) -> None:
    [rule] = rules_of(tmp_path, b"\xef\xbb\xbfa, b")

    assert rule.left == ("a", "b")


@pytest.mark.parametrize(
    ("line", "problem", "hint"),
    [
        ("a => b => c", "it has two arrows", "one rule a line"),
        ("a, , b", "it has an empty entry", r"written `\,`"),
        ("a, b,", "it has an empty entry", "without a word beside it"),
        ("=> b", "it has an empty entry", "arrow without a word"),
        ("a =>", "it has an empty entry", "arrow without a word"),
        ("alone", "it has one entry only", "`a, b`"),
        ("a, b\\", "nothing follows the backslash", r"`\\`"),
    ],
)
def test_a_line_that_is_no_rule_is_named_with_what_to_do(tmp_path: Path, line: str, problem: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        rules_of(tmp_path, f"good, fine\n{line}\n")

    assert str(tmp_path / "own.txt") + ", line 2:" in raised.value.message
    assert problem in raised.value.message
    assert hint in raised.value.hint


def test_a_long_line_is_told_in_part(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        rules_of(tmp_path, "x" * 5000)

    assert len(raised.value.message) < 300


def test_a_line_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"own\.txt, line 2: not UTF-8\. Save the file"):
        rules_of(tmp_path, b"a, b\n" + "蓝屏, BSOD".encode("gb18030"))


def test_a_file_that_is_not_there_is_named_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.txt cannot be read: .*expander\.dictionaries"):
        read_rules(tmp_path / "nowhere.txt")


_ENTRY = (
    st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=12)
    .map(lambda text: " ".join(text.split()))
    .filter(bool)
)
_SIDE = st.lists(_ENTRY, min_size=1, max_size=4).map(tuple)


def _written(entry: str) -> str:
    for sign in ("\\", ",", "=", "#"):
        entry = entry.replace(sign, f"\\{sign}")
    return entry


@given(st.lists(st.tuples(_SIDE, _SIDE), max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rules: list) -> None:
    lines = [" => ".join(", ".join(map(_written, side)) for side in rule) for rule in rules]

    assert sides(tmp_path_factory.mktemp("rules"), "\n".join(lines)) == rules


@given(st.binary(max_size=60))
def test_any_file_is_read_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        rules = rules_of(folder, content)
    except ConfigurationError as error:
        problem = error
    else:
        assert all(entry for rule in rules for entry in (*rule.left, *rule.right))
        return
    assert "own.txt, line " in problem.message
    assert problem.hint
