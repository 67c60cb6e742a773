"""A chat model as judge: by a rubric in the language of the query, and nothing but a grade is believed.

The rubrics are files, one for each id and language; a rubric that is changed gets a new id, which stands in the source
of every judgement made by it.
"""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from searchsvc.errors import BadModelOutput, StageError
from searchsvc.evaluation.judging import GRADES, Pair
from searchsvc.expansion.prompts import Language, language_of
from searchsvc.model import Deadline
from searchsvc.protocols import ChatModel, ChatReply
from searchsvc.result import ModelCall

RUBRIC = "relevance-v1"
"""The id of the rubric."""
CONCURRENCY = 4
"""How many pairs are asked about at once."""
_TIMEOUT_MS = 60_000
"""Of one pair: who judges waits for the best answer, not for the fastest."""
_MAX_CHARACTERS = 2000
"""Of the query, and of the document."""
_MAX_REPLY = 4000
"""Characters of a reply that are read: more than its token limit lets a model say."""
_FILES = Path(__file__).with_name("rubrics")
_DELIMITER = re.compile(r"<([\s/]*(?:query|document)[\s/]*)>", re.IGNORECASE)
_SLOT = re.compile(r"\{(query|document)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """How a model is told to judge, and what it may answer."""

    id: str
    language: Language
    system: str
    user: str
    """With `{query}` and `{document}` where they go."""
    schema: Mapping[str, Any]
    """JSON Schema of the answer: an object with `reason` and `grade`; the reason first, for the grade to follow it."""
    max_tokens: int
    temperature: float

    def messages(self, user_query: str, passage: str) -> tuple[dict[str, str], dict[str, str]]:
        """The messages; neither query nor document can close its delimiter or fill the model's context."""
        parts = {"query": _harmless(user_query), "document": _harmless(passage)}
        return (
            {"role": "system", "content": self.system.strip()},
            {"role": "user", "content": _SLOT.sub(lambda slot: parts[slot[1]], self.user.strip())},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grading:
    """What a model made of a pair."""

    grade: int
    call: ModelCall


def rubric_for(user_query: str) -> Rubric:
    """The rubric in the language of the query: Chinese, or English for every other."""
    return _rubrics()[language_of(user_query)]


def source_of(model: str) -> str:
    """The source of what `model` judges by the rubric: `llm:MODEL rubric ID`."""
    return f"llm:{' '.join(model.split())} rubric {RUBRIC}"


async def graded(chat: ChatModel, pair: Pair) -> Grading:
    """One pair, judged. Raises StageError."""
    rubric = rubric_for(pair.user_query)
    reply = await chat.chat(
        rubric.messages(pair.user_query, pair.passage),
        schema=rubric.schema,
        max_tokens=rubric.max_tokens,
        temperature=rubric.temperature,
        deadline=Deadline.after_ms(_TIMEOUT_MS),
    )
    return Grading(grade=read_grade(reply), call=reply.call)


async def grade_all(
    pairs: Iterable[Pair],
    grade: Callable[[Pair], Awaitable[Grading]],
    told: Callable[[Pair, Grading | StageError], None],
) -> None:
    """All pairs, CONCURRENCY at a time; `told` hears of each as soon as it is done, also if it failed."""
    waiting = iter(pairs)

    async def work() -> None:
        for pair in waiting:
            try:
                outcome: Grading | StageError = await grade(pair)
            except StageError as error:
                outcome = error
            told(pair, outcome)

    workers = [asyncio.create_task(work()) for _ in range(CONCURRENCY)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()


def read_grade(reply: ChatReply) -> int:
    """The grade in `reply`: of its JSON object, also in a fence or between prose.

    Raises BadModelOutput if there is none, if it is no grade of the rubric, or if there are several that differ.
    """
    text = reply.text[:_MAX_REPLY]
    found = [str(each["grade"]).strip() for each in _objects(text) if "grade" in each]
    if not found:
        cut = ", cut at the token limit" if reply.finish_reason == "length" else ""
        raise BadModelOutput(f"The answer is no JSON object with a 'grade'{cut}: {text[:80]!r}")
    if len(set(found)) > 1:
        raise BadModelOutput(f"The answer has several grades: {', '.join(found[:5])}.")
    if found[0] not in map(str, GRADES):
        raise BadModelOutput(f"The grade {found[0][:40]!r} is none of {', '.join(map(str, GRADES))}.")
    return int(found[0])


def _objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects that stand in `text`, one after the other."""
    objects: list[dict[str, Any]] = []
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            objects.append(value)
        start = text.find("{", end)
    return objects


def _harmless(text: str) -> str:
    return _DELIMITER.sub(r"(\1)", text[:_MAX_CHARACTERS])


@cache
def _rubrics() -> Mapping[Language, Rubric]:
    rubrics = (Rubric(**tomllib.loads(file.read_text("utf-8"))) for file in _FILES.glob(f"{RUBRIC}.*.toml"))
    return {rubric.language: rubric for rubric in rubrics}
