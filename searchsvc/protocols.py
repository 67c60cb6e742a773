"""The three verbs of a search and what they lean on; adapters implement these, the pipeline knows only these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from searchsvc.documents import Document
from searchsvc.model import (
    Candidate,
    Deadline,
    Facet,
    Filters,
    Form,
    Ranking,
    RecordedRun,
    SortKey,
    WeightedQuery,
)
from searchsvc.result import Expansion, ModelCall, Reranking, Retrieval
from searchsvc.schema import MANAGED, Caller, IndexSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrieveRequest:
    """What a retriever is given."""

    query: WeightedQuery
    top_k: int
    deadline: Deadline
    filters: Filters = ()
    facets: tuple[Facet, ...] = ()
    sort: tuple[SortKey, ...] = ()
    collapse: str | None = None
    explain: bool = False
    """Fill `Candidate.contributions`."""
    expanding: bool = False
    """An expansion will be composed with this query: measure `Retrieval.word_weight`."""
    caller: Caller | None = None


class Retriever(Protocol):
    """Finds candidates in one index."""

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        """The `top_k` best: by (-score, doc_id) on our own indices, in Elasticsearch's order on adopted ones.

        Raises StageError.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BasePage:
    """A stretch of the original query's own order."""

    candidates: tuple[Candidate, ...]
    last: bool
    """Nothing comes after it."""
    view: str
    """Names the state of the index that was read, for the next stretch; may be empty."""


class Pages(Protocol):
    """Pages of one index beyond the first."""

    async def base(self, request: RetrieveRequest, *, start: int, view: str) -> BasePage:
        """The `top_k` candidates from place `start` (0-based) of the order that `Retriever.retrieve` gives.

        `view` "" reads the index as it is now; that of an earlier page reads what that one read.
        Raises InvalidRequest (pointer /cursor) if that view is gone, StageError.
        """
        ...

    async def documents(self, request: RetrieveRequest, doc_ids: Sequence[str]) -> Mapping[str, Candidate]:
        """Those of the documents that are there and may be seen, with score 0. Raises StageError.

        The request's filters, and whatever of the index's own query does not depend on the text, still hold.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpandRequest:
    """What an expander is given."""

    user_query: str
    deadline: Deadline
    terms: int
    """At most so many terms are worth proposing."""
    prompt: str | None = None
    caller: Caller | None = None
    query_id: str = ""
    first_pass: Callable[[], Awaitable[Ranking]] | None = None
    """What the original query finds, as soon as that is known; raises StageError if it failed; None: none will run."""
    recorded: RecordedRun | None = None


class Expander(Protocol):
    """Proposes terms for a query against one index."""

    @property
    def default_form(self) -> Form:
        """The form that this method joins the query by unless the request names one."""
        ...

    @property
    def default_weight(self) -> float:
        """λ unless the request names one."""
        ...

    async def expand(self, request: ExpandRequest) -> Expansion:
        """Terms with their document frequencies. Raises StageError."""
        ...


class Reranker(Protocol):
    """Scores candidates against a query."""

    @property
    def pointwise(self) -> bool:
        """Whether the score of a candidate is the same whatever the others are."""
        ...

    async def rerank(
        self, query: str, candidates: Sequence[Candidate], *, top_k: int, instruction: str | None, deadline: Deadline
    ) -> Reranking:
        """Score all candidates, in the order given, or raise StageError.

        The caller reads the `top_k` best: a server need not send the scores, and the texts, of the others.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply:
    """What a chat model said."""

    text: str
    finish_reason: str
    call: ModelCall


class ChatModel(Protocol):
    """A chat-completion endpoint."""

    async def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        schema: Mapping[str, Any] | None,
        max_tokens: int,
        temperature: float,
        deadline: Deadline,
    ) -> ChatReply:
        """One reply; `schema` asks for JSON of that JSON Schema. Raises StageError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TermCounts:
    """Document frequencies in one index."""

    doc_count: int
    df: Mapping[str, int]


class TermStatistics(Protocol):
    """What an index knows of its terms."""

    async def document_frequencies(
        self, terms: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> TermCounts:
        """Df of every term given (0 if absent) and the number of documents. Raises StageError.

        Terms are those of our analyser; of an adopted index words as a person writes them.
        """
        ...

    async def pair_frequencies(
        self, pairs: Sequence[tuple[str, str]], *, deadline: Deadline, caller: Caller | None = None
    ) -> Mapping[tuple[str, str], int]:
        """How many documents hold both terms of each pair. Raises StageError."""
        ...

    async def tokens(
        self, candidates: Sequence[Candidate], *, deadline: Deadline, caller: Caller | None = None
    ) -> Sequence[Mapping[str, int]]:
        """How often each document holds its terms, in the order given. Raises StageError."""
        ...

    async def holding(
        self, terms: Sequence[str], doc_ids: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> Mapping[str, frozenset[str]]:
        """Which of the terms each of the documents holds, by doc_id. Raises StageError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """The account of a load: every line of the input is in exactly one of the counts."""

    index: str
    """The physical index."""
    loaded: int
    """Documents that are now in the index because of this load."""
    duplicates: int
    """Lines whose id came again later: the later one won."""
    live: bool
    """Whether searches see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexStatus:
    """One physical index."""

    index: str
    alias: str | None
    """The name under which searches see it, if they do."""
    documents: int
    bytes: int
    complete: bool
    """False: created, or a load into it did not end."""


class IndexAdmin(Protocol):
    """Makes, fills and publishes the indices of this service.

    A name is an alias that searches see; behind it stands a physical index `NAME-v1-TIME`.
    """

    async def create(self, name: str) -> str:
        """Makes a new, empty, unpublished physical index for `name` and returns its name."""
        ...

    async def load(
        self,
        name: str,
        documents: Iterable[Document],
        *,
        progress: Callable[[int], None],
        words: Callable[[int, int], None] | None = None,
    ) -> LoadReport:
        """Adds or replaces documents, the last of a doubled id winning.

        `name` is a physical index, or an alias: then its newest unpublished index if there is one, else the
        live one, else a new one. A first index (no live one yet) is published when the load ends.
        `progress` is called with the number of documents done so far; `words`, while the words of the index are
        compared after that, with the number of words done so far and that of all. Raises StageError; a rerun is safe.
        """
        ...

    async def swap(self, name: str, *, physical: str | None = None) -> str:
        """Publishes `physical`, or the newest complete unpublished index, under `name`; returns its name."""
        ...

    async def status(self) -> tuple[IndexStatus, ...]:
        """Every index of this service."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIndex:
    """One published index, ready to be searched, and what its engine can do for it without any server."""

    physical: str
    """The name of the physical index behind the alias when it was opened."""
    retriever: Retriever
    statistics: TermStatistics
    pages: Pages
    schema: IndexSchema = MANAGED
    as_written: bool = False
    """The index reads words as people write them, by analysers of its own; False: it holds our terms."""
    neighbours: Expander | None = None
    """Expansion by the index's own vocabulary; None where there is none."""
    no_neighbours: str = ""
    """Why there is none and what would help, where something would."""
    reranker: Reranker | None = None
    """The engine's own scorer; None where it has none."""


class Engine(Protocol):
    """Elasticsearch, or the embedded engine."""

    @property
    def admin(self) -> IndexAdmin:
        """What makes and fills its indices."""
        ...

    async def names(self) -> tuple[str, ...]:
        """The published names. Raises StageError."""
        ...

    async def open(self, name: str) -> OpenIndex:
        """The index published under `name`.

        Cheap when it is open already, and notices a swap. Raises UnknownIndex, StageError.
        """
        ...

    async def close(self) -> None:
        """Gives back connections and files."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A document of the state of this service."""

    value: Mapping[str, Any]
    """A JSON object."""
    revision: str
    """Differs after every write; says nothing else."""


class StateStore(Protocol):
    """What the service remembers: small JSON documents by kind and name. Kind and name are text that UTF-8 can hold."""

    @property
    def place(self) -> str:
        """Where they lie: "elasticsearch", "sqlite", or "undecided" before the first use."""
        ...

    async def read(self, kind: str, name: str) -> Stored | None:
        """The document as it was written last, None if there is none. Raises StageError, ConfigurationError."""
        ...

    async def write(self, kind: str, name: str, value: Mapping[str, Any], *, expected: str | None) -> str:
        """Writes if the revision is still `expected` (None: if there is no document) and returns the new revision.

        Raises Conflict if it is another; BackendTimeout and BackendUnavailable leave open whether it was written.
        Raises StageError, ConfigurationError. Raises ValueError or TypeError for a value that JSON cannot hold.
        """
        ...

    async def names(self, kind: str) -> tuple[str, ...]:
        """The names of all documents of that kind, sorted. Raises StageError, ConfigurationError."""
        ...
