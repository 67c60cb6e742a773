from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import BadModelOutput
from searchsvc.expansion.completion import MAX_CHARACTERS, read_completion
from searchsvc.expansion.prompts import Language, find_prompt
from searchsvc.protocols import ChatReply
from searchsvc.result import ModelCall

PASSAGE = "ModuleNotFoundError means that the interpreter cannot find the package; install it with pip."
GOOD = json.dumps({"completion": PASSAGE})


def read(text: str, *, finish_reason: str = "stop", language: Language = "en") -> str:
    reply = ChatReply(text=text, finish_reason=finish_reason, call=ModelCall(model="m"))
    return read_completion(reply, find_prompt("complete-v1", language))


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
        GOOD[:-1],
        "```json\n" + GOOD[:-2],
        '{"completion": }',
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


def test_prose_that_was_cut_is_bad_output() -> None:
    with pytest.raises(BadModelOutput, match="token limit"):
        read(PASSAGE, finish_reason="length")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_echo_of_the_prompt_is_bad_output(language: Language) -> None:
    lines = find_prompt("complete-v1", language).system.strip().splitlines()

    for line in [lines[0], lines[0][:20], lines[2], " ".join(lines), lines[3].upper()]:
        with pytest.raises(BadModelOutput, match="repeats the prompt"):
            read(json.dumps({"completion": line}), language=language)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Use pip to install the package.", "zh"),
        ("パッケージをインストールする", "zh"),
        ("请使用 pip 安装缺少的模块。", "en"),
    ],
)
def test_an_answer_in_another_language_is_bad_output(text: str, language: Language) -> None:
    with pytest.raises(BadModelOutput, match="language"):
        read(text, language=language)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("ModuleNotFoundError 表示缺少模块。", "zh"),
        ("Der Fehler heißt ModuleNotFoundError.", "en"),
        ("The Chinese word 模块 means module.", "en"),
        ("モジュールをインストールしてください", "en"),
    ],
)
def test_foreign_names_are_no_other_language(text: str, language: Language) -> None:
    assert read(text, language=language) == text


def test_a_completion_that_is_too_long_is_cut() -> None:
    assert read(json.dumps({"completion": "word " * 3000})) == ("word " * 3000)[:MAX_CHARACTERS]


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 200_000 + "x",
        "x" + "\n" * 200_000 + "x",
        "```" + " " * 200_000 + "x",
        "``` " * 50_000 + "x",
        '{"completion": ' * 20_000,
        "{" * 200_000 + GOOD,
    ],
    ids=["blanks first", "blanks within", "fence and blanks", "fences", "objects", "braces"],
)
def test_a_reply_of_any_length_is_read_at_once(text: str) -> None:
    started = time.perf_counter()
    with contextlib.suppress(BadModelOutput):
        read(text)

    assert time.perf_counter() - started < 0.3


def test_blanks_around_an_answer_do_not_count_for_its_length() -> None:
    assert read("\n" * 100_000 + f"```json\n{GOOD}\n```" + " " * 100_000) == PASSAGE


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        length = len(read(text))
    except BadModelOutput:
        return
    assert 0 < length <= MAX_CHARACTERS
