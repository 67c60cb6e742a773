"""Takes what is private out of text before it leaves for an external endpoint: a placeholder stands for it.

It errs to the side of leaving text alone: an error code, a version, a UUID or an ISBN is what people search for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from searchsvc.expansion.guard.check_digits import is_card, is_id_number

_WIDE = str.maketrans({code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if chr(code - 0xFEE0).isalnum()})
_WIDE |= str.maketrans("＠．－＋", "@.-+")
"""Full-width forms, one to one, so that places stay the same."""
_START = r"(?<![A-Za-z0-9_])"
_END = r"(?![A-Za-z0-9_])"
_CARD_SHAPES = r"\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{3})?|\d{4}[ -]\d{6}[ -]\d{4,5}"
_PRIVATE = "private"
"""The group that a placeholder stands for, where that is not the whole match."""
_LABELLED = re.compile(
    r"(?:(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key)\"?\s{0,3}[:=]|(?:密码|口令|密钥)\s{0,3}[:=：是为]"
    r"|\bbearer\s)\s{0,3}[\"']?(?P<private>[^\s\"'<>,;&，。；]{6,200})",
    re.IGNORECASE,
)
"""`password=…`, `api_key: …`, `Bearer …`; the word before it stays, for it is what people search for."""
_NUMBER = re.compile(r"[0-9]+")
_LEAST_HEX = 32
_LEAST_NUMBERS = 2
_WORD = re.compile(r"[a-z]{3,}")
_MOST_WORDS = 0.4
"""Of the characters of base64, one of seven is in a run of small letters by chance; of names in code, most are."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of private text."""

    name: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = lambda _: True
    """Whether text of that shape really is one."""


def _is_international(found: str) -> bool:
    """E.164: fifteen digits at most."""
    return 8 <= sum(map(str.isdigit, found)) <= 15


def _has_both(found: str) -> bool:
    """Letters and digits."""
    return any(map(str.isdigit, found)) and any(map(str.isalpha, found))


def _is_base64_key(found: str) -> bool:
    """Small and capital letters and numbers, without words."""
    if found.lower() == found or found.upper() == found or len(_NUMBER.findall(found)) < _LEAST_NUMBERS:
        return False
    return sum(map(len, _WORD.findall(found))) < _MOST_WORDS * len(found)


_KINDS = (
    _Kind(
        "key", re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s]*-----END [A-Z ]{0,30}-----)?")
    ),
    _Kind("credentials", re.compile(r"(?<=://)[^\s/:@]{1,100}:[^\s/]{1,200}(?=@)")),
    _Kind("key", _LABELLED, _has_both),
    _Kind("key", re.compile(rf"{_START}eyJ[\w-]{{8,}}\.[\w-]{{8,}}(?:\.[\w-]*)?", re.ASCII)),  # JWT, RFC 7519
    _Kind("key", re.compile(rf"{_START}(?:sk|pk|rk)[-_][A-Za-z0-9_-]{{16,}}"), _has_both),
    _Kind("key", re.compile(rf"{_START}(?:AKIA|ASIA)[A-Z0-9]{{16}}{_END}")),
    _Kind("key", re.compile(rf"{_START}LTAI[A-Za-z0-9]{{12,26}}{_END}")),
    _Kind("key", re.compile(rf"{_START}(?:gh[pousr]_|github_pat_|glpat-|hf_|xox[abprs]-|AIza)[A-Za-z0-9_-]{{20,}}")),
    _Kind(
        "email",
        re.compile(
            r"(?<![A-Za-z0-9._%+-])(?!git@)[A-Za-z0-9._%+-]{1,64}@(?!\d+\.\d)(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"
            r"(?![A-Za-z0-9-])(?!:[A-Za-z0-9_/~])"  # git@host:path is no address of a person
        ),
    ),
    _Kind("id-number", re.compile(rf"{_START}\d{{6}}[ -]?\d{{8}}[ -]?\d{{3}}[\dXx]{_END}"), is_id_number),
    _Kind("card", re.compile(rf"(?<![A-Za-z0-9_.-])(?:{_CARD_SHAPES})(?![A-Za-z0-9_]|[.-]\d)"), is_card),
    _Kind("phone", re.compile(r"(?<![A-Za-z0-9_.+])\+[1-9](?:[ ().-]{0,2}\d){6,15}(?!\d)"), _is_international),
    _Kind(
        "phone",
        re.compile(r"(?<![A-Za-z0-9_.#/-])(?:(?:00)?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?![A-Za-z0-9_]|[.-]\d)"),
    ),
    _Kind(
        "phone", re.compile(r"(?<![A-Za-z0-9_.#/-])(?:\(0\d{2,3}\) ?|0\d{2,3}[ -])[2-9]\d{6,7}(?![A-Za-z0-9_]|[.-]\d)")
    ),
    _Kind(
        "phone",
        re.compile(r"(?<![A-Za-z0-9_.#/-])(?:\([2-9]\d{2}\) ?|[2-9]\d{2}-)[2-9]\d{2}-\d{4}(?![A-Za-z0-9_]|[.-]\d)"),
    ),
    _Kind("key", re.compile(rf"{_START}(?:0x)?[0-9A-Fa-f]{{{_LEAST_HEX},}}{_END}"), _has_both),
    _Kind("key", re.compile(r"(?<![A-Za-z0-9_+/=.-])[A-Za-z0-9+/_-]{32,}={0,2}(?![A-Za-z0-9_+/=])"), _is_base64_key),
)
"""In the order in which they are looked for: what one kind took is not looked at again."""


def masked(text: str) -> tuple[str, tuple[str, ...]]:
    """`text` with placeholders such as <email>, and the kinds of what they stand for, sorted."""
    plain = text.translate(_WIDE)
    spans: list[tuple[int, int, str]] = []
    for kind in _KINDS:
        for start, end in _places(kind, plain):
            if all(end <= taken or start >= until for taken, until, _ in spans):
                spans.append((start, end, kind.name))
    for start, end, name in sorted(spans, reverse=True):
        text = f"{text[:start]}<{name}>{text[end:]}"
    return text, tuple(sorted({name for _, _, name in spans}))


def masked_messages(messages: Sequence[Mapping[str, str]]) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """The messages with all but the system's own masked, and the kinds of what was."""
    kinds: set[str] = set()
    sent = []
    for message in messages:
        content = message["content"]
        if message["role"] != "system":
            content, found = masked(content)
            kinds.update(found)
        sent.append({**message, "content": content})
    return sent, tuple(sorted(kinds))


def _places(kind: _Kind, text: str) -> Iterator[tuple[int, int]]:
    group = _PRIVATE if _PRIVATE in kind.pattern.groupindex else 0
    return (match.span(group) for match in kind.pattern.finditer(text) if kind.holds(match[group]))
