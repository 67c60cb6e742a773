"""Small hand-written parts of a pipeline, for tests of its order, deadline and degradation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from searchsvc.errors import Reason, StageError
from searchsvc.model import Candidate, Deadline, Filters, Form, Ranking, ScoreKind, WeightedQuery
from searchsvc.pipeline import Pipeline
from searchsvc.protocols import ExpandRequest, RetrieveRequest, TermStatistics
from searchsvc.result import Expansion, ExpansionTerm, Reranking, Retrieval, Total


def ranking(*doc_ids: str) -> Ranking:
    """Documents whose BM25 scores fall by one."""
    count = len(doc_ids)
    return Ranking(
        candidates=tuple(
            Candidate(doc_id=doc_id, score=float(count - place), source={"title": doc_id, "text": f"text of {doc_id}"})
            for place, doc_id in enumerate(doc_ids)
        )
    )


@dataclass
class FixedRetriever:
    """Answers by what the query's terms are; keeps what it was asked."""

    by_terms: Callable[[set[str]], Ranking]
    partial: str = ""
    partial_reason: Reason = Reason.PARTIAL_RESULTS
    error: StageError | None = None
    requests: list[RetrieveRequest] = field(default_factory=list)

    @property
    def asked(self) -> list[WeightedQuery]:
        return [request.query for request in self.requests]

    @property
    def filters(self) -> list[Filters]:
        return [request.filters for request in self.requests]

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        found = self.by_terms({term.term for term in request.query.terms}).head(request.top_k)
        return Retrieval(
            ranking=found, total=Total(value=len(found)), partial=self.partial, partial_reason=self.partial_reason
        )


@dataclass
class FixedExpander:
    """Proposes fixed terms, after a delay, or fails."""

    terms: Sequence[str] = ("extra",)
    default_form: Form = Form.MIXTURE
    default_weight: float = 0.5
    delay_s: float = 0.0
    error: Exception | None = None
    method: str = "fixed"
    apart: Sequence[str] = ()
    """Terms beside the others that make a list of their own."""
    cancelled: bool = False

    async def expand(self, request: ExpandRequest) -> Expansion:
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.error is not None:
            raise self.error
        terms = tuple(
            ExpansionTerm(term=term, frequency=1, df=1, source=self.method, source_text=term, apart=term in self.apart)
            for term in (*self.terms, *self.apart)
        )
        return Expansion(method=self.method, text=" ".join(self.terms), terms=terms, doc_count=10)


@dataclass
class FixedReranker:
    """Scores by doc_id, 0 for others; keeps the queries that it read."""

    scores: dict[str, float] = field(default_factory=dict)
    error: StageError | None = None
    delay_s: float = 0.0
    queries: list[str] = field(default_factory=list)
    pointwise: bool = True
    read: list[list[str]] = field(default_factory=list)
    """Ids of the candidates of each call."""

    async def rerank(
        self, query: str, candidates: Sequence[Candidate], *, top_k: int, instruction: str | None, deadline: Deadline
    ) -> Reranking:
        self.queries.append(query)
        self.read.append([candidate.doc_id for candidate in candidates])
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        scores = tuple(self.scores.get(candidate.doc_id, 0.0) for candidate in candidates)
        return Reranking(scores=scores, score_kind=ScoreKind.LOGIT, model="fixed-reranker")


def pipeline(
    retriever: FixedRetriever,
    *,
    expander: FixedExpander | None = None,
    reranker: FixedReranker | None = None,
    others: Sequence[FixedExpander] = (),
    statistics: TermStatistics | None = None,
) -> Pipeline:
    """A pipeline that splits text at spaces; `others` expand where a request names them."""
    expanders = [*([] if expander is None else [expander]), *others]
    return Pipeline(
        retriever=retriever,
        analyze=str.split,
        marks=str.split,
        expanders={each.method: each for each in expanders},
        default_methods=() if expander is None else (expander.method,),
        reranker=reranker,
        statistics=statistics,
    )
