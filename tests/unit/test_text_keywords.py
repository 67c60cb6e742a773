from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchsvc.text import Keyword, extract_keywords, is_stop_word
from tests.support.analyzers import analyzer

ANALYZER = analyzer()
COMPLETION = (
    "Java 程序抛出 NullPointerException（空指针异常）是因为对象没有初始化，需要检查对象是否为 null。"
    "Errors like this error are common."
)


def _terms(text: str, **options: int) -> list[str]:
    return [keyword.term for keyword in extract_keywords(text, ANALYZER, **options)]


def test_keywords_of_a_completion_are_content_words_in_index_form() -> None:
    terms = _terms(COMPLETION)

    assert {"java", "nullpointerexception", "指针", "异常", "对象", "初始化", "null", "error"} <= set(terms)
    assert not {"没有", "需要", "因为", "是否", "this", "are", "是", "为", "like"} & set(terms)
    assert set(terms) <= set(ANALYZER.terms(COMPLETION))


def test_a_keyword_counts_its_forms_and_shows_the_first() -> None:
    keywords = {keyword.term: keyword for keyword in extract_keywords(COMPLETION, ANALYZER, idf=lambda term: 3.0)}

    assert keywords["error"] == Keyword(term="error", surface="Errors", frequency=2, weight=6.0)
    assert keywords["对象"].frequency == 2


def test_the_weightiest_come_first_and_equal_ones_as_they_stand_in_the_text() -> None:
    text = "内存 网络 内存 端口 权限"
    idf = {"权限": 9.0}

    keywords = extract_keywords(text, ANALYZER, idf=lambda term: idf.get(term, 1.0), top_k=3)

    assert [keyword.term for keyword in keywords] == ["权限", "内存", "网络"]


def test_the_table_of_jieba_weighs_words_when_no_index_does() -> None:
    weights = {keyword.term: keyword.weight for keyword in extract_keywords("防火墙 公司 zyxwv", ANALYZER)}

    assert weights["防火墙"] > weights["公司"] > 0
    assert weights["zyxwv"] > weights["公司"]


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("蓝屏", ["蓝屏"]),
        ("异常 更新 同步", ["异常", "更新", "同步"]),
        ("北京大学 张三丰", ["北京大学", "张三丰"]),
        ("我们 因为 三个 昨天 毫米 但是 立即", []),
        ("车 网 c 7", []),
        ("2024 3.11 0x80070005 c++ utf-8", ["0x80070005", "c++", "utf-8"]),
        ("the of running", ["run"]),
        ("", []),
    ],
)
def test_what_passes_the_filter_by_part_of_speech(text: str, passing: list[str]) -> None:
    assert sorted(_terms(text)) == sorted(passing)


def test_traditional_text_gives_the_keywords_of_simplified_text_with_its_own_surfaces() -> None:
    keyword = extract_keywords("防火牆", ANALYZER)[0]

    assert (keyword.term, keyword.surface) == ("防火墙", "防火牆")


def test_both_segmenters_give_the_same_keywords() -> None:
    assert extract_keywords(COMPLETION, analyzer("jieba")) == extract_keywords(COMPLETION, analyzer("rjieba"))


@settings(deadline=None)
@given(st.text(st.characters()))
def test_keywords_of_any_text_are_index_terms_and_no_stop_words(text: str) -> None:
    terms = _terms(text)

    assert len(set(terms)) == len(terms)
    assert set(terms) <= set(ANALYZER.terms(text))
    assert not any(is_stop_word(term) for term in terms)


@pytest.mark.parametrize(
    "word", ["the", "does", "doesn't", "doesnt", "using", "use", "whi", "veri", "的", "怎么办", "什么"]
)
def test_words_without_a_topic_and_their_stems_are_stop_words(word: str) -> None:
    assert is_stop_word(word)


@pytest.mark.parametrize(
    "word", ["python", "error", "null", "import", "network", "蓝屏", "网络", "失败", "安装", "异常"]
)
def test_words_of_a_trade_are_no_stop_words(word: str) -> None:
    assert not is_stop_word(word)
