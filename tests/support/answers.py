"""Answers of a chat model, read as an expander reads them."""

from __future__ import annotations

import json
from typing import Any

from searchsvc.expansion.completion import Answer, read_answer
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
