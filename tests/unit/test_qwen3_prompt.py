from __future__ import annotations

from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.inference.qwen3 import DEFAULT_INSTRUCTION, bound, document_half, query_half, shorten

PROMPT = (
    "<|im_start|>system\n"
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
    "<Query>: {query}\n"
    "<Document>: {document}<|im_end|>\n"
    "<|im_start|>assistant\n"
    "<think>\n\n</think>\n\n"
)
TEMPLATE = files("searchsvc.inference").joinpath("qwen3_reranker.jinja").read_text("utf-8")


def test_the_two_halves_are_the_published_prompt() -> None:
    assert query_half("q", DEFAULT_INSTRUCTION) + document_half("d") == PROMPT.format(query="q", document="d")


def test_the_template_of_the_server_says_what_is_said_here() -> None:
    """That it renders the same to the letter is shown with its real renderer in tests/integration/test_vllm.py."""
    for passage in (DEFAULT_INSTRUCTION, *PROMPT.splitlines()[1].split(". ")):
        assert passage in TEMPLATE


@pytest.mark.parametrize(
    ("text", "max_tokens", "kept"),
    [
        ("一二三四五", 5, 5),
        ("一二三四五", 3, 3),
        ("1234567890", 4, 4),
        ("abcdefghij", 3, 10),
        ("abcdefghijkl", 3, 10),
        ("ab一二cd", 2, 3),
        ("", 1, 0),
    ],
)
def test_a_letter_counts_less_than_a_character(text: str, max_tokens: int, kept: int) -> None:
    assert shorten(text, max_tokens) == text[:kept]


@given(st.text(), st.integers(1, 50))
def test_a_shortened_text_is_a_head_and_no_head_is_shortened_again(text: str, max_tokens: int) -> None:
    head = shorten(text, max_tokens)

    assert text.startswith(head)
    assert shorten(head, max_tokens) == head
    assert len(head) >= min(len(text), max_tokens)
    assert bound(text, max_tokens).startswith(head)
