"""Two-stage expansion: a chat model completes the query, keywords of the completion become proposed terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from searchsvc.documents import clean
from searchsvc.errors import BadModelOutput, ConfigurationError
from searchsvc.expansion.completion import read_completion
from searchsvc.expansion.prompts import DEFAULT_PROMPT, find_prompt, language_of, prompt_ids
from searchsvc.forms import idf
from searchsvc.model import Form
from searchsvc.protocols import ChatModel, ExpandRequest, TermCounts, TermStatistics
from searchsvc.result import Expansion, ExpansionTerm
from searchsvc.text import Analyzer, Keyword, extract_keywords

_METHOD = "llm"


class LlmExpander:
    """Implements Expander; half of the query's mass goes to the mixture (figures: docs/expansion.md)."""

    default_form = Form.MIXTURE
    default_weight = 0.5

    def __init__(
        self,
        chat: ChatModel,
        statistics: TermStatistics,
        analyzer: Analyzer,
        prompt_id: str | None = None,
        *,
        as_written: bool = False,
    ) -> None:
        """`prompt_id` None: the default prompt; `as_written`: the index is asked for words, not for index terms.

        Raises ConfigurationError for an id that there is not.
        """
        self._as_written = as_written
        self._chat = chat
        self._statistics = statistics
        self._analyzer = analyzer
        self._prompt_id = prompt_id or DEFAULT_PROMPT
        if self._prompt_id not in prompt_ids():
            raise ConfigurationError(
                f"There is no prompt {self._prompt_id!r}.", hint=f"There are: {', '.join(prompt_ids())}."
            )

    async def expand(self, request: ExpandRequest) -> Expansion:
        """The completion and every keyword of it, kept or not and why.

        Raises StageError, and InvalidRequest for a prompt that there is not.
        """
        user_query = clean(request.user_query)
        prompt = find_prompt(request.prompt or self._prompt_id, language_of(user_query))
        reply = await self._chat.chat(
            prompt.messages(user_query),
            schema=prompt.schema,
            max_tokens=prompt.max_tokens,
            temperature=prompt.temperature,
            deadline=request.deadline,
        )
        text = read_completion(reply, prompt)
        keywords = extract_keywords(text, self._analyzer, idf=_unweighted)
        if {keyword.term for keyword in keywords} <= set(self._analyzer.terms(user_query)):
            raise BadModelOutput("The completion has no keyword that the query lacks.")
        if self._as_written:
            keywords = [replace(keyword, term=keyword.surface.lower()) for keyword in keywords]
        counts = await self._statistics.document_frequencies(
            [keyword.term for keyword in keywords], deadline=request.deadline, caller=request.caller
        )
        return Expansion(
            method=_METHOD,
            text=text,
            terms=tuple(_proposed(keywords, counts, request.terms)),
            doc_count=counts.doc_count,
            prompt_id=prompt.id,
            calls=(reply.call,),
        )


def _unweighted(_term: str) -> float:
    """Stands in for the idf until the index has told it, which it does for the keywords only."""
    return 1.0


def _proposed(keywords: Sequence[Keyword], counts: TermCounts, limit: int) -> list[ExpansionTerm]:
    """Every keyword, by falling f·idf; of those that the index has, the first `limit` are kept."""
    proposed: list[ExpansionTerm] = []
    kept = 0
    for keyword in sorted(keywords, key=lambda each: (-_weight(each, counts), each.term)):
        df = counts.df.get(keyword.term, 0)
        reason = "not in the index" if not df else "" if kept < limit else f"beyond the limit of {limit}"
        kept += not reason
        proposed.append(
            ExpansionTerm(
                term=keyword.term,
                frequency=float(keyword.frequency),
                df=df,
                source=_METHOD,
                source_text=keyword.surface,
                surface=keyword.surface,
                kept=not reason,
                reason=reason,
            )
        )
    return proposed


def _weight(keyword: Keyword, counts: TermCounts) -> float:
    return keyword.frequency * idf(counts.df.get(keyword.term, 0), counts.doc_count)
