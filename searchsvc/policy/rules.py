"""Whether a query is worth expanding: rules on its text, no model. What `expansion: auto` means."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from searchsvc.model import ScoreKind
from searchsvc.result import Reranking

_QUOTED = re.compile(r"\"[^\"]+\"|“[^”]+”|「[^」]+」|『[^』]+』|«[^»]+»")
_PATH = re.compile(r"(?:[a-z][a-z0-9+.-]*://|~?/|\.{1,2}/|[a-z]:[\\/]|\\\\)\S*", re.IGNORECASE)
_IDENTIFIER = re.compile(
    r"(?=[\w.:#+-]*[a-zA-Z])(?:"  # one token of letters, digits and joints that no plain word has:
    r"\w*(?:[a-z][A-Z]|[a-zA-Z]\d|\d[a-zA-Z]|_)\w*"  # camelCase, letters beside digits, snake_case
    r"|\w+(?:[.:#-]+\w+)+"  # dotted.names, name::space, ORA-00942, kebab-case
    r")",
    re.ASCII,
)
_LONGEST_IDENTIFIER = 255
_CODE = re.compile(
    r"[a-z_]\w*\((?!s\))[^()]*\)(?!\s*[^\W\d_])|=>|->|::|==|!=|&&|\|\||[{};]\s*$|</?[a-z][\w-]*>|^\s*[$#>]\s"
    r"|^\s*(?:select\s+(?:\*|\w+(?:\s*,\s*\w+)+)\s+from|insert\s+into\s+\w+\s*\(|delete\s+from\s+\w+\s+where"
    r"|from\s+[\w.]+\s+import\s|import\s+\w+(?:\.\w+)+\s*$)",
    re.IGNORECASE | re.ASCII,
)
_FIELD = re.compile(r"(?:^|[\s(])[+-]?(?!https?:)[a-z_][\w.]*:(?=[\w\"(\[{*<>])", re.IGNORECASE | re.ASCII)
"""`title:linux`, `+lang:zh`, `date:[2020 TO 2021]`; a colon with a blank after it is punctuation."""
_OPERATOR = re.compile(r"\S\s+(?:AND|OR|NOT)\s+\S")
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
LONGEST = 60
"""Words of a query that is not yet very long; two Chinese characters count as one."""


def _asks_by_field(query: str) -> bool:
    return bool(_FIELD.search(query) or (_OPERATOR.search(query) and query != query.upper()))


def _is_long(query: str) -> bool:
    return len(query.split()) + len(_HAN.findall(query)) / 2 > LONGEST


_RULES: tuple[tuple[Callable[[str], object], str], ...] = (
    (_QUOTED.search, "quoted phrase"),
    (_PATH.fullmatch, "path"),
    (lambda query: len(query) <= _LONGEST_IDENTIFIER and _IDENTIFIER.fullmatch(query), "identifier"),
    (_CODE.search, "code"),
    (_asks_by_field, "field syntax"),
    (_is_long, "very long query"),
)
"""What makes a query exact, and the name of it; the first that holds counts."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Expand or not, and why, in words that a log reader understands."""

    expand: bool
    reason: str


def decide(user_query: str) -> Decision:
    """What `auto` does with this query.

    A query that asks for exact text (a quoted phrase, code, one identifier or path) is left as it is: an LLM that
    does not know the name adds noise (Abe et al., SIGIR 2025, arXiv 2505.12694). So is one in a query language, whose
    words are not prose, and a very long one, which says enough by itself. All others are expanded.
    """
    query = user_query.strip()
    reason = next((reason for holds, reason in _RULES if holds(query)), "")
    return Decision(False, reason) if reason else Decision(True, "auto")


STRONG = 0.9
"""A probability of relevance from which on a candidate is taken for good."""
ENOUGH = 3
"""So many good ones make a first pass that needs no expansion."""


def strong_first_pass(reranking: Reranking) -> bool:
    """Whether a reranker that gives logits takes at least ENOUGH of the candidates for good.

    Scores of another kind say nothing by themselves: they are standardised over the candidates.
    """
    if reranking.score_kind is not ScoreKind.LOGIT:
        return False
    least = math.log(STRONG / (1 - STRONG))
    return sum(score is not None and score >= least for score in reranking.scores) >= ENOUGH
