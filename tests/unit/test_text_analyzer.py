from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchsvc.errors import ConfigurationError
from searchsvc.text import Analyzer, Word
from tests.support.analyzers import analyzer

ANY_TEXT = st.text(st.characters())
MIXED_TEXT = st.text(
    st.sampled_from("的蓝屏網路 \t\n\u3000\u00a0\u0085\u200b\0\ud800\udc00aBcZ09_.-'’+#/ｶﾞカ한글éİßп\u0301กิ\u2028𠮷😀㍿")
)


ANALYZER = analyzer()


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("ModuleNotFoundError", ["modulenotfounderror", "modul", "not", "found", "error"]),
        ("NullPointerException", ["nullpointerexception", "nullpointerexcept", "null", "pointer", "except"]),
        ("nullpointerexception", ["nullpointerexcept"]),
        ("snake_case", ["snake_case", "snake", "case"]),
        ("MAX_VALUE", ["max_value", "max", "valu"]),
        ("__init__", ["__init__", "init"]),
        ("dotted.names", ["dotted.names", "dot", "name"]),
        ("kebab-case", ["kebab-case", "kebab", "case"]),
        ("java.lang.String", ["java.lang.string", "java", "lang", "string"]),
        ("0x80070005", ["0x80070005"]),
        ("0xDEADbeef", ["0xdeadbeef"]),
        ("c++ C++11", ["c++", "c++", "11"]),
        ("C# c#编程 F#", ["c#", "c#", "编程", "f#"]),
        ("node.js", ["node.js", "node", "js"]),
        ("UTF-8", ["utf-8", "utf", "8"]),
        ("3.11.7", ["3.11.7"]),
        ("v1.2.3", ["v1.2.3", "1.2.3"]),
        ("python3.11", ["python3.11", "python", "3.11"]),
        ("10GB", ["10gb", "10", "gb"]),
        ("k8s i18n", ["k8s", "i18n"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("iPhone", ["iphone", "iphon", "phone"]),
        ("URLs IDs", ["url", "id"]),
        ("Errors ERRORS errors", ["error", "error", "error"]),
        ("don't John’s O'Reilly", ["don't", "john", "o'reilli"]),
        ("C:\\Windows\\System32", ["c", "window", "system32", "system", "32"]),
        ("https://example.com/a_b", ["https", "example.com", "exampl", "com", "a_b"]),
        ("issue#5", ["issu", "5"]),
        ("____ --- ???", []),
        ("", []),
    ],
)
def test_english_words_and_identifiers(text: str, terms: list[str]) -> None:
    assert ANALYZER.terms(text) == terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("中国科学院", ["中国", "科学", "学院", "科学院", "中国科学院"]),
        ("安装Python环境", ["安装", "python", "环境"]),
        ("カタカナ", ["カタ", "タカ", "カナ"]),
        ("ｶﾞ", ["ガ"]),
        ("한국어 말", ["한국", "국어", "말"]),
        ("𠮷野家", ["𠮷", "野家"]),
        ("Привет, МИР", ["привет", "мир"]),
        ("Café naïve-Bayes", ["café", "naïve-bayes", "naïve", "bay"]),
        ("cafe\u0301", ["café"]),
        ("हिन्दी", ["हिन्दी"]),
        ("Ｐｙｔｈｏｎ", ["python"]),
    ],
)
def test_other_scripts(text: str, terms: list[str]) -> None:
    assert ANALYZER.terms(text) == terms


@pytest.mark.parametrize(
    ("traditional", "simplified"),
    [
        ("記憶體不足", "记忆体不足"),
        ("網路連線失敗", "网路连线失败"),
        ("哪一個朝代是妃嬪位號最多的時代", "哪一个朝代是妃嫔位号最多的时代"),
    ],
)
def test_traditional_and_simplified_characters_give_the_same_terms(traditional: str, simplified: str) -> None:
    assert ANALYZER.terms(traditional) == ANALYZER.terms(simplified)


@settings(deadline=None)
@given(ANY_TEXT | MIXED_TEXT)
def test_terms_of_any_text_survive_a_whitespace_analyser(text: str) -> None:
    terms = ANALYZER.terms(text)

    assert " ".join(terms).split() == terms
    for term in terms:
        assert 0 < len(term.encode("utf-16-le")) <= 2 * 255
        assert not set(term) & {"\0", "\u00a0", "\u0085", "\u200b", "\u3000"}
        assert term == term.lower()


@settings(deadline=None)
@given(ANY_TEXT | MIXED_TEXT)
def test_words_are_the_terms_and_their_surfaces_stand_in_the_text(text: str) -> None:
    words = ANALYZER.words(text)

    assert [word.term for word in words] == ANALYZER.terms(text)
    assert all(word.surface for word in words)


@settings(deadline=None)
@given(st.lists(MIXED_TEXT, max_size=4))
def test_lines_do_not_touch_each_other(texts: list[str]) -> None:
    texts = [text.replace("\ud800", "").replace("\udc00", "") for text in texts]

    assert ANALYZER.terms("\n。\n".join(texts)) == [term for text in texts for term in ANALYZER.terms(text)]


def test_surfaces_are_as_the_user_wrote_them() -> None:
    assert ANALYZER.words("藍屏 Ｅｒｒｏｒｓ!") == [Word("蓝屏", "藍屏"), Word("error", "Ｅｒｒｏｒｓ")]
    assert [word.surface for word in ANALYZER.words("NotFound")] == ["NotFound", "Not", "Found"]
    assert [word.surface for word in ANALYZER.words("\U00011099\U000110ba x")] == ["\U0001109a", "x"]
    assert [word.surface for word in ANALYZER.words("㍿")] == ["㍿"] * len(ANALYZER.terms("㍿"))


def test_whole_words_leave_out_what_is_inside_them() -> None:
    words = ANALYZER.words("中国科学院的 ModuleNotFoundError", parts=False)

    assert [word.term for word in words] == ["中国科学院", "的", "modulenotfounderror"]


def test_long_tokens_are_cut_at_255_utf16_units() -> None:
    assert ANALYZER.terms("a1" * 200) == ["a1" * 127 + "a"]
    assert ANALYZER.terms("\U00010428" * 300) == ["\U00010428" * 127]
    assert ANALYZER.terms("x" * 300) == ANALYZER.terms("x" * 301)


def test_a_long_run_without_a_mark_is_cut_in_time_that_grows_with_its_length() -> None:
    assert len(ANALYZER.terms("的" * 20_000)) == 20_000
    assert "".join(analyzer("jieba").terms("蘐" * 2_000)).count("蘐") >= 2_000


def test_the_fingerprint_tells_dictionaries_apart_but_not_segmenters(tmp_path: Path) -> None:
    dictionary = tmp_path / "words.txt"
    dictionary.write_text("空指针 100 n\n", "utf-8")
    other = tmp_path / "other.txt"
    other.write_text("空指针 200 n\n", "utf-8")

    prints = {ANALYZER.fingerprint, Analyzer(dictionary).fingerprint, Analyzer(other).fingerprint}

    assert len(prints) == 3
    assert analyzer("jieba").fingerprint == analyzer("rjieba").fingerprint
    assert Analyzer(dictionary).fingerprint == Analyzer(dictionary, segmenter="jieba").fingerprint


@pytest.mark.parametrize("segmenter", ["jieba", "rjieba"])
def test_a_user_dictionary_keeps_words_whole_in_its_own_analyzer_only(tmp_path: Path, segmenter: str) -> None:
    dictionary = tmp_path / "words.txt"
    dictionary.write_bytes("\ufeff空指针\n\n網卡驅動 n\r\n云服务器 20000\nEdge浏览器 5 n\n".encode())

    mine = Analyzer(dictionary, segmenter=segmenter)  # type: ignore[arg-type] # a parameter of the test

    for word in ("空指针", "网卡驱动", "云服务器"):
        assert mine.terms(f"出现{word}异常")[-2] == word
        assert word not in ANALYZER.terms(f"出现{word}异常")


@pytest.mark.parametrize(
    "line", ["空指针 一万 n", "空指针 0", "空指针 100 N", "空 指 针 n", "空指针 -5", "空指针 9999999999"]
)
def test_a_bad_line_of_a_user_dictionary_is_named(tmp_path: Path, line: str) -> None:
    dictionary = tmp_path / "words.txt"
    dictionary.write_text(f"断网 3 n\n{line}\n", "utf-8")

    with pytest.raises(ConfigurationError) as caught:
        Analyzer(dictionary)

    assert f"{dictionary}, line 2" in caught.value.message
    assert line in caught.value.message


def test_a_user_dictionary_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.txt"
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"\xff\xfe\x00\n")

    with pytest.raises(ConfigurationError, match=r"none\.txt"):
        Analyzer(missing)
    with pytest.raises(ConfigurationError, match=r"binary\.txt, line 1: not UTF-8"):
        Analyzer(binary)


def test_several_threads_get_the_terms_of_one() -> None:
    texts = [f"第{number}次出现 NullPointerException{number} 空指针异常 running" for number in range(200)]
    expected = [ANALYZER.terms(text) for text in texts]
    got: dict[int, list[list[str]]] = {}

    def work(number: int) -> None:
        got[number] = [ANALYZER.terms(text) for text in texts]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert list(got.values()) == [expected] * 4


@pytest.mark.slow
def test_jieba_is_loaded_quietly_and_leaves_its_global_dictionary_and_the_shared_temporary_folder_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "tmp").mkdir()
    code = (
        "import sys; from searchsvc.text import Analyzer\n"
        "assert Analyzer(segmenter='jieba').terms('网络不通') == ['网络', '不通']\n"
        "assert not sys.modules['jieba'].dt.initialized"
    )
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "tmp")}

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (tmp_path / "cache" / "searchsvc").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("cache", ["/dev/null/nowhere", "/proc/nowhere"])
def test_jieba_works_without_a_folder_for_its_cache(monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", cache)

    assert Analyzer(segmenter="jieba").terms("网络不通") == ["网络", "不通"]
