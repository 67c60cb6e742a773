"""The lexicon that comes with the service, and how rules are found in a query."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.expansion.dictionary.loading import LEXICON, load_dictionary
from searchsvc.expansion.dictionary.synonyms import Rule, read_rules
from searchsvc.expansion.dictionary.table import SynonymTable
from searchsvc.expansion.dictionary.words import Match, keyed_words
from searchsvc.text import Analyzer, is_stop_word
from searchsvc.text.words import is_han
from tests.support.analyzers import analyzer

RULES = read_rules(LEXICON)
TABLE = SynonymTable(RULES, analyzer())
ROOT = Path(__file__).parent.parent.parent


def rule(left: str, right: str | None = None, line: int = 1, file: str = "own.txt") -> Rule:
    entries = tuple(left.split("|"))
    return Rule(left=entries, right=entries if right is None else tuple(right.split("|")), file=Path(file), line=line)


def find(table: SynonymTable, query: str) -> list[Match]:
    return table.find(keyed_words(query, analyzer()))


def found(query: str, *rules: Rule) -> dict[str, list[str]]:
    table = SynonymTable(rules, analyzer()) if rules else TABLE
    return {match.text: [each.text for each in match.alternatives] for match in find(table, query)}


def _keys(entries: tuple[str, ...]) -> list[str]:
    return [" ".join(word.key for word in keyed_words(entry, analyzer())) for entry in entries]


@pytest.mark.parametrize("each", RULES, ids=lambda each: f"line {each.line}")
def test_every_entry_of_the_lexicon_says_something_to_the_analyser(each: Rule) -> None:
    for entry in (*each.left, *each.right):
        words = keyed_words(entry, analyzer())
        assert 1 <= len(words) <= 6, entry
        assert any(not is_stop_word(word.surface) or is_han(word.key) for word in words), entry
        assert len("".join(word.term for word in words)) > 1, entry
    brought = [word for entry in each.right for word in keyed_words(entry, analyzer())]
    assert any(not is_stop_word(word.surface) and len(word.term) > 1 for word in brought)


def test_no_entry_of_the_lexicon_is_looked_for_twice() -> None:
    counts = Counter(key for each in RULES for key in _keys(each.left))

    assert {key: count for key, count in counts.items() if count > 1} == {}


def test_no_rule_of_the_lexicon_says_a_thing_twice_or_says_nothing() -> None:
    for each in RULES:
        right = _keys(each.right)
        assert len(set(right)) == len(right), each
        assert any(set(right) - {key} for key in _keys(each.left)), each


def test_the_lexicon_is_of_one_sense_and_of_two_languages() -> None:
    both = [each for each in RULES if {_script(entry) for entry in (*each.left, *each.right)} == {True, False}]

    assert 300 <= len(RULES) <= 650
    assert len(both) > 0.9 * len(RULES)
    doubtful = [match.text for each in RULES for entry in each.left for match in find(TABLE, entry) if _open(match)]
    assert doubtful == []


def test_every_entry_of_the_lexicon_is_found_as_it_stands() -> None:
    missed = [
        entry
        for each in RULES
        for entry in each.left
        if set(_keys(each.right)) - set(_keys((entry,))) and len(find(TABLE, entry)) != 1
    ]

    assert missed == []


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("电脑蓝屏了怎么办", "BSOD"),
        ("Blue Screens after an update", "蓝屏"),
        ("電腦藍屏", "blue screen"),
        ("java空指针", "NullPointerException"),
        ("NULLPOINTEREXCEPTION", "空指针"),
        ("nullpointerexception", "空指针"),
        ("python import error", "ModuleNotFoundError"),
        ("python 导入失败", "ModuleNotFoundError"),
        ("家里断网了", "no internet"),
        ("服务器连不上", "无法连接"),
        ("程序卡死", "无响应"),
        ("软件打不开", "启动失败"),
        ("忘记密码了", "reset password"),
        ("blue-screen", "蓝屏"),
        ("端口被占用", "EADDRINUSE"),
        ("开启两步验证", "2FA"),
    ],
)
def test_the_lexicon_knows_what_people_say(query: str, wanted: str) -> None:
    assert wanted in [text for alternatives in found(query).values() for text in alternatives]


def test_the_lexicon_is_in_what_is_built() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert LEXICON.relative_to(ROOT).parts[0] in built["packages"]
    assert LEXICON.relative_to(ROOT).parts[-1] == "it.synonyms.txt"


def test_the_longest_entry_wins_from_left_to_right() -> None:
    rules = (rule("blue screen|BSOD"), rule("blue|蓝色", line=2), rule("screen|屏幕", line=3))

    assert found("a blue screen", *rules) == {"blue screen": ["BSOD"]}
    assert found("blue big screen", *rules) == {"blue": ["蓝色"], "screen": ["屏幕"]}


def test_chinese_entries_are_found_however_they_are_cut() -> None:
    rules = (rule("网络不通|unreachable"), rule("蓝屏|BSOD", line=2))

    assert found("linux网络不通", *rules) == {"网络不通": ["unreachable"]}
    assert found("linux 网络 不通", *rules) == {"网络不通": ["unreachable"]}
    assert found("電腦藍屏", *rules) == {"藍屏": ["BSOD"]}


def test_a_chinese_entry_is_found_inside_a_longer_word_but_never_across_words() -> None:
    network = rule("网络|network")

    assert found("无线网络", network) == {"网络": ["network"]}
    assert found("一张网络上", network) in ({"网络": ["network"]}, {})
    assert found("上网络绎不绝", network) == {}


def test_one_way_rules_lead_one_way() -> None:
    one_way = rule("断网", "网络中断|offline")

    assert found("断网", one_way) == {"断网": ["网络中断", "offline"]}
    assert found("offline", one_way) == {}


def test_rules_that_share_a_word_are_one_sense_and_each_alternative_comes_once() -> None:
    rules = (rule("打印机|printer"), rule("打印机|printer|打印设备", line=7, file="lexicon.txt"))
    [match] = find(SynonymTable(rules, analyzer()), "打印机")

    assert [(each.text, each.place, each.doubtful) for each in match.alternatives] == [
        ("printer", "own.txt:1", False),
        ("打印设备", "lexicon.txt:7", False),
    ]


def test_a_word_in_rules_that_share_nothing_else_is_doubtful() -> None:
    rules = (rule("apple|苹果电脑|macOS"), rule("apple", "水果", line=2))
    [match] = find(SynonymTable(rules, analyzer()), "apple")

    assert [(each.text, each.doubtful) for each in match.alternatives] == [
        ("苹果电脑", True),
        ("macOS", True),
        ("水果", True),
    ]


def test_the_lexicon_gives_way_to_rules_of_ones_own_unless_they_share_a_word() -> None:
    lexicon = (
        rule("token", "令牌|login token", file="lexicon.txt"),
        rule("printer|打印机", file="lexicon.txt", line=2),
    )

    def given(*own: Rule) -> list[tuple[str, bool]]:
        matches = find(SynonymTable(own, analyzer(), beneath=lexicon), "token")
        return [(each.text, each.doubtful) for match in matches for each in match.alternatives]

    assert given() == [("令牌", False), ("login token", False)]
    assert given(rule("token", "代币")) == [("代币", False)]
    assert given(rule("token", "令牌|口令牌")) == [("令牌", False), ("口令牌", False), ("login token", False)]
    assert given(rule("printer|plotter")) == given()


def test_rules_are_one_sense_if_words_chain_them_together() -> None:
    rules = (rule("a1|b1"), rule("a1|c1", line=2), rule("a1|b1|c1", line=3))
    [match] = find(SynonymTable(rules, analyzer()), "a1")

    assert not _open(match)


def test_the_mass_of_a_match_is_its_words_that_say_something() -> None:
    rules = (rule("cannot print page|打印失败"), rule("however|尽管如此", line=2))

    assert [match.mass for match in find(SynonymTable(rules, analyzer()), "cannot print page however")] == [2, 1]


def test_an_entry_without_an_index_term_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"own\.txt, line 4: '\?\?\?' has no word that is indexed"):
        SynonymTable((rule("???|question", line=4),), analyzer())


def test_the_lexicon_is_analysed_once_for_each_analysis(tmp_path: Path) -> None:
    own = tmp_path / "words.txt"
    own.write_text("空指针异常 5 n\n", "utf-8")

    first, again = load_dictionary((), Analyzer()), load_dictionary((), Analyzer())
    other = load_dictionary((), Analyzer(own))

    assert first is not None
    assert again is not None
    assert other is not None
    assert first.table is again.table
    assert first.table is not other.table


def test_without_files_lexicon_and_wordnet_there_is_no_dictionary(tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text("甲乙丙, abc\n", "utf-8")

    assert load_dictionary((), analyzer(), lexicon=False) is None
    assert len(load_dictionary((own,), analyzer(), lexicon=False).table) == 2
    assert len(load_dictionary((own,), analyzer()).table) == len(TABLE) + 2
    assert load_dictionary((), analyzer()).wordnet is None


def _script(entry: str) -> bool:
    return any(is_han(character) for character in entry)


def _open(match: Match) -> bool:
    return any(each.doubtful for each in match.alternatives)
