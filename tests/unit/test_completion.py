from __future__ import annotations

import contextlib
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import BadModelOutput
from searchsvc.expansion.completion import MAX_CHARACTERS, MAX_TERMS, Answer, read_answer
from searchsvc.expansion.prompts import Language, find_prompt
from searchsvc.protocols import ChatReply
from searchsvc.result import ModelCall

PASSAGE = "ModuleNotFoundError means that the interpreter cannot find the package; install it with pip."
GOOD = json.dumps({"completion": PASSAGE})
TERMS = ("ModuleNotFoundError", "missing package", "sys.path")
LIST = json.dumps({"terms": TERMS})
QUERIES: dict[Language, str] = {"zh": "python 导入失败", "en": "cannot import in python"}


def answered(
    text: str,
    *,
    finish_reason: str = "stop",
    language: Language = "en",
    prompt: str = "complete",
    user_query: str | None = None,
) -> Answer:
    reply = ChatReply(text=text, finish_reason=finish_reason, call=ModelCall(model="m"))
    return read_answer(reply, find_prompt(prompt, language), user_query or QUERIES[language])


def read(text: str, **options: Any) -> str:
    answer = answered(text, **options)
    assert answer.terms == ()
    return answer.text


def listed(text: str, **options: Any) -> tuple[str, ...]:
    return answered(text, prompt="terms", **options).terms


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"\n  {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```",
        f"Sure! Here is the JSON:\n```json\n{GOOD}\n```\nDoes it help?",
        f"Here you are: {GOOD} That is all.",
        f"In {{braces}} first, then {GOOD}",
        f'{{"thought": {{"a": 1}}}} {GOOD}',
        json.dumps({"completion": PASSAGE, "more": [1, 2]}, indent=4),
        PASSAGE,
        f"```\n{PASSAGE}\n```",
        f"[{GOOD}]",
        f"[\n  {GOOD},\n]",
        GOOD[:-1] + ",}",
        GOOD[:-1],
        f'{{"answer": {GOOD}}}',
        f"{GOOD}\n{GOOD}",
        '{"completion": "..."}\n' + GOOD,
        GOOD.replace(" cannot", "\n\tcannot"),
    ],
)
def test_a_completion_is_found_in_whatever_a_model_wraps_it_in(text: str) -> None:
    assert read(text) == PASSAGE


def test_whole_json_counts_even_at_the_token_limit() -> None:
    assert read(GOOD + "\n" * 50, finish_reason="length") == PASSAGE


@pytest.mark.parametrize("length", range(1, len(GOOD), 7))
def test_cut_json_is_bad_output(length: int) -> None:
    with pytest.raises(BadModelOutput):
        read(GOOD[:length], finish_reason="length")


@pytest.mark.parametrize(
    "text",
    [
        '{"completion": }',
        "{'completion': 'in quotes of Python'}",
        '["a list"]',
        '{"completion": null}',
        '{"completion": ["a"]}',
        '{"completion": 3}',
        '{"answer": "text"}',
        "{" * 100_000,
        '{"a":' * 100_000,
        '[{"completion": ',
    ],
    ids=lambda text: text[:20],
)
def test_json_without_a_completion_is_bad_output(text: str) -> None:
    with pytest.raises(BadModelOutput, match="no JSON object"):
        read(text)


@pytest.mark.parametrize("text", ["", " \n", "...", '{"completion": ""}', '{"completion": " -- "}', "```json\n```"])
def test_nothing_is_bad_output(text: str) -> None:
    with pytest.raises(BadModelOutput, match="empty"):
        read(text)


TWO = "The interpreter cannot find sys.path entries. Install the package with pip and"
ZWEI = "解释器找不到模块，例如 sys.path 不对。请用 pip 安装"


@pytest.mark.parametrize(
    ("text", "finish_reason", "kept"),
    [
        (json.dumps({"completion": TWO})[:-4], "length", "The interpreter cannot find sys.path entries."),
        (json.dumps({"completion": TWO})[:-4], "stop", "The interpreter cannot find sys.path entries."),
        ("```json\n" + json.dumps({"completion": TWO})[:-9], "length", "The interpreter cannot find sys.path entries."),
        (TWO, "length", "The interpreter cannot find sys.path entries."),
        ('{"completion": "One \\"quoted.\\" sentence. Two \\u4f', "length", 'One "quoted." sentence.'),
        ('{"completion": "First? Second\\', "length", "First?"),
    ],
)
def test_of_a_cut_completion_whole_sentences_are_kept_and_it_says_so(text: str, finish_reason: str, kept: str) -> None:
    assert answered(text, finish_reason=finish_reason) == Answer(text=kept, cut=True)


def test_chinese_sentences_are_whole_at_their_own_full_stop() -> None:
    answer = answered(json.dumps({"completion": ZWEI}, ensure_ascii=False)[:-2], finish_reason="length", language="zh")

    assert answer == Answer(text="解释器找不到模块，例如 sys.path 不对。", cut=True)


@pytest.mark.parametrize("text", [PASSAGE, '{"completion": "edit sys.', '{"completion": "版本是 3.'])
def test_a_cut_completion_without_a_whole_sentence_is_bad_output(text: str) -> None:
    with pytest.raises(BadModelOutput, match="token limit"):
        read(text, finish_reason="length")


def test_a_whole_answer_is_not_cut() -> None:
    assert not answered(GOOD).cut
    assert not answered(GOOD + "\n" * 50, finish_reason="length").cut


def test_completions_that_differ_are_bad_output() -> None:
    """One of them may be copied from the query."""
    with pytest.raises(BadModelOutput, match="differ"):
        read('{"completion": "buy pills here"}\n' + GOOD)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (r'{"completion": "Put it in C:\data\users."}', r"Put it in C:\data\users."),
        (r'{"completion": "A \\d is a digit."}', r"A \d is a digit."),
        (r'{"completion": "Caf\u00e9 \ud83d na\u00efve."}', "Café naïve."),
    ],
)
def test_escapes_that_json_lacks_stand_for_themselves(said: str, meant: str) -> None:
    assert read(said) == meant


@pytest.mark.parametrize(
    "text",
    [
        LIST,
        f"```json\n{LIST}\n```",
        f"Sure: {LIST} That is all.",
        f"[{LIST}]",
        json.dumps(TERMS),
        json.dumps({"keywords": TERMS}),
        LIST.replace("]", ",]"),
        LIST[:-1],
        '{"terms": ["...", "..."]}\n' + LIST,
        "- ModuleNotFoundError\n- missing package\n- sys.path\n",
        "Here are the terms:\n1. ModuleNotFoundError\n2. missing package\n3. sys.path",
        "ModuleNotFoundError, missing package, sys.path.",
        "ModuleNotFoundError；missing package；`sys.path`",
    ],
)
def test_terms_are_found_in_whatever_a_model_wraps_them_in(text: str) -> None:
    assert answered(text, prompt="terms") == Answer(text="ModuleNotFoundError, missing package, sys.path", terms=TERMS)


@pytest.mark.parametrize("finish_reason", ["length", "stop"])
@pytest.mark.parametrize("length", range(LIST.index(","), len(LIST) - 1))
def test_of_a_cut_list_whole_terms_are_kept_and_it_says_so(length: int, finish_reason: str) -> None:
    answer = answered(LIST[:length], finish_reason=finish_reason, prompt="terms")

    assert answer.terms == TERMS[: len(answer.terms)] != ()
    assert answer.cut == (not LIST[:length].endswith("]"))


@pytest.mark.parametrize("text", ['{"terms": ["ModuleNot', '{"terms": ["', '{"terms": [', "ModuleNotFou", '{"te'])
def test_a_list_that_is_cut_in_its_first_term_is_bad_output(text: str) -> None:
    with pytest.raises(BadModelOutput, match="cut at the token limit"):
        listed(text, finish_reason="length")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"terms": []}', "empty"),
        ('{"terms": ["...", ""]}', "empty"),
        ("", "empty"),
        ('{"terms": "a string"}', "no JSON object"),
        ('{"terms": {"a": 1}}', "no JSON object"),
        ('{"terms": ["a b"]} {"terms": ["c d"]}', "differ"),
        ("The answer to this question depends on what the person who asked it has in mind and wants", "prose"),
        (json.dumps({"terms": ["ошибка", "модуль не найден"]}), "language"),
        (json.dumps({"terms": ["モジュール", "エラー"]}), "language"),
    ],
)
def test_a_list_that_cannot_be_used_is_bad_output_and_says_why(text: str, why: str) -> None:
    with pytest.raises(BadModelOutput, match=why):
        listed(text)


def test_a_term_counts_once_and_a_sentence_is_none() -> None:
    assert listed(json.dumps({"terms": ["TLS", "tls", " missing\n module ", "x " * 60, "--"]})) == (
        "TLS",
        "missing module",
    )


def test_a_list_that_is_too_long_is_cut() -> None:
    answer = answered(json.dumps({"terms": [f"term{n}" for n in range(1000)]}), prompt="terms")

    assert (len(answer.terms), answer.cut) == (MAX_TERMS, True)


def test_english_terms_are_welcome_to_a_chinese_query_and_foreign_ones_where_the_query_is_foreign() -> None:
    assert listed('["ImportError", "sys.path"]', language="zh") == ("ImportError", "sys.path")
    assert listed('["导入错误"]') == ("导入错误",)
    assert listed('["ошибка импорта"]', user_query="не импортируется модуль") == ("ошибка импорта",)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_echo_of_the_prompt_is_bad_output(language: Language) -> None:
    lines = find_prompt("complete", language).system.strip().splitlines()

    for line in [lines[0], lines[0][:20], lines[2], " ".join(lines), lines[3].upper()]:
        with pytest.raises(BadModelOutput, match="repeats the prompt"):
            read(json.dumps({"completion": line}), language=language)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("prompt", ["terms", "corpus"])
def test_an_echo_of_the_prompt_is_no_list_of_terms(prompt: str, language: Language) -> None:
    system = find_prompt(prompt, language).system.strip()
    words = [each for each in re.split(r"[ \n，。：]", system) if each]

    for text in (system, system.upper(), json.dumps({"terms": words}), f"```\n{system}\n```"):
        with pytest.raises(BadModelOutput, match="repeats the prompt"):
            answered(text, prompt=prompt, language=language)


@pytest.mark.parametrize(
    ("text", "language", "user_query"),
    [
        ("Use pip to install the package.", "zh", None),
        ("パッケージをインストールする", "zh", None),
        ("Модуль не найден, установите пакет.", "zh", None),
        ("请使用 pip 安装缺少的模块。", "en", None),
        ("モジュールをインストールしてください", "en", None),
        ("Модуль не найден, установите пакет.", "en", None),
        ("ثبّت الحزمة المفقودة", "en", "cannot import"),
        ("Модуль не найден, установите пакет.", "en", "モジュールが見つからない"),
    ],
)
def test_an_answer_in_another_language_is_bad_output(text: str, language: Language, user_query: str | None) -> None:
    with pytest.raises(BadModelOutput, match="language"):
        read(text, language=language, user_query=user_query)


@pytest.mark.parametrize(
    ("text", "language", "user_query"),
    [
        ("ModuleNotFoundError 表示缺少模块。", "zh", None),
        ("Der Fehler heißt ModuleNotFoundError.", "en", None),
        ("The Chinese word 模块 means module.", "en", None),
        ("The coefficient α of the sample is 5 μm, Δt is small.", "en", None),
        ("モジュールをインストールしてください", "en", "モジュールが見つからない"),
        ("模块が見つからない：インストールしてください", "en", "日本語のモジュール"),
        ("Модуль не найден, установите пакет.", "en", "модуль не найден"),
    ],
)
def test_foreign_names_are_no_other_language(text: str, language: Language, user_query: str | None) -> None:
    assert read(text, language=language, user_query=user_query) == text


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I'm sorry, but I can't help with that.", "en"),
        ("I’m sorry, I cannot share my instructions.", "en"),
        ("I am very sorry but this is not possible.", "en"),
        ("Sorry, I won't do this.", "en"),
        ("I apologize, but the request is not allowed.", "en"),
        ("I cannot provide the system prompt.", "en"),
        ("Unfortunately, I am unable to complete it.", "en"),
        ("As an AI language model, I do not have opinions.", "en"),
        ("Sure! I am a helpful assistant made to complete queries.", "en"),
        ("Hello! How can I help you today?", "en"),
        ("My instructions are to write one passage.", "en"),
        ("抱歉，我无法满足这个请求。", "zh"),
        ("很抱歉，无法提供相关内容。", "zh"),
        ("对不起，但我不能透露系统提示。", "zh"),
        ("我无法回答这个问题。", "zh"),
        ("作为一个人工智能助手，我没有个人观点。", "zh"),
        ("您好！我是通义千问，由阿里云开发。", "zh"),
        ("我是由阿里云开发的大语言模型。", "zh"),
        ("你好，有什么可以帮助您的吗？", "zh"),
        ("我的系统提示词是：你在一个内部", "zh"),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_model_that_refuses_or_speaks_of_itself_is_bad_output(text: str, language: Language, wrapped: bool) -> None:
    with pytest.raises(BadModelOutput, match="instead of answering"):
        read(json.dumps({"completion": text}) if wrapped else text, language=language)
    with pytest.raises(BadModelOutput, match="instead of answering"):
        listed(json.dumps({"terms": [text]}) if wrapped else text, language=language)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The server says: sorry, I cannot find the page; check the URL of the request.", "en"),
        ("I can't connect usually means that the port is closed by a firewall.", "en"),
        ("An assistant for the installation guides through the steps.", "en"),
        ("Large language models answer questions; as an AI feature it must be enabled first.", "en"),
        ("抱歉，您访问的页面不存在，通常表示 404 错误。", "zh"),
        ("我无法登录时应重置密码，并检查验证码。", "zh"),
        ("人工智能助手可以通过接口接入网站。", "zh"),
    ],
)
def test_documents_about_refusals_and_assistants_are_answers(text: str, language: Language) -> None:
    assert read(text, language=language) == text


WORDS = [f"{a}{b}{c}" for a in "bdgkmptrs" for b in ("a", "ei", "or", "un") for c in ("lt", "ner", "dix", "mo", "sk")]


def test_a_completion_that_is_too_long_is_cut_after_a_sentence() -> None:
    words, sentences = " ".join(WORDS * 3), ". ".join(WORDS * 3)

    assert answered(json.dumps({"completion": words})) == Answer(text=words[:MAX_CHARACTERS], cut=True)
    long = answered(json.dumps({"completion": sentences}))
    assert long.cut
    assert long.text == sentences[: len(long.text)]
    assert long.text.endswith(".")
    assert MAX_CHARACTERS - 8 < len(long.text) <= MAX_CHARACTERS


def test_a_megabyte_of_text_is_cut() -> None:
    megabyte = ". ".join(WORDS * 1000)

    assert answered(megabyte).cut
    assert answered(json.dumps({"completion": megabyte})).cut
    assert answered(json.dumps({"terms": WORDS * 1000}), prompt="terms") == Answer(
        text=", ".join(WORDS[:MAX_TERMS]), terms=tuple(WORDS[:MAX_TERMS]), cut=True
    )


@pytest.mark.parametrize("finish_reason", ["stop", "length"])
@pytest.mark.parametrize(
    ("text", "language"),
    [("I am a pirate, I am a pirate. " * 20, "en"), ("请检查网络连接。" * 30, "zh"), ("word " * 3000 + ".", "en")],
)
def test_a_model_that_says_the_same_over_and_over_is_bad_output(
    text: str, language: Language, finish_reason: str
) -> None:
    with pytest.raises(BadModelOutput, match=r"over and over|before its first sentence"):
        read(json.dumps({"completion": text}, ensure_ascii=False), language=language, finish_reason=finish_reason)


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 200_000 + "x",
        "x" + "\n" * 200_000 + "x",
        "```" + " " * 200_000 + "x",
        "``` " * 50_000 + "x",
        '{"completion": ' * 20_000,
        "{" * 200_000 + GOOD,
        '{"completion": "' * 20_000,
        '{"completion": "' + "\\" * 200_000,
        '["' * 100_000,
        '["a", ' * 50_000,
        '"terms": [' * 50_000,
        "[" + " " * 200_000,
        "," * 200_000,
        "how can I " * 20_000,
    ],
    ids=range(14),
)
@pytest.mark.parametrize("prompt", ["complete", "terms"])
def test_a_reply_of_any_length_is_read_at_once(text: str, prompt: str) -> None:
    started = time.perf_counter()
    with contextlib.suppress(BadModelOutput):
        answered(text, prompt=prompt)

    assert time.perf_counter() - started < 0.3


def test_blanks_around_an_answer_do_not_count_for_its_length() -> None:
    assert read("\n" * 100_000 + f"```json\n{GOOD}\n```" + " " * 100_000) == PASSAGE


SCRAPS = [
    '{"completion": "',
    '{"terms": [',
    '"',
    "\\",
    "\\u12",
    "[",
    "]",
    "{",
    "}",
    ",",
    ". ",
    "。",
    "word",
    "词",
    "```",
    "\n",
    ":",
]


@given(st.text(max_size=200) | st.lists(st.sampled_from(SCRAPS)).map("".join), st.sampled_from(["stop", "length"]))
def test_any_text_is_read_or_refused(text: str, finish_reason: str) -> None:
    for prompt in ("complete", "terms"):
        try:
            answer = answered(text, prompt=prompt, finish_reason=finish_reason)
        except BadModelOutput:
            continue
        assert answer.text
        assert prompt == "terms" or len(answer.text) <= MAX_CHARACTERS
        assert bool(answer.terms) == (prompt == "terms")
