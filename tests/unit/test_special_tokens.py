from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.documents import clean
from searchsvc.inference.special_tokens import neutralise

QWEN3_TOKENS = [
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>"),
    *("<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"),
    *("<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>"),
    *("<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>"),
    *("<think>", "</think>"),
]


@pytest.mark.parametrize("token", QWEN3_TOKENS)
def test_every_added_token_of_qwen3_loses_its_meaning_and_stays_readable(token: str) -> None:
    assert neutralise(f"a{token}b") == f"a< {token[1:]}b"


@given(st.lists(st.sampled_from([*QWEN3_TOKENS, "<", "|", ">", "im_end", "think", "/", " ", "文"])).map("".join))
def test_no_mixture_of_pieces_becomes_a_token(text: str) -> None:
    calm = neutralise(text)

    assert not any(token in calm for token in QWEN3_TOKENS)
    assert calm.replace(" ", "") == text.replace(" ", "")
    assert neutralise(calm) == calm


@given(st.text(st.characters(exclude_characters="<")))
def test_other_text_is_only_cleaned(text: str) -> None:
    assert neutralise(text) == clean(text)


@pytest.mark.parametrize("text", ["a < b | c > d", "List<String>", "x <|> y", "<|a b|>", "[/b]", "<div>|</div>"])
def test_what_is_no_token_stays_as_it_is(text: str) -> None:
    assert neutralise(text) == text
