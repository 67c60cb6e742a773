"""The shapes of the HTTP API: what clients send and get. Nothing in here knows the service."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

FilterWord = Annotated[str, StringConstraints(min_length=1, max_length=8191)]
"""At most 32,764 bytes, what Elasticsearch takes as one keyword."""
_Name = Annotated[str, StringConstraints(max_length=64)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RangeBody(_Strict):
    """Bounds of a time field, ISO 8601."""

    gte: str | None = None
    gt: str | None = None
    lte: str | None = None
    lt: str | None = None


class ExpansionBody(_Strict):
    """How to expand the query."""

    mode: Literal["off", "on", "auto"] = "on"
    method: _Name | None = Field(None, description="llm or neighbours.")
    form: Literal["mixture", "keywords", "concat", "rrf", "zscore"] | None = None
    weight: float | None = Field(None, ge=0, le=1, description="λ: how much the expansion weighs.")
    terms: int | None = Field(None, ge=1, le=256, description="n: at most so many expansion terms.")
    prompt: _Name | None = Field(None, description="Id of a prompt.")


class RerankBody(_Strict):
    """How to rerank the candidates."""

    mode: Literal["off", "on"] = "on"
    depth: int = Field(50, ge=1, le=200, description="How many candidates are retrieved and reranked.")
    query: Literal["original", "expanded", "both"] = "original"
    instruction: str | None = Field(None, max_length=2000)


def _shape(value: Any) -> str:
    """Which branch of a union a value is meant for, so that errors speak of that branch alone."""
    if isinstance(value, dict | BaseModel):
        return "object"
    return "list" if isinstance(value, list) else "word"


_Expansion = Annotated[
    Annotated[_Name, Tag("word")] | Annotated[ExpansionBody, Tag("object")],
    Discriminator(lambda value: "object" if _shape(value) == "object" else "word"),
]
_Rerank = Annotated[
    Annotated[Literal["off", "on"], Tag("word")] | Annotated[RerankBody, Tag("object")],
    Discriminator(lambda value: "object" if _shape(value) == "object" else "word"),
]
_Filter = Annotated[
    Annotated[FilterWord, Tag("word")]
    | Annotated[list[FilterWord], Field(max_length=1024), Tag("list")]
    | Annotated[RangeBody, Tag("object")],
    Discriminator(_shape),
]


class SearchBody(_Strict):
    """One search."""

    query: str = Field(description="At most 8,192 characters, one of them not blank.", min_length=1)
    index: str = Field("documents", min_length=1, max_length=255)
    size: int = Field(10, ge=0, le=200)
    from_: int = Field(0, alias="from", ge=0, le=200)
    filters: dict[str, _Filter] = Field(
        default_factory=dict,
        max_length=32,
        description="{field: value | [any of] | {gte, gt, lte, lt}}, all must hold.",
    )
    expansion: _Expansion = Field("auto", description="off, on, auto, a method's name, or an object.")
    rerank: _Rerank = "on"
    explain: bool = False
    timeout_ms: int = Field(2000, ge=1, le=60_000, description="For the whole request.")
    client_id: str | None = Field(None, max_length=256)


class TermReply(BaseModel):
    """One term that an expansion proposed."""

    term: str
    weight: float
    df: int
    source: str
    source_text: str
    kept: bool
    reason: str


class ExpansionReply(BaseModel):
    """What was decided about expansion and what came of it."""

    decision: Literal["expanded", "skipped", "degraded"]
    reason: str
    method: str | None
    form: str | None
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
    explanation: ExplanationReply | None = None


class StageReply(BaseModel):
    """What one stage did."""

    model_config = ConfigDict(extra="allow")

    stage: Literal["retrieve", "expand", "retrieve_expanded", "rerank"]
    status: Literal["ok", "skipped", "degraded"]
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
    expansion_methods: list[str]
    analysis: str = Field(description="Fingerprint of the text analysis; an index made with another is refused.")
    limits: LimitsReply
