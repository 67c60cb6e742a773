"""Variants of a search as they are written on the command line: `NAME:key=value,key=value…`.

The keys are those of the search request. NAME ends at the first colon; a comma ends a value only where another
`key=` follows, so that an instruction may hold commas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from searchsvc.checks import MAX_DEPTH
from searchsvc.errors import ConfigurationError, InvalidRequest
from searchsvc.expansion.llm import METHOD as LLM
from searchsvc.expansion.recorded import METHOD as RECORDED
from searchsvc.expansion.runs import find_run
from searchsvc.methods import parse_methods
from searchsvc.model import (
    ExpansionOptions,
    Form,
    MethodShare,
    Mode,
    RecordedRun,
    RerankOptions,
    RerankQuery,
    SearchRequest,
    Wait,
)
from searchsvc.suggest import did_you_mean

DEFAULT_VARIANTS = ("base:expansion=off,rerank=off", "rerank:expansion=off,rerank=on", "full:expansion=on,rerank=on")
"""What is compared where no variant is named."""

TIMEOUT_MS = 60_000
"""The deadline of a query unless the variant names one: an evaluation asks what is best, not what is fast."""

KEYS = (
    "expansion",
    "expansion.method",
    "expansion.form",
    "expansion.weight",
    "expansion.terms",
    "expansion.prompt",
    "expansion.wait",
    "expansion.file",
    "expansion.run",
    "rerank",
    "rerank.depth",
    "rerank.query",
    "rerank.instruction",
    "timeout_ms",
)
OFF: Mapping[str, str | None] = {
    "expansion": "off",
    "expansion.method": None,
    "expansion.file": None,
    "expansion.run": None,
}
"""What `changed` takes the expansion away by."""
_MAX_TERMS = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_NEXT_KEY = re.compile(r",(?=[a-z_.]+=)")
_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to search."""

    name: str
    spec: str
    """As it was written, without the name."""
    expansion: ExpansionOptions
    rerank: RerankOptions
    timeout_ms: int
    keys: frozenset[str] = frozenset()
    """Those that are written in `spec`: whatever else holds for the variant is a default."""

    def request(self, query_id: str, user_query: str, *, index: str, depth: int) -> SearchRequest:
        """The search of this variant for one query, `depth` candidates deep."""
        return SearchRequest(
            query_id=query_id,
            user_query=user_query,
            index=index,
            top_k=depth,
            retrieval_depth=max(depth, self.rerank.depth),
            expansion=self.expansion,
            rerank=self.rerank,
            timeout_ms=self.timeout_ms,
        )


def parse_variants(specs: Sequence[str]) -> tuple[Variant, ...]:
    """The variants as written, or the default ones; files of recorded expansions are read, before anything runs.

    Raises ConfigurationError naming variant and key, and for recorded expansions that there are not.
    """
    variants = tuple(parse_variant(spec) for spec in specs or DEFAULT_VARIANTS)
    names = [variant.name.lower() for variant in variants]
    for variant in variants:
        if names.count(variant.name.lower()) > 1:
            raise ConfigurationError(
                f"Two variants are named {variant.name!r}.", hint="Names differ by more than upper and lower case."
            )
        _check_recorded(variant)
    return variants


def parse_variant(written: str) -> Variant:
    """One variant. Raises ConfigurationError naming variant and key."""
    name, colon, spec = written.partition(":")
    if not colon or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"The variant {written!r} does not begin with a name.",
            hint="It is written NAME:key=value,key=value; a NAME has letters, digits and . _ + - only.",
        )
    options = _options(name, spec)
    return Variant(
        name=name,
        spec=spec,
        expansion=_expansion(name, options),
        rerank=_rerank(name, options),
        timeout_ms=_integer(name, options, "timeout_ms", most=None) or TIMEOUT_MS,
        keys=frozenset(options),
    )


def changed(variant: Variant, name: str, changes: Mapping[str, str | None]) -> Variant:
    """The variant under another name with other values for some of its keys; None takes a key away.

    Raises ConfigurationError as `parse_variant`.
    """
    options = {**_options(name, variant.spec), **changes}
    spec = ",".join(f"{key}={value}" for key, value in options.items() if value is not None)
    return parse_variant(f"{name}:{spec}")


def check_methods(variants: Sequence[Variant], methods: Sequence[str]) -> None:
    """Raises ConfigurationError if a variant names an expansion method that is not among `methods`."""
    for variant in variants:
        for share in variant.expansion.methods:
            if share.name not in methods:
                raise ConfigurationError(
                    f"Variant {variant.name}: there is no expansion {share.name!r} here.",
                    hint=did_you_mean(share.name, [*Mode, *methods]),
                )


def _check_recorded(variant: Variant) -> None:
    if variant.expansion.recorded is None:
        return
    try:
        find_run(variant.expansion.recorded)
    except ConfigurationError as error:
        raise ConfigurationError(f"Variant {variant.name}: {error.message}", hint=error.hint) from None


def _options(name: str, spec: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in _NEXT_KEY.split(spec) if spec else ():
        key, equals, value = part.partition("=")
        if not equals:
            raise ConfigurationError(
                f"Variant {name}: {part!r} is not written key=value.", hint=did_you_mean(key, KEYS)
            )
        if key not in KEYS:
            raise ConfigurationError(f"Variant {name}: there is no key {key!r}.", hint=did_you_mean(key, KEYS))
        if key in options:
            raise ConfigurationError(f"Variant {name}: {key} is given twice.")
        if not value.strip():
            raise ConfigurationError(f"Variant {name}: {key} has no value.")
        options[key] = value.strip()
    return options


def _expansion(name: str, options: Mapping[str, str]) -> ExpansionOptions:
    """A word that is no mode is a method; with any option but no word the mode is on, as in the HTTP API."""
    word = options.get("expansion")
    method = options.get("expansion.method")
    if word is not None and word not in tuple(Mode):
        if method is not None:
            raise ConfigurationError(f"Variant {name}: the method is given twice, {word!r} and {method!r}.")
        word, method = Mode.ON, word
    given = any(key.startswith("expansion.") for key in options)
    methods = () if method is None else _methods(name, method)
    prompt = options.get("expansion.prompt")
    if prompt is not None and methods and LLM not in {share.name for share in methods}:
        raise ConfigurationError(f"Variant {name}: expansion.prompt goes with the method {LLM}, not with {method}.")
    return ExpansionOptions(
        mode=Mode(word) if word is not None else Mode.ON if given else Mode.AUTO,
        methods=methods,
        form=_word(name, options, "expansion.form", Form),
        weight=_share(name, options, "expansion.weight"),
        terms=_integer(name, options, "expansion.terms", most=_MAX_TERMS),
        prompt=prompt,
        wait=_word(name, options, "expansion.wait", Wait) or Wait.ANSWER,
        recorded=_recorded(name, options, method),
    )


def _methods(name: str, written: str) -> tuple[MethodShare, ...]:
    try:
        return parse_methods(written)
    except InvalidRequest as error:
        raise ConfigurationError(f"Variant {name}: {error.message}", hint=error.hint) from None


def _recorded(name: str, options: Mapping[str, str], method: str | None) -> RecordedRun | None:
    """The file of the method `recorded`, which goes with that method and no other."""
    wanted = method is not None and any(share.name == RECORDED for share in _methods(name, method))
    file, run = options.get("expansion.file"), options.get("expansion.run")
    if wanted and file is None:
        raise ConfigurationError(
            f"Variant {name}: the method {RECORDED} needs a file.", hint="Name it: expansion.file=FILE."
        )
    if not wanted and (file is not None or run is not None):
        key = "expansion.file" if file is not None else "expansion.run"
        raise ConfigurationError(
            f"Variant {name}: {key} goes with the method {RECORDED}.", hint=f"Write expansion={RECORDED}."
        )
    return None if file is None else RecordedRun(file=file, run=run)


def _rerank(name: str, options: Mapping[str, str]) -> RerankOptions:
    word = options.get("rerank", "on")
    if word not in ("off", "on"):
        raise ConfigurationError(f"Variant {name}: rerank is {word!r}.", hint=did_you_mean(word, ("off", "on")))
    default = RerankOptions()
    return RerankOptions(
        mode=Mode(word),
        depth=_integer(name, options, "rerank.depth", most=MAX_DEPTH) or default.depth,
        query=_word(name, options, "rerank.query", RerankQuery) or default.query,
        instruction=options.get("rerank.instruction"),
    )


def _word(name: str, options: Mapping[str, str], key: str, words: type[_Word]) -> _Word | None:
    word = options.get(key)
    if word is None:
        return None
    if word not in tuple(words):
        raise ConfigurationError(f"Variant {name}: {key} is {word!r}.", hint=did_you_mean(word, list(words)))
    return words(word)


def _integer(name: str, options: Mapping[str, str], key: str, *, most: int | None) -> int | None:
    text = options.get(key)
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and int(text) >= 1 and (most is None or int(text) <= most):
        return int(text)
    allowed = "1 or more" if most is None else f"1 to {most}"
    raise ConfigurationError(f"Variant {name}: {key} is {text!r}: an integer, {allowed}, was expected.")


def _share(name: str, options: Mapping[str, str], key: str) -> float | None:
    text = options.get(key)
    if text is None:
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if 0 <= share <= 1:
        return share
    raise ConfigurationError(f"Variant {name}: {key} is {text!r}: a number from 0 to 1 was expected.")
