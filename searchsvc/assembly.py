"""The pipeline of an index, joined from the parts that every index shares and from those that its engine has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from searchsvc.expansion.dictionary.expander import DictionaryExpander
from searchsvc.expansion.dictionary.loading import Dictionary
from searchsvc.expansion.guard.completions import Completer
from searchsvc.expansion.llm import LlmExpander
from searchsvc.expansion.prf import PrfExpander
from searchsvc.expansion.recorded import RecordedExpander
from searchsvc.pipeline import Pipeline
from searchsvc.protocols import Expander, OpenIndex, Reranker
from searchsvc.text import Analyzer

if TYPE_CHECKING:
    from searchsvc.policy.model import GainModel


_NO_VOCABULARY = "There are no neighbours in an index that others made: their words have not been compared."


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the pipelines of all indices share."""

    analyzer: Analyzer
    completer: Completer | None
    prompt: str | None
    dictionary: Dictionary | None
    policy: GainModel | None
    reranker: Reranker | None
    recorded: bool = False
    """Whether expansions may come from files: for commands, never for requests from outside."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that an index can have: `neighbours` needs a vocabulary that its load made."""
        found = {"llm": self.completer, "neighbours": True, "prf": True, "dictionary": self.dictionary}
        return tuple(name for name, part in found.items() if part is not None)

    def pipeline(self, index: OpenIndex) -> Pipeline:
        """That of `index`. The first of its methods expands where a request names none."""
        expanders = self._expanders(index)
        return Pipeline(
            retriever=index.retriever,
            analyze=self._words if index.as_written else self.analyzer.terms,
            marks=self.analyzer.terms,
            as_written=index.as_written,
            expanders=expanders,
            absent={} if index.neighbours is not None else {"neighbours": index.no_neighbours or _NO_VOCABULARY},
            default_methods=tuple(name for name in ("llm", "neighbours") if name in expanders)[:1],
            reranker=self.reranker if self.reranker is not None else index.reranker,
            statistics=index.statistics,
            policy=self.policy,
        )

    def _expanders(self, index: OpenIndex) -> Mapping[str, Expander]:
        statistics, analyzer, as_written = index.statistics, self.analyzer, index.as_written
        expanders: dict[str, Expander] = {}
        if self.completer is not None:
            expanders["llm"] = LlmExpander(self.completer, statistics, analyzer, self.prompt, as_written=as_written)
        if index.neighbours is not None:
            expanders["neighbours"] = index.neighbours
        expanders["prf"] = PrfExpander(statistics, analyzer)
        if self.dictionary is not None:
            expanders["dictionary"] = DictionaryExpander(self.dictionary, statistics, analyzer, as_written=as_written)
        if self.recorded:
            expanders["recorded"] = RecordedExpander(statistics, analyzer, as_written=as_written)
        return expanders

    def _words(self, text: str) -> list[str]:
        """Words as they are written, for an index that reads text by analysers of its own."""
        return [word.surface.lower() for word in self.analyzer.words(text, parts=False)]
