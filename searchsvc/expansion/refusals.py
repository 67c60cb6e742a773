"""What a chat model may not answer: nothing, its prompt, a loop, talk about itself, another language.

A query can hold instructions, and a model may follow them. No check tells that from every good answer; these know what
such answers most often are, and the rest is an expansion that helps nobody but whoever wrote the query.
"""

from __future__ import annotations

import re
import zlib

from searchsvc.errors import BadModelOutput
from searchsvc.expansion.prompts import Prompt
from searchsvc.expansion.scripts import is_foreign, scripts_of

_ECHO_CHARACTERS = 24
"""So many characters in a row, blanks aside, are no coincidence; Chinese says in them what English says in 60."""
_LOOP_BYTES = 240
_LOOP_RATIO = 0.2
"""Text of that many bytes packs to about half of them; what a small model says in a loop to less than a tenth."""
_REGRET = (
    r"(?:i['’]?m|i am|we are|we['’]re)\s+(?:(?:very|so|truly|really|deeply)\s+)?(?:sorry|afraid|unable|not able)\b"
)
_UNWILLING = r"(?:can\s?not|can['’]?t|could not|couldn['’]t|won['’]?t|will not|must decline|am unable|['’]m unable)"
_SERVICE = (
    r"(?:help|assist|comply|provide|answer|fulfil|fulfill|share|reveal|disclose|discuss|follow|process|complete|generate"
    r"|support|engage|continue|do that|repeat)"
)
_REFUSAL = re.compile(
    rf"\W*(?:unfortunately,?\s+)?(?:{_REGRET}|sorry,?\s+(?:but\s+)?i\b|i apologi[sz]e\b|my apologies\b"
    rf"|i\s*{_UNWILLING}\s+(?:\w+\s+)?{_SERVICE}\b)"
    r"|\W*(?:非常|十分|很|实在|真的)?(?:抱歉|对不起|不好意思|遗憾)[,，。!！:：、\s]*(?:但是?|可是)?[,，\s]*(?:我|作为|无法|不能|这个?请求)"
    r"|\W*我(?:暂时|目前)?(?:无法|不能|不可以|没法|没有办法)(?:为您|为你|给您|给你|向您|向你)?"
    r"(?:直接)?(?:提供|回答|满足|协助|帮助|执行|完成|透露|泄露|遵循|遵从|处理|生成|讨论|继续|公开|告诉|重复)",
    re.IGNORECASE,
)
"""Only at the beginning: documents apologise too, further down."""
_ITSELF = re.compile(
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|(?:helpful|virtual) assistant)\b[^.]{0,60}\bI\b"
    r"|\bI(?:['’]m| am) (?:an? |your )?(?:(?:helpful|virtual|ai|language|large) )*"
    r"(?:ai|language model|assistant|chatbot|chatgpt|qwen|claude|gemini|deepseek)\b"
    r"|\bhow (?:can|may) I (?:help|assist) you\b|\bmy (?:system prompt|instructions) (?:is|are|say)\b"
    r"|作为(?:一个|一名|一款)?(?:AI|人工智能|大?语言模型|智能助手|虚拟助手|助手)[^。]{0,30}我"
    r"|我是(?:一个|一名|一款|由[^。]{1,12}(?:开发|训练|研发)的|您的|你的)?(?:AI|人工智能|大?语言模型|智能助手|虚拟助手|助手|通义千问|千问|Qwen"
    r"|DeepSeek|ChatGPT|文心一言|豆包)"
    r"|有什么(?:我)?(?:可以|能)(?:够)?(?:帮|为)(?:助)?(?:到)?(?:您|你)|我的(?:系统提示词?|系统指令)(?:是|如下|为)",
    re.IGNORECASE,
)


def check(text: str, prompt: Prompt, user_query: str, *, reply: str) -> None:
    """Raises BadModelOutput, which says what `text` is instead of an answer; `reply` is what it was found in."""
    empty = not any(character.isalnum() for character in text)
    if _quotes(reply if empty else text, prompt) or (not empty and _is_quoted(text, prompt)):
        raise BadModelOutput("The answer repeats the prompt.")
    if empty:
        raise BadModelOutput("The answer is empty.")
    if prompt.output == "completion" and _loops(text):
        raise BadModelOutput("The answer says the same over and over.")
    if _REFUSAL.match(text) or _ITSELF.search(text):
        raise BadModelOutput(f"The model spoke of itself or refused instead of answering: {text[:80]!r}")
    if not _speaks(text, prompt, user_query):
        raise BadModelOutput("The answer is not in the language of the query.")


def _quotes(text: str, prompt: Prompt) -> bool:
    """Whether a passage of the system prompt stands in `text`."""
    said, told = _squashed(text), _squashed(prompt.system)
    width = _ECHO_CHARACTERS if prompt.language == "zh" else 2 * _ECHO_CHARACTERS
    return any(said[start : start + width] in told for start in range(0, len(said) - width + 1, width // 2))


def _is_quoted(text: str, prompt: Prompt) -> bool:
    """Whether `text` stands in the system prompt, as single terms may."""
    return prompt.output == "completion" and _squashed(text) in _squashed(prompt.system)


def _loops(text: str) -> bool:
    said = text.encode()
    return len(said) >= _LOOP_BYTES and len(zlib.compress(said)) < _LOOP_RATIO * len(said)


def _squashed(text: str) -> str:
    return "".join(text.casefold().split())


def _speaks(text: str, prompt: Prompt, user_query: str) -> bool:
    """A Chinese completion has Chinese characters, any other has more of something else unless the query has them."""
    if is_foreign(text, user_query):
        return False
    if prompt.output == "terms":
        return True
    letters = scripts_of(text)
    if prompt.language == "zh":
        return letters["CJK"] > 0 and letters["KANA"] * 3 <= letters["CJK"]  # Japanese has kana in every phrase
    return "CJK" in scripts_of(user_query) or letters["CJK"] * 2 < sum(character.isalnum() for character in text)
