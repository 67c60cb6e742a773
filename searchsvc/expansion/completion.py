"""Reads what a chat model completed a query to, and refuses what cannot be one."""

from __future__ import annotations

import json
import re

from searchsvc.errors import BadModelOutput
from searchsvc.expansion.prompts import Prompt, language_of
from searchsvc.protocols import ChatReply

MAX_CHARACTERS = 1200
"""A longer completion is cut here: three times what the prompt asks for."""
_KEY = "completion"
_ATTEMPTS = 8
_MAX_REPLY = 16_000
"""Characters of a reply that are read: its token limit lets a model say a tenth of it."""
_FENCE = "```"
_OPENING_FENCE = re.compile(r"```\w*")
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
_ECHO_CHARACTERS = 24
"""So many characters in a row, blanks aside, are no coincidence; Chinese says in them what English says in 60."""


def read_completion(reply: ChatReply, prompt: Prompt) -> str:
    """The completion in `reply`, cut at MAX_CHARACTERS.

    JSON is found also in a fence or between prose; an answer without any JSON is taken as the completion itself.
    Raises BadModelOutput if it is cut JSON, cut prose, empty, in another language than the prompt's, or an echo of
    the prompt.
    """
    text = " ".join(_text(reply).split())[:MAX_CHARACTERS]
    if not any(character.isalnum() for character in text):
        raise BadModelOutput("The completion is empty.")
    if _repeats(text, prompt):
        raise BadModelOutput("The completion repeats the prompt.")
    if not _speaks(text, prompt):
        raise BadModelOutput(f"The completion is not in the language of the query ({prompt.language}).")
    return text


def _text(reply: ChatReply) -> str:
    text = _unfenced(reply.text.strip()[:_MAX_REPLY].strip())
    if not text.startswith("{") and f'"{_KEY}"' not in text:
        if reply.finish_reason == "length":
            raise BadModelOutput("The completion was cut at the token limit.")
        return text
    start = text.find("{")
    for _ in range(_ATTEMPTS):
        if start < 0:
            break
        try:
            found, _ = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and isinstance(found.get(_KEY), str):
            return str(found[_KEY])
        start = text.find("{", start + 1)
    cut = ", cut at the token limit" if reply.finish_reason == "length" else ""
    raise BadModelOutput(f"The completion is no JSON object with a {_KEY!r}{cut}: {text[:80]!r}")


def _unfenced(text: str) -> str:
    """`text`, which has no blanks around it, without the fence of a code block around it."""
    text = text.removesuffix(_FENCE)
    opening = _OPENING_FENCE.match(text)
    return (text if opening is None else text[opening.end() :]).strip()


def _repeats(text: str, prompt: Prompt) -> bool:
    """Whether `text` stands in the system prompt, or a passage of the system prompt in `text`."""
    said, told = _squashed(text), _squashed(prompt.system)
    if said in told:
        return True
    width = _ECHO_CHARACTERS if prompt.language == "zh" else 2 * _ECHO_CHARACTERS
    return any(said[start : start + width] in told for start in range(0, len(said) - width + 1, width // 2))


def _squashed(text: str) -> str:
    return "".join(text.casefold().split())


def _speaks(text: str, prompt: Prompt) -> bool:
    """A Chinese completion has Chinese characters; any other has more of something else."""
    if prompt.language == "zh":
        return language_of(text) == "zh"
    return len(_HAN.findall(text)) * 2 < sum(character.isalnum() for character in text)
