"""Text that a model reads as text: control tokens of its chat format lose their meaning, words stay readable."""

from __future__ import annotations

import re

from searchsvc.documents import clean

_CONTROL_TOKEN = re.compile(r"<(?=\|[^\s|<>]{1,64}\|>|/?(?:think|tool_call|tool_response)>)")
"""The `<` of every added token of Qwen3: `<|im_end|>` and its like, and the tags of thinking and tools.

No such token holds a space, so one space after the `<` takes its meaning away and cannot make another.
"""


def neutralise(text: str) -> str:
    """`text` cleaned, with a space inside whatever a tokenizer would take for a control token."""
    return _CONTROL_TOKEN.sub("< ", clean(text)) if "<" in text else clean(text)
