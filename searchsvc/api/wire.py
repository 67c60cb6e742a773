"""The shapes of the HTTP API: what clients send and get. Nothing in here knows the service."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from searchsvc.api.unions import OBJECT, WORD, FacetsBody, FieldName, FiltersBody, SortBody, Strict, shape

_Name = Annotated[str, StringConstraints(max_length=64)]
_Methods = Annotated[str, StringConstraints(max_length=256)]


class MethodBody(Strict):
    """One of the methods that expand a query together."""

    name: _Name
    weight: float = Field(1.0, gt=0, le=10, description="Its share among them.")


class ExpansionBody(Strict):
    """How to expand the query."""

    mode: Literal["off", "on", "auto", "shadow"] = Field(
        "on", description="auto: on where it is worth it; shadow: decide and log as auto, answer as off."
    )
    method: str | None = Field(
        None, max_length=256, description="llm, neighbours, prf, dictionary, or several: llm+dictionary*0.5."
    )
    methods: list[MethodBody] | None = Field(None, min_length=1, max_length=8, description="The same, as a list.")
    form: Literal["mixture", "keywords", "concat", "rrf", "zscore"] | None = None
    weight: float | None = Field(None, ge=0, le=1, description="λ: how much the expansion weighs.")
    terms: int | None = Field(None, ge=1, le=256, description="n: at most so many expansion terms.")
    prompt: _Name | None = Field(None, description="Id of a prompt.")


class RerankBody(Strict):
    """How to rerank the candidates."""

    mode: Literal["off", "on"] = "on"
    depth: int = Field(50, ge=1, le=200, description="How many candidates are retrieved and reranked.")
    query: Literal["original", "expanded", "both"] = "original"
    instruction: str | None = Field(None, max_length=2000)


_word_or_object = Discriminator(lambda value: OBJECT if shape(value) == OBJECT else WORD)
_Expansion = Annotated[Annotated[_Methods, Tag(WORD)] | Annotated[ExpansionBody, Tag(OBJECT)], _word_or_object]
_Rerank = Annotated[Annotated[Literal["off", "on"], Tag(WORD)] | Annotated[RerankBody, Tag(OBJECT)], _word_or_object]


class SearchBody(Strict):
    """One search."""

    query: str = Field(description="At most 8,192 characters, one of them not blank.", min_length=1)
    index: str = Field("documents", min_length=1, max_length=255)
    size: int = Field(10, ge=0, le=200)
    from_: int = Field(0, alias="from", ge=0, le=200)
    cursor: str | None = Field(None, min_length=1, description="* for the first page, then next_cursor of the last.")
    filters: FiltersBody = Field(
        default_factory=FiltersBody,
        description="{field: value | [any of] | {gte, gt, lte, lt} | {not} | {exists}, es: raw}, all must hold.",
    )
    fields: list[FieldName] | None = Field(None, max_length=64, description="Source fields that come back.")
    facets: FacetsBody = Field(default_factory=list, description="[field] or {field: {size} | {ranges}}.")
    sort: SortBody = Field("relevance", description="relevance, or [field | {field: asc | desc}].")
    collapse: FieldName | None = Field(None, description="One document for each value of this field.")
    highlight: list[FieldName] = Field(
        default_factory=list, max_length=8, description="Source fields in which matched words are marked."
    )
    expansion: _Expansion = Field(
        "auto", description="off, on, auto, shadow, a method's name, several as llm+dictionary*0.5, or an object."
    )
    expansion_wait: Literal["answer", "complete"] = Field(
        "answer",
        description="answer: an expansion that is not there in its slice of timeout_ms is pending, and serves the next"
        " caller; complete: wait for it as long as timeout_ms lets anything come after it.",
    )
    rerank: _Rerank = "on"
    explain: bool = False
    timeout_ms: int = Field(2000, ge=1, le=60_000, description="For the whole request.")
    client_id: str | None = Field(None, max_length=256)


class TermReply(BaseModel):
    """One term that an expansion proposed."""

    term: str
    surface: str = Field(description="The term as a person writes it.")
    weight: float
    df: int
    source: str
    source_text: str
    kept: bool
    reason: str
    hits_alone: int | None = Field(description="Hits of this page that match nothing of the query but this term.")


class ExpansionReply(BaseModel):
    """What was decided about expansion and what came of it."""

    decision: Literal["expanded", "skipped", "degraded", "pending"]
    reason: str
    method: str | None
    form: str | None
    weight: float | None = Field(description="λ, as it was used.")
    policy: dict[str, Any] = Field(description="What auto went by; empty where a rule decided.")
    explanation: str
    terms: list[TermReply]


class TotalReply(BaseModel):
    """How many documents match the original query."""

    value: int
    relation: Literal["eq", "gte"]


class PlacementReply(BaseModel):
    """Where a stage put the document."""

    rank: int
    score: float


class ExplanationReply(BaseModel):
    """A value and what it was made of."""

    value: float
    description: str
    details: list[ExplanationReply]


class HitReply(BaseModel):
    """One document of the answer."""

    doc_id: str
    rank: int
    score: float
    score_kind: Literal["bm25", "rrf", "logit", "blend"]
    title: str
    snippet: str = Field(description="Raw text, not escaped; matched words between <em> and </em>.")
    source: dict[str, Any]
    retrieval: PlacementReply | None
    rerank: PlacementReply | None
    movement: int | None
    highlights: dict[str, list[str]] | None = Field(None, description="Where asked for: marked fragments by field.")
    sort: list[Any] | None = Field(None, description="The values that the hits are sorted by, unless by relevance.")
    explanation: ExplanationReply | None = None


class FacetValueReply(BaseModel):
    """A value or a range, and how many matching documents have it."""

    value: str | int | float | bool | None = None
    gte: str | int | float | None = None
    gt: str | int | float | None = None
    lte: str | int | float | None = None
    lt: str | int | float | None = None
    count: int


class FacetReply(BaseModel):
    """The values of one field over the matches of the original query."""

    kind: Literal["terms", "ranges"]
    values: list[FacetValueReply]
    other: int = Field(description="How many values of matching documents are not among these.")
    error: int = Field(description="By how much a count may be too low.")


class StageReply(BaseModel):
    """What one stage did."""

    model_config = ConfigDict(extra="allow")

    stage: Literal["retrieve", "expand", "retrieve_expanded", "rerank"]
    status: Literal["ok", "skipped", "pending", "degraded"]
    reason: str | None
    took_ms: float


class DegradedReply(BaseModel):
    """A stage that did not do what it was meant to."""

    stage: str
    reason: str


class SearchReply(BaseModel):
    """The answer to a search."""

    query_id: str
    took_ms: float
    query: str
    expanded_query: str | None
    expansion: ExpansionReply
    total: TotalReply
    hits: list[HitReply]
    facets: dict[str, FacetReply]
    next_cursor: str | None
    stages: list[StageReply]
    degraded: list[DegradedReply]


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    next_step: str = ""
    retryable: bool = False
    errors: list[dict[str, str]] = Field([], description="`pointer`: JSON pointer (RFC 6901) of a field; `detail`.")


class ReadyReply(BaseModel):
    """Searches can be answered."""

    status: Literal["ready"]
    indices: list[str]


class FieldReply(BaseModel):
    """What a request may do with a field."""

    name: str
    kind: Literal["keyword", "date", "number", "boolean", "text"]
    nested: str | None
    filter: bool
    facet: bool
    sort: bool


class IndexReply(BaseModel):
    """What a request may name on an index."""

    name: str
    kind: Literal["managed", "adopted"]
    fields: list[FieldReply]
    returned: list[str] | None = Field(description="Source fields that come back; null: whatever a document holds.")
    problems: list[str] = Field(description="What the index's table names and its mapping does not have any more.")


class PartReply(BaseModel):
    """An expander or a reranker."""

    kind: Literal["server", "embedded"]
    model: str | None
    url: str | None = None


class LimitsReply(BaseModel):
    """The bounds of a request."""

    query_characters: int
    depth: int


class InfoReply(BaseModel):
    """What runs."""

    name: str
    version: str
    engine: Literal["embedded", "elasticsearch"]
    expander: PartReply | None
    reranker: PartReply | None
    expansion_methods: list[str] = Field(description="Those that an index can have.")
    chat: dict[str, Any] | None = Field(description="How often the chat model was asked, and how it stands.")
    analysis: str = Field(description="Fingerprint of the text analysis; an index made with another is refused.")
    state: Literal["elasticsearch", "sqlite", "undecided"] = Field(
        description="Where the service keeps what it must remember; undecided until it first has to."
    )
    limits: LimitsReply
