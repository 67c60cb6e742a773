"""What a chat model may not answer: its prompt, talk about itself, another language, a loop."""

from __future__ import annotations

import json
import re

import pytest

from searchsvc.errors import BadModelOutput
from searchsvc.expansion.prompts import Language, find_prompt
from tests.support.answers import answered, listed, read


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
