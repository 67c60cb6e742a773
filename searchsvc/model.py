"""The values that travel through a search: requests, queries, candidates, rankings. Standard library only."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from searchsvc.schema import Caller


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock by which the work must be done; passed down, never restarted."""

    at: float
    """Seconds on `time.monotonic`."""

    @classmethod
    def after_ms(cls, milliseconds: float) -> Deadline:
        """The deadline that many milliseconds from now."""
        return cls(time.monotonic() + milliseconds / 1000)

    def left_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    def share(self, fraction: float) -> Deadline:
        """An earlier deadline: `fraction` of the time that is left now."""
        return Deadline(time.monotonic() + self.left_s() * fraction)


class ScoreKind(StrEnum):
    """Whose number a score is; scores of different kinds are never compared."""

    BM25 = "bm25"
    RRF = "rrf"
    LOGIT = "logit"
    BLEND = "blend"


class Form(StrEnum):
    """How the terms of an expansion join the query (figures: docs/expansion.md)."""

    MIXTURE = "mixture"
    KEYWORDS = "keywords"
    CONCAT = "concat"
    RRF = "rrf"
    ZSCORE = "zscore"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedTerm:
    """One index term and its weight in a query."""

    term: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedQuery:
    """What a retriever runs: a sum of weighted terms; and the same for an index that reads text by its own analyser."""

    text: str
    """The original query."""
    terms: tuple[WeightedTerm, ...]
    """Index terms of our own analyser, the original's and the added ones; of an adopted index the original's words."""
    text_weight: float = 1.0
    """On an adopted index: weight of the clause that reads `text`; 0: there is none."""
    phrases: tuple[WeightedTerm, ...] = ()
    """On an adopted index: the added words, as a person writes them."""


Value = str | int | float | bool
"""Of a keyword or date, a number, a boolean field."""
Bound = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """The field has at least one of the values."""

    field: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The field lies between the bounds; a bound that is None is open."""

    field: str
    gte: Bound = None
    gt: Bound = None
    lte: Bound = None
    lt: Bound = None

    def bounds(self) -> dict[str, str | int | float]:
        """Those that are not open, by their names."""
        every = {"gte": self.gte, "gt": self.gt, "lte": self.lte, "lt": self.lt}
        return {name: bound for name, bound in every.items() if bound is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exists:
    """The field has a value, or has none."""

    field: str
    present: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The condition does not hold; of a nested field: for none of its objects."""

    condition: AnyOf | Range | Exists


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFilter:
    """A query of Elasticsearch's own, as it is."""

    query: Mapping[str, Any]


Condition = AnyOf | Range | Exists | Not | RawFilter
Filters = tuple[Condition, ...]
"""Conditions that all hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsFacet:
    """Count the most frequent values of a field."""

    field: str
    size: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RangesFacet:
    """Count the documents in each of some ranges."""

    field: str
    ranges: tuple[Range, ...]


Facet = TermsFacet | RangesFacet


@dataclass(frozen=True, slots=True, kw_only=True)
class SortKey:
    """Order by the values of a field; a document without one comes last."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The texts of a document whose fields have names of their own."""

    title: str
    text: str
    """What a snippet is cut from."""
    passage: str
    """What a reranker reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One document in a ranking."""

    doc_id: str
    score: float
    """In the ranking that holds this candidate, of that ranking's kind."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """The document as it was loaded, without its id."""
    contributions: Mapping[str, float] = field(default_factory=dict)
    """Score per query term, where it was asked for; adds up to a BM25 score."""
    reading: Reading | None = None
    """None: `source` has `title` and `text`."""
    group: Value | None = None
    """The value that the ranking was collapsed on."""
    sort_values: tuple[Any, ...] = ()
    """Of the keys that the ranking was sorted by; empty: by relevance."""

    def scored(self, score: float) -> Candidate:
        """The same document with another ranking's score (fifty times a request: `dataclasses.replace` is slow)."""
        return Candidate(
            doc_id=self.doc_id,
            score=score,
            source=self.source,
            contributions=self.contributions,
            reading=self.reading,
            group=self.group,
            sort_values=self.sort_values,
        )

    @property
    def title(self) -> str:
        """The title, empty if the document has none."""
        return str(self.source.get("title") or "") if self.reading is None else self.reading.title

    @property
    def text(self) -> str:
        """The body text, empty if the document has none."""
        return str(self.source.get("text") or "") if self.reading is None else self.reading.text

    @property
    def passage(self) -> str:
        """Title and text as one string: what a reranker reads."""
        if self.reading is not None:
            return self.reading.passage
        return f"{self.title}\n{self.text}" if self.title and self.text else self.title or self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Candidates, best first, whose scores are of one kind."""

    candidates: tuple[Candidate, ...] = ()
    score_kind: ScoreKind = ScoreKind.BM25

    def __len__(self) -> int:
        """How many candidates."""
        return len(self.candidates)

    def __iter__(self) -> Iterator[Candidate]:
        """Best first."""
        return iter(self.candidates)

    def head(self, top_k: int) -> Ranking:
        """The best `top_k`."""
        return Ranking(candidates=self.candidates[:top_k], score_kind=self.score_kind)

    def ranks(self) -> dict[str, int]:
        """1-based rank by doc_id."""
        return {candidate.doc_id: rank for rank, candidate in enumerate(self.candidates, 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A value, what it is, and what it was made of: Lucene's tree."""

    value: float
    description: str
    details: tuple[Explanation, ...] = ()


FIRST_PAGE = "*"
"""The cursor of a first page."""

DEFAULT_INDEX = "documents"
"""The published name that a search reads unless it names another."""


class Mode(StrEnum):
    """Whether an optional stage runs."""

    OFF = "off"
    ON = "on"
    AUTO = "auto"
    SHADOW = "shadow"
    """Decide as auto does, run and note it; the answer is that of off."""


class Wait(StrEnum):
    """How long an expansion is awaited."""

    ANSWER = "answer"
    """As long as it does not hold up the answer: its slice of the deadline."""
    COMPLETE = "complete"
    """As long as the deadline lets anything come after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodShare:
    """One of the methods that expand a query together, and its share among them."""

    name: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """Where recorded expansions are."""

    file: str
    """JSON lines, plain or gzip."""
    run: str | None = None
    """METHOD/MODEL, where the file has several."""


class RerankQuery(StrEnum):
    """Which text the reranker reads as the query."""

    ORIGINAL = "original"
    EXPANDED = "expanded"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionOptions:
    """How the query is to be expanded; None means the default of the method."""

    mode: Mode = Mode.AUTO
    methods: tuple[MethodShare, ...] = ()
    """Empty: the default one of the index."""
    form: Form | None = None
    weight: float | None = None
    """λ: the share of the mass (mixture) or the weight of the second list (rrf, zscore)."""
    terms: int | None = None
    """n: how many expansion terms at most."""
    prompt: str | None = None
    """Id of the prompt file."""
    retrieves: bool = True
    """False: the expansion is made and shown but feeds no retrieval (the demo's row of the article's form)."""
    wait: Wait = Wait.ANSWER
    recorded: RecordedRun | None = None
    """What the method `recorded` reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankOptions:
    """How the candidates are to be reranked."""

    mode: Mode = Mode.ON
    depth: int = 50
    """How many candidates the reranker reads."""
    query: RerankQuery = RerankQuery.ORIGINAL
    instruction: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """One search, checked: what the service runs."""

    query_id: str
    user_query: str
    index: str = DEFAULT_INDEX
    top_k: int = 10
    """How many candidates the caller wants (the API's `size`)."""
    offset: int = 0
    """How many of the best to leave out (the API's `from`)."""
    retrieval_depth: int = 50
    """How many candidates are retrieved."""
    filters: Filters = ()
    expansion: ExpansionOptions = field(default_factory=ExpansionOptions)
    rerank: RerankOptions = field(default_factory=RerankOptions)
    explain: bool = False
    timeout_ms: int = 2000
    client_id: str | None = None
    fields: tuple[str, ...] | None = None
    """Source fields that come back; None: all that the index gives."""
    facets: tuple[Facet, ...] = ()
    """Counted over the matches of the original query."""
    sort: tuple[SortKey, ...] = ()
    """Empty: by relevance. Anything else turns expansion and reranking off."""
    collapse: str | None = None
    """One document for each value of this field."""
    highlight: tuple[str, ...] = ()
    """Source fields in which the matched words are marked."""
    cursor: str | None = None
    """FIRST_PAGE: the first page, with a cursor to go on; another: that of the last reply."""
    caller: Caller | None = None
    """Whose rights decide, where searches run in the caller's name."""
