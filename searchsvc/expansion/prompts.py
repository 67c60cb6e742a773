"""The prompts, one file for each id and language, with the rule of their output beside them.

A prompt that is changed gets a new id, so that figures and caches never mix two of them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from searchsvc.errors import InvalidRequest

Language = Literal["zh", "en"]
"""Of the prompt; `en` also asks in every language that has no prompt of its own."""
Output = Literal["completion", "terms"]
"""A text, or a list of terms; also the key of the answer's JSON object."""

DEFAULT_PROMPT = "complete-v1"
_FILES = Path(__file__).with_name("prompt_files")
_MAX_QUERY_CHARACTERS = 2000
_VERSION = re.compile(r"(.+)-v(\d+)")
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
_KANA = re.compile(r"[\u3041-\u30ff]")

_INVISIBLE = re.compile(r"[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]")
"""Nobody sees them, models read them. The joiners of Indic and Persian words and of emoji are none of these."""
_BLANK = r"[\s/／\u200c\u200d]"
"""One class for blanks and strokes: two runs of blanks side by side can be divided in too many ways to try."""
_DELIMITER = re.compile(rf"[<＜]({_BLANK}*(?:query|passages?){_BLANK}*)[>＞]", re.IGNORECASE)
_OPEN_DELIMITER = re.compile(rf"[<＜](?={_BLANK}*(?:query|passages?)\b)", re.IGNORECASE)
_CONTROL = re.compile(
    r"[<＜](?=[|｜][^\s<>]{1,64}[|｜][>＞]|/?(?:s|bos|eos|pad|unk|think|tool_call|tool_response|(?:start|end)_of_turn)>"
    r"|<SYS>>|</SYS>>|/SYS>>)|\[(?=/?INST\])",
    re.IGNORECASE,
)
"""What begins a control token of the chat formats of Qwen, DeepSeek, Llama, Mistral and Gemma."""
_SLOT = re.compile(r"\{(query|passages)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What is said to a chat model, and what it may answer."""

    id: str
    language: Language
    output: Output
    system: str
    user: str
    """With `{query}`, and perhaps `{passages}`, where they go."""
    schema: Mapping[str, Any]
    """JSON Schema of the answer: an object with one key, the name of `output`."""
    max_tokens: int
    temperature: float
    passages: int = 0
    """How many passages of the first retrieval the model reads; 0: the prompt has no place for any."""
    passage_characters: int = 0
    """Where each of them is cut."""

    def messages(self, user_query: str, passages: Sequence[str] = ()) -> tuple[dict[str, str], dict[str, str]]:
        """The messages; neither query nor passage can close its delimiter, pose as a line or fill the context."""
        parts = {
            "query": _harmless(user_query, _MAX_QUERY_CHARACTERS),
            "passages": "\n".join(
                f"{number}. {' '.join(_harmless(text, self.passage_characters).split())}"
                for number, text in enumerate(passages[: self.passages], 1)
            ),
        }
        return (
            {"role": "system", "content": self.system.strip()},
            {"role": "user", "content": _SLOT.sub(lambda slot: parts[slot[1]], self.user.strip())},
        )


def prompt_ids() -> tuple[str, ...]:
    """Every id, with its version."""
    return tuple(sorted({prompt_id for prompt_id, _ in _prompts()}))


def prompt_names() -> tuple[str, ...]:
    """Whatever `find_prompt` takes: every id, and every name without a version, which means the newest."""
    return tuple(sorted({*prompt_ids(), *_newest()}))


def find_prompt(name: str, language: Language) -> Prompt:
    """The prompt of that id, or the newest of that name, in that language.

    Raises InvalidRequest, which lists the names that there are.
    """
    try:
        return _prompts()[_newest().get(name, name), language]
    except KeyError:
        raise InvalidRequest(
            f"There is no prompt {name!r}.",
            pointer="/expansion/prompt",
            hint=f"There are: {', '.join(prompt_names())}.",
        ) from None


def language_of(text: str) -> Language:
    """`zh` for text with Chinese characters, unless kana show that it is Japanese."""
    return "zh" if _HAN.search(text) and not _KANA.search(text) else "en"


def _harmless(text: str, most: int) -> str:
    """The first `most` characters, in which delimiters and control tokens are plain words that a person can read."""
    shown = _INVISIBLE.sub("", text[: 2 * most])[:most]
    shown = _OPEN_DELIMITER.sub("(", _DELIMITER.sub(r"(\1)", shown))
    return _CONTROL.sub(r"\g<0> ", shown)


@cache
def _prompts() -> Mapping[tuple[str, Language], Prompt]:
    prompts = (Prompt(**tomllib.loads(file.read_text("utf-8"))) for file in sorted(_FILES.glob("*.toml")))
    return {(prompt.id, prompt.language): prompt for prompt in prompts}


@cache
def _newest() -> Mapping[str, str]:
    """Ids by name without version."""
    newest: dict[str, tuple[int, str]] = {}
    for prompt_id in prompt_ids():
        versioned = _VERSION.fullmatch(prompt_id)
        if versioned is not None:
            name, version = versioned[1], int(versioned[2])
            newest[name] = max(newest.get(name, (0, "")), (version, prompt_id))
    return {name: prompt_id for name, (_, prompt_id) in newest.items()}
