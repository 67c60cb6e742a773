"""The prompt of Qwen3-Reranker, as Qwen publishes it on the model's page; `qwen3_reranker.jinja` says the same.

A server that has the template is sent bare texts; to one without it the two halves are sent, which it joins.
Never both: a prompt inside a prompt is scored without complaint, and wrongly.
"""

from __future__ import annotations

import re

DEFAULT_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
"""Qwen's own; instructions in English are what the model was trained with."""

_SYSTEM = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".'
)
_LETTER_TOKENS = 0.3
_MAX_CHARACTERS_PER_TOKEN = 16
_RUN = re.compile(r"([A-Za-z\s]+)|[^A-Za-z\s]+")


def query_half(query: str, instruction: str) -> str:
    """The prompt up to the document."""
    return f"<|im_start|>system\n{_SYSTEM}<|im_end|>\n<|im_start|>user\n<Instruct>: {instruction}\n<Query>: {query}\n"


def document_half(document: str) -> str:
    """The prompt from the document on; the empty thought makes the next token yes or no."""
    return f"<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def shorten(text: str, max_tokens: int) -> str:
    """The head of `text` that has about `max_tokens` tokens or fewer.

    A letter or blank counts 0.3 tokens if it is ASCII, any other character 1. Qwen3's tokenizer made no more than
    that of 1,707 English and Chinese articles and questions; of random strings such as base64 it makes 1.7 times that.
    """
    left = float(max_tokens)
    for run in _RUN.finditer(text):
        per_character = 1.0 if run[1] is None else _LETTER_TOKENS
        if len(run[0]) * per_character > left:
            return text[: run.start() + int(left / per_character)]
        left -= len(run[0]) * per_character
    return text


def bound(text: str, max_tokens: int) -> str:
    """What is worth sending of `text` to a server that itself cuts at `max_tokens`: never less than it will keep."""
    return text[: max_tokens * _MAX_CHARACTERS_PER_TOKEN]
