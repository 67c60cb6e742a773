"""The account of a search: what every stage did, and the answer. Imports `model` and `errors` only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from searchsvc.errors import Reason
from searchsvc.model import Candidate, Explanation, Form, Range, Ranking, ScoreKind, Value


class Stage(StrEnum):
    """The stages, in the order in which they are reported."""

    RETRIEVE = "retrieve"
    EXPAND = "expand"
    RETRIEVE_EXPANDED = "retrieve_expanded"
    RERANK = "rerank"


class StageStatus(StrEnum):
    """How a stage ended; `skipped` was meant, `degraded` was not, `pending` is late and was not awaited."""

    OK = "ok"
    SKIPPED = "skipped"
    PENDING = "pending"
    DEGRADED = "degraded"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One call of a model server, kept whole enough to account for it; never holds secrets."""

    model: str
    """As answered by the server."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTrace:
    """What one stage did."""

    stage: Stage
    status: StageStatus
    took_ms: float = 0.0
    reason: Reason | None = None
    message: str = ""
    """For a person: the error of a degraded stage."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Facts of this stage: JSON values only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """How many documents match the original query."""

    value: int
    relation: Literal["eq", "gte"] = "eq"


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetCount:
    """One value or range of a facet, and how many documents have it."""

    value: Value | Range
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetCounts:
    """A facet over the matches of the original query."""

    field: str
    counts: tuple[FacetCount, ...]
    """The most frequent values first; ranges in the order of the request."""
    other: int = 0
    """How many values of matching documents are not among `counts`."""
    error: int = 0
    """By how much a count may be too low, where the index has several shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """What a retriever returns."""

    ranking: Ranking
    total: Total
    partial: str = ""
    """Not empty: the engine answered with part of the index only, and why."""
    partial_reason: Reason = Reason.PARTIAL_RESULTS
    facets: tuple[FacetCounts, ...] = ()
    """In the order of the request."""
    word_weight: float = 1.0
    """How much a phrase of one word weighs in the original query's score: 1 where that is a sum over words."""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionTerm:
    """One term that an expander proposes."""

    term: str
    """The index term (analysed: folded, stemmed, lower case)."""
    frequency: float
    """How often the expansion says it, or its similarity: the f(t) of the composed query."""
    df: int
    """Document frequency in this index."""
    source: str
    """The method that proposed it."""
    source_text: str
    """The words that it comes from: of the completion, or of the query that it is near to."""
    surface: str = ""
    """The term as a person writes it; empty: as the index has it."""
    weight: float = 0.0
    """In the composed query, whether or not that was searched for; 0 if not kept."""
    kept: bool = True
    reason: str = ""
    """Why it was dropped, in the words of `searchsvc.drops`."""
    hits_alone: int | None = None
    """How many hits of the answer match nothing of the query but this term; None where nothing was answered."""
    apart: bool = False
    """It stands for words of the query in another language: with its like it makes a list of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """What an expander returns: text and terms, not yet composed into a query."""

    method: str
    text: str
    """What was said or proposed, for people; its length counts where a form repeats the query."""
    terms: tuple[ExpansionTerm, ...]
    doc_count: int
    """Documents in the index: the N of idf."""
    prompt_id: str = ""
    calls: tuple[ModelCall, ...] = ()
    stands_for: float = 1.0
    """Share of the query's words that the terms stand for, 0 to 1: λ is spent on these words alone."""
    said_terms: tuple[str, ...] = ()
    """As a chat model wrote them, where it was asked for terms."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Facts for the trace: JSON values only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranking:
    """What a reranker returns: one score for each candidate given, in the order given."""

    scores: tuple[float | None, ...]
    """None: scored, not among the best that were asked for, and not sent."""
    score_kind: ScoreKind
    model: str
    parts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """What the scores are sums of, by name, in the order given; empty if they are the model's own."""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a stage put a document: 1-based rank and that stage's score."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedCandidate:
    """One line of the answer, with the stages that it went through."""

    candidate: Candidate
    rank: int
    score: float
    score_kind: ScoreKind
    retrieval: Placement | None
    """By the original query alone; None if only the expansion found it."""
    rerank: Placement | None
    explanation: Explanation | None = None

    @property
    def movement(self) -> int | None:
        """Ranks gained over the original query's retrieval; None if it was not there."""
        return None if self.retrieval is None else self.retrieval.rank - self.rank


Decided = Literal["expanded", "skipped", "degraded", "pending"]
"""What became of the expansion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionAccount:
    """Whether the query was expanded, why, and with what."""

    decision: Decided
    reason: str
    method: str | None = None
    """Several are joined by `+`."""
    form: Form | None = None
    weight: float | None = None
    """λ, as it was used."""
    explanation: str = ""
    terms: tuple[ExpansionTerm, ...] = ()
    expansions: tuple[Expansion, ...] = ()
    """What each method came to, as it arrived."""
    policy: Mapping[str, Any] = field(default_factory=dict)
    """What `auto` went by, and what it expects: JSON values only; empty where a rule decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The whole answer."""

    query_id: str
    user_query: str
    expanded_query: str | None
    expansion: ExpansionAccount
    total: Total
    hits: tuple[RankedCandidate, ...]
    stages: tuple[StageTrace, ...]
    took_ms: float
    matched_terms: frozenset[str] = frozenset()
    """Index terms of the query that was run: what a snippet marks."""
    facets: tuple[FacetCounts, ...] = ()
    window: tuple[RankedCandidate, ...] = ()
    """The whole window in its final order, where a cursor was asked for."""
    next_cursor: str | None = None
    """Where the next page begins; None: none was asked for, or this is the last."""

    @property
    def degraded(self) -> tuple[StageTrace, ...]:
        """The stages that did not do what they were meant to."""
        return tuple(trace for trace in self.stages if trace.status is StageStatus.DEGRADED)
