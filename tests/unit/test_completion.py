from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import BadModelOutput
from searchsvc.expansion.completion import MAX_CHARACTERS, MAX_TERMS, Answer
from tests.support.answers import GOOD, LIST, PASSAGE, TERMS, answered, listed, read


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

    assert time.perf_counter() - started < 2  # a search that goes over the text again and again takes minutes


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
