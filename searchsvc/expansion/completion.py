"""Reads what a chat model answered: a text or a list of terms, from whatever it wrapped them in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TypeVar

from searchsvc.documents import clean
from searchsvc.errors import BadModelOutput
from searchsvc.expansion.prompts import Prompt
from searchsvc.expansion.refusals import check
from searchsvc.protocols import ChatReply

MAX_CHARACTERS = 1200
"""A longer completion is cut here: three times what the prompts ask for."""
MAX_TERMS = 48
"""A longer list is cut here: twice what the prompts ask for."""
MAX_TERM_CHARACTERS = 64
"""Whatever is longer is a sentence and no term."""
_MAX_REPLY = 16_000
"""Characters of a reply that are read: its token limit lets a model say a tenth of it."""
_FENCE = "```"
_OPENING_FENCE = re.compile(r"```\w*")
_INSIDE = r'"((?:[^"\\]++|\\.)*+)("?)'
"""A JSON string: what is in it, and its end if it has one."""
_STRING = re.compile(_INSIDE, re.DOTALL)
_ITEM = re.compile(rf"[\s,]*+{_INSIDE}", re.DOTALL)
_END_OF_LIST = re.compile(r"[\s,]*+\]")
_COMPLETION = re.compile(r'"completion"\s*+:\s*+(?=")')
_TERMS = re.compile(r'"terms"\s*+:\s*+\[')
_LIST = re.compile(r'\[(?=\s*+["\]])')
_JSON = re.compile(r'\{|\[\s*+["{\[\]]')
_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4})|(.?))', re.DOTALL)
"""One that JSON knows, or another, as in a path of Windows."""
_SENTENCES = re.compile(r""".*(?:[。！？]["”’」』）]*|[.!?]["'”’)]*(?=\s))""", re.DOTALL)
"""As many whole sentences as there are; a full stop at the very end may be the middle of an identifier."""
_LINE = re.compile(r"[\n,，、;；]+")
_BULLET = re.compile(r"(?:[-*•·]|\(?\d{1,2}[.)、])\s*")
_MARKS = " \t\"'`“”‘’*.。"
_Said = TypeVar("_Said")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model answered, checked."""

    text: str
    """The completion, or the terms in one line."""
    terms: tuple[str, ...] = ()
    """As the model wrote them; empty where the prompt asks for a completion."""
    cut: bool = False
    """The end is missing: it ran into its token limit, stopped within its JSON, or said too much."""


def read_answer(reply: ChatReply, prompt: Prompt, user_query: str) -> Answer:
    """What `reply` says, by the prompt's rule of output; of an answer that was cut whole sentences or whole terms.

    JSON is found also in a fence, between prose, in a list, with a comma too many; an answer without any JSON is taken
    as the completion itself, or as one term a line. Raises BadModelOutput if nothing whole is there, if it is empty,
    the prompt, a refusal or in another language, or if it has several objects that differ.
    """
    text = _unfenced(clean(reply.text).strip()[:_MAX_REPLY].strip())
    at_limit = reply.finish_reason == "length" or len(reply.text.strip()) > _MAX_REPLY
    if prompt.output == "terms":
        return _terms(text, at_limit, prompt, user_query)
    return _completion(text, at_limit, prompt, user_query)


def _completion(text: str, at_limit: bool, prompt: Prompt, user_query: str) -> Answer:
    said, cut = _said(text, at_limit)
    said = " ".join(said.split())
    if cut and _says(said):
        said = _whole_sentences(said)
        if not _says(said):
            raise BadModelOutput("The completion was cut at the token limit, before its first sentence ended.")
    if len(said) > MAX_CHARACTERS:
        said, cut = _whole_sentences(said[:MAX_CHARACTERS]) or said[:MAX_CHARACTERS], True
    check(said, prompt, user_query, reply=text)
    return Answer(text=said, cut=cut)


def _said(text: str, at_limit: bool) -> tuple[str, bool]:
    """The completion in `text`, and whether its end is missing."""
    strings = [_STRING.match(text, start.end()) for start in _COMPLETION.finditer(text)]
    found = [(_decoded(each[1]), not each[2]) for each in strings if each is not None]
    if found:
        return _only([each for each in found if _says(each[0])] or found[:1])
    if _JSON.match(text) or '"completion"' in text:
        raise BadModelOutput(f"The answer is no JSON object with a 'completion'{_cut(at_limit)}: {text[:80]!r}")
    return text, at_limit


def _terms(text: str, at_limit: bool, prompt: Prompt, user_query: str) -> Answer:
    terms, cut = _listed(text, at_limit)
    if cut and not terms:
        raise BadModelOutput("The list of terms was cut at the token limit, before its first term ended.")
    said = " ".join(terms)
    check(said, prompt, user_query, reply=text)
    distinct: dict[str, str] = {}
    for term in terms:
        if _says(term) and len(term) <= MAX_TERM_CHARACTERS:
            distinct.setdefault(term.casefold(), term)
    if not distinct:
        raise BadModelOutput(f"The answer is prose instead of terms: {said[:80]!r}")
    kept = tuple(distinct.values())[:MAX_TERMS]
    separator = "、" if prompt.language == "zh" else ", "
    return Answer(text=separator.join(kept), terms=kept, cut=cut or len(distinct) > MAX_TERMS)


def _listed(text: str, at_limit: bool) -> tuple[tuple[str, ...], bool]:
    """The terms in `text`, and whether the end of the list is missing."""
    starts = list(_TERMS.finditer(text)) or list(_LIST.finditer(text))
    if starts:
        found = [_strings(text, start.end()) for start in starts]
        return _only([each for each in found if any(map(_says, each[0]))] or found[:1])
    if _JSON.match(text) or '"terms"' in text:
        raise BadModelOutput(f"The answer is no JSON object with a list 'terms'{_cut(at_limit)}: {text[:80]!r}")
    lines = [each.strip() for each in _LINE.split(text)]
    whole = lines[:-1] if at_limit else lines
    return tuple(
        _BULLET.sub("", each, count=1).strip(_MARKS) for each in whole if each[-1:] not in (":", "：")
    ), at_limit


def _only(found: list[tuple[_Said, bool]]) -> tuple[_Said, bool]:
    """The one answer: a model that gives several may have copied one from the query."""
    if any(said != found[0][0] for said, _ in found):
        raise BadModelOutput("The answer has several JSON objects that differ.")
    return found[0]


def _strings(text: str, position: int) -> tuple[tuple[str, ...], bool]:
    """The strings of the list that begins at `position`, and whether its end is missing; a cut string is left out."""
    strings: list[str] = []
    item = _ITEM.match(text, position)
    while item is not None and item[2]:
        strings.append(" ".join(_decoded(item[1]).split()))
        position = item.end()
        item = _ITEM.match(text, position)
    return tuple(strings), _END_OF_LIST.match(text, position) is None


def _decoded(inside: str) -> str:
    """What a JSON string says; a model's escapes that JSON does not know stand for themselves."""
    sound = _ESCAPE.sub(lambda escape: escape[0] if escape[1] else rf"\\{escape[2]}", inside)
    return clean(json.loads(f'"{sound}"', strict=False))


def _unfenced(text: str) -> str:
    """`text`, which has no blanks around it, without the fence of a code block around it."""
    text = text.removesuffix(_FENCE)
    opening = _OPENING_FENCE.match(text)
    return (text if opening is None else text[opening.end() :]).strip()


def _whole_sentences(text: str) -> str:
    sentences = _SENTENCES.match(text)
    return "" if sentences is None else sentences[0]


def _says(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _cut(at_limit: bool) -> str:
    return ", cut at the token limit" if at_limit else ""
