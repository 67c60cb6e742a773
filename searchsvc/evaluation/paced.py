"""Searches at the pace that the account of a chat model allows, and what they will ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from searchsvc.errors import Reason
from searchsvc.evaluation.runner import Meter, Search
from searchsvc.evaluation.variants import Variant
from searchsvc.expansion.guard.pacing import Pace
from searchsvc.expansion.llm import METHOD
from searchsvc.expansion.prompts import DEFAULT_PROMPT, find_prompt, language_of
from searchsvc.model import Mode, SearchRequest, Wait
from searchsvc.result import SearchResult

_HOLDS_S = (10.0, 60.0)
"""How long nothing is asked after a quota was reached, the first time and the second."""
_BYTES_A_TOKEN = 4
"""Of UTF-8: four letters of English, somewhat more than a character of Chinese."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the chat model will be asked, at most: what is in its cache is not asked again."""

    calls: int
    tokens_a_call: int

    @property
    def tokens(self) -> int:
        """Of all calls."""
        return self.calls * self.tokens_a_call


def asks_model(variant: Variant, default_methods: Sequence[str]) -> bool:
    """Whether the expansions of the variant ask the chat model."""
    methods = [share.name for share in variant.expansion.methods] or default_methods
    return variant.expansion.mode is not Mode.OFF and METHOD in methods


def expected(
    variants: Sequence[Variant], queries: Mapping[str, str], *, default_prompt: str | None, each_its_own: bool
) -> Expected:
    """Of variants that ask the chat model. Those with the same prompt share its answers, unless `each_its_own`.

    Raises InvalidRequest for a prompt that there is not.
    """
    prompts = [variant.expansion.prompt or default_prompt or DEFAULT_PROMPT for variant in variants]
    asked = prompts if each_its_own else list(dict.fromkeys(prompts))
    sizes = [_size(prompt, text) for prompt in asked for text in queries.values()]
    return Expected(calls=len(sizes), tokens_a_call=round(fmean(sizes)) if sizes else 0)


def paced(search: Search, pace: Pace, expected_tokens: int, meter: Meter) -> Search:
    """`search`, whose expansions ask the chat model of `meter`, kept to `pace`.

    Where the search may wait for its expansion and the account's limit stopped that, it is run again after a pause,
    three times in all. Raises BudgetSpent besides what `search` raises.
    """

    async def once(request: SearchRequest) -> SearchResult:
        async with pace.call(expected_tokens):
            before = meter()
            result = await search(request)
        spent = meter() - before
        if spent.calls:
            pace.spent(spent.input + spent.output)
        else:
            pace.unused()
        return result

    async def searched(request: SearchRequest) -> SearchResult:
        for hold_s in _HOLDS_S if request.expansion.wait is Wait.COMPLETE else ():
            result = await once(request)
            if not any(trace.reason is Reason.QUOTA_EXCEEDED for trace in result.stages):
                return result
            pace.hold(hold_s)
        return await once(request)

    return searched


def _size(name: str, user_query: str) -> float:
    """Tokens that the prompt takes with this query, and may take for its answer."""
    prompt = find_prompt(name, language_of(user_query))
    passages = prompt.passages * prompt.passage_characters
    read = sum(len(message["content"].encode()) for message in prompt.messages(user_query)) + passages
    return read / _BYTES_A_TOKEN + prompt.max_tokens
