"""The prompts, one file for each id and language, with the rule of their output beside them.

A prompt that is changed gets a new id, so that figures and caches never mix two of them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from searchsvc.errors import InvalidRequest

Language = Literal["zh", "en"]
"""Of the prompt; `en` also asks in every language that has no prompt of its own."""

DEFAULT_PROMPT = "complete-v1"
_FILES = Path(__file__).with_name("prompt_files")
_MAX_QUERY_CHARACTERS = 2000
_DELIMITER = re.compile(r"<([\s/]*query[\s/]*)>", re.IGNORECASE)
"""One class for blanks and strokes: two runs of blanks side by side can be divided in too many ways to try."""
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
_KANA = re.compile(r"[\u3041-\u30ff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What is said to a chat model, and what it may answer."""

    id: str
    language: Language
    system: str
    user: str
    """With `{query}` where the query goes."""
    schema: Mapping[str, Any]
    """JSON Schema of the answer: an object with a `completion`."""
    max_tokens: int
    temperature: float

    def messages(self, user_query: str) -> tuple[dict[str, str], dict[str, str]]:
        """The messages; the query can neither close its delimiter nor fill the model's context."""
        query = _DELIMITER.sub(r"(\1)", user_query[:_MAX_QUERY_CHARACTERS])
        return (
            {"role": "system", "content": self.system.strip()},
            {"role": "user", "content": self.user.replace("{query}", query)},
        )


def prompt_ids() -> tuple[str, ...]:
    """Every id."""
    return tuple(sorted({prompt_id for prompt_id, _ in _prompts()}))


def find_prompt(prompt_id: str, language: Language) -> Prompt:
    """The prompt of that id in that language.

    Raises InvalidRequest, which lists the ids that there are.
    """
    try:
        return _prompts()[prompt_id, language]
    except KeyError:
        raise InvalidRequest(
            f"There is no prompt {prompt_id!r}.",
            pointer="/expansion/prompt",
            hint=f"There are: {', '.join(prompt_ids())}.",
        ) from None


def language_of(text: str) -> Language:
    """`zh` for text with Chinese characters, unless kana show that it is Japanese."""
    return "zh" if _HAN.search(text) and not _KANA.search(text) else "en"


@cache
def _prompts() -> Mapping[tuple[str, Language], Prompt]:
    prompts = (Prompt(**tomllib.loads(file.read_text("utf-8"))) for file in sorted(_FILES.glob("*.toml")))
    return {(prompt.id, prompt.language): prompt for prompt in prompts}
