"""Expansion by a chat model: it completes the query or lists terms, and what the index can use of that is proposed."""

from __future__ import annotations

from collections.abc import Sequence

from searchsvc.documents import clean
from searchsvc.errors import BadModelOutput, ConfigurationError, InvalidRequest
from searchsvc.expansion.completion import read_answer
from searchsvc.expansion.guard.completions import Completer, CompletionRequest
from searchsvc.expansion.prompts import DEFAULT_PROMPT, Prompt, find_prompt, language_of
from searchsvc.expansion.proposals import Mention, asked_for, mentions, proposed
from searchsvc.model import Form
from searchsvc.protocols import ExpandRequest, TermStatistics
from searchsvc.result import Expansion
from searchsvc.text import Analyzer

METHOD = "llm"


class LlmExpander:
    """Implements Expander; half of the query's mass goes to the mixture (figures: docs/expansion.md)."""

    default_form = Form.MIXTURE
    default_weight = 0.5

    def __init__(
        self,
        completer: Completer,
        statistics: TermStatistics,
        analyzer: Analyzer,
        prompt: str | None = None,
        *,
        as_written: bool = False,
    ) -> None:
        """`prompt`: an id or a name, None the default one; `as_written`: the index is asked for words, not terms.

        Raises ConfigurationError for a prompt that there is not.
        """
        self._as_written = as_written
        self._completer = completer
        self._statistics = statistics
        self._analyzer = analyzer
        self._prompt = prompt or DEFAULT_PROMPT
        try:
            find_prompt(self._prompt, "en")
        except InvalidRequest as error:
            raise ConfigurationError(error.message, hint=error.hint) from None

    async def expand(self, request: ExpandRequest) -> Expansion:
        """What the model said and every word of it that could be a term, kept or not and why.

        A prompt that reads passages needs a first retrieval that found some: without them the model is not asked and
        the expansion is empty, its detail says why. Raises StageError, ExpansionLate among them, and InvalidRequest for
        an unknown prompt.
        """
        user_query = clean(request.user_query)
        prompt = find_prompt(request.prompt or self._prompt, language_of(user_query))
        passages = await _passages(prompt, request)
        if prompt.passages and not passages:
            return _nothing_to_read(prompt, request)
        completion = await self._completer.complete(
            _asked(prompt, user_query, passages),
            deadline=request.deadline,
            check=lambda reply: read_answer(reply, prompt, user_query),
        )
        answer = read_answer(completion.reply, prompt, user_query)
        found = self._mentions(mentions(answer, self._analyzer, user_query), user_query)
        counts = await self._statistics.document_frequencies(
            [each.term for each in found], deadline=request.deadline, caller=request.caller
        )
        return Expansion(
            method=METHOD,
            text=answer.text,
            terms=proposed(found, counts, source=METHOD, limit=request.terms),
            doc_count=counts.doc_count,
            prompt_id=prompt.id,
            calls=completion.calls,
            said_terms=answer.terms,
            detail=completion.detail | ({"cut": True} if answer.cut else {}),
        )

    def _mentions(self, found: Sequence[Mention], user_query: str) -> Sequence[Mention]:
        """What the index is asked for. Raises BadModelOutput if the query has all of it already."""
        if {each.term for each in found if not each.reason} <= set(self._analyzer.terms(user_query)):
            raise BadModelOutput("The answer has no keyword that the query lacks.")
        return asked_for(found, as_written=self._as_written)


def _asked(prompt: Prompt, user_query: str, passages: Sequence[str]) -> CompletionRequest:
    return CompletionRequest(
        query=user_query,
        prompt_id=prompt.id,
        language=prompt.language,
        messages=prompt.messages(user_query, passages),
        schema=prompt.schema,
        max_tokens=prompt.max_tokens,
        temperature=prompt.temperature,
        passages=tuple(passages),
    )


async def _passages(prompt: Prompt, request: ExpandRequest) -> tuple[str, ...]:
    """What the prompt reads of the first retrieval. Raises StageError if that failed."""
    if not prompt.passages or request.first_pass is None:
        return ()
    ranking = await request.first_pass()
    return tuple(each.passage for each in ranking.head(prompt.passages) if each.passage.strip())


def _nothing_to_read(prompt: Prompt, request: ExpandRequest) -> Expansion:
    why = "there is no first retrieval" if request.first_pass is None else "the first retrieval found nothing to read"
    nothing = f"The prompt {prompt.id} works on passages of the index, and {why}: the model was not asked."
    return Expansion(method=METHOD, text="", terms=(), doc_count=0, prompt_id=prompt.id, detail={"nothing": nothing})
