"""The only reader of Elasticsearch's JSON: pure functions from answers to our values.

HTTP 200 is not success: an answer may cover a part of the index only, and `missing_part` says so.
Every function raises BackendRejected if the answer has another shape.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from searchsvc.elastic.errors import DISK_FULL_TYPE, NOT_ELASTICSEARCH_HINT, OVERLOAD_TYPES, POINT_GONE_TYPE
from searchsvc.errors import BackendRejected
from searchsvc.index_names import is_physical, name_of
from searchsvc.model import Candidate, Ranking, ScoreKind
from searchsvc.protocols import IndexStatus, TermCounts
from searchsvc.result import Total

Asked = TypeVar("Asked", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadMark:
    """Which load an index belongs to: the one that began last."""

    token: str = ""
    """Differs between any two loads."""
    began_at: str = ""
    """ISO 8601, UTC, by the clock of the machine that loads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhysicalIndex:
    """One index as the cluster describes it."""

    index: str
    published: bool
    """Its alias points to it."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """The `_meta` of its mapping."""

    @property
    def name(self) -> str:
        """The name under which it is, or would be, published."""
        return name_of(self.index)

    @property
    def complete(self) -> bool:
        """The last load into it ended."""
        return bool(self.meta.get("complete"))

    @property
    def has_vocabulary(self) -> bool:
        """A load into it has compared its words."""
        return bool(self.meta.get("vocabulary"))

    @property
    def load(self) -> LoadMark:
        """The last load that began; an empty mark if none did."""
        return load_mark(self.meta)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedItem:
    """A document that a bulk request did not store."""

    doc_id: str
    type: str
    reason: str
    retry: bool
    """Overload, or a shard that is away: the same item may pass later."""


def ranking(reply: Any, *, sorted_by: int = 0, collapsed_on: str | None = None) -> Ranking:
    """The candidates, best first; `sorted_by` so many fields, one for each value of the field `collapsed_on`."""
    with shape("a search"):
        candidates = tuple(_candidate(hit, sorted_by, collapsed_on) for hit in reply["hits"]["hits"])
        return Ranking(candidates=candidates, score_kind=ScoreKind.BM25)


def opened_point(reply: Any) -> str:
    """The id in an answer of `POST /NAME/_pit`."""
    with shape("the opening of a point in time"):
        return str(reply["id"])


def point(reply: Any) -> str:
    """The id by which the point in time that was searched goes on: it may differ from that of the search."""
    with shape("a search in a point in time"):
        return str(reply["pit_id"])


def total(reply: Any) -> Total:
    """How many documents match."""
    with shape("a search"):
        counted = reply["hits"]["total"]
        return Total(value=counted["value"], relation=counted["relation"])


def missing_part(reply: Any) -> str:
    """Why this answer covers a part of the index only, as a sentence; empty if it covers all of it."""
    with shape("a search"):
        shards = reply["_shards"]
        if shards["failed"]:
            reasons = _failures(reply)
            why = f" ({', '.join(sorted(reasons))})" if reasons else ""
            return f"{shards['failed']} of {shards['total']} shards did not answer{why}."
        if not shards["total"]:  # a wildcard: of a name that is gone Elasticsearch says so
            return "The name stands for no open index that may be searched."
        return "Elasticsearch ran out of time before it had searched the whole index." if reply["timed_out"] else ""


def overloaded(reply: Any) -> bool:
    """Whether shards are missing because they are busy: then a retry makes it worse."""
    return not OVERLOAD_TYPES.isdisjoint(_failures(reply))


def point_gone(reply: Any) -> bool:
    """Whether shards are missing because they no longer have the point in time that was searched."""
    return POINT_GONE_TYPE in _failures(reply)


def is_empty(reply: Any) -> bool:
    """Whether no shard was asked: what was searched holds none."""
    with shape("a search"):
        return not reply["_shards"]["total"]


def took_ms(reply: Any) -> float:
    """Milliseconds that Elasticsearch worked on it, by its own clock."""
    with shape("a search"):
        return float(reply["took"])


def term_counts(reply: Any, terms: Sequence[str]) -> TermCounts:
    """Document frequencies of the terms that were asked for, in the order of the request."""
    with shape("a count of terms"):
        df = counted(reply, terms) if terms else {}
        return TermCounts(doc_count=reply["hits"]["total"]["value"], df=df)


def counted(reply: Any, asked: Sequence[Asked]) -> dict[Asked, int]:
    """How many documents each of what was asked for matches, in the order of the request."""
    with shape("a count of terms"):
        buckets = reply["aggregations"]["df"]["buckets"]
        return {each: int(bucket["doc_count"]) for each, bucket in zip(asked, buckets, strict=True)}


def held(reply: Any) -> dict[str, frozenset[str]]:
    """The names of the clauses that each document matches, by its id."""
    with shape("a search"):
        return {hit["_id"]: frozenset(hit.get("matched_queries", ())) for hit in reply["hits"]["hits"]}


def texts(reply: Any) -> tuple[list[tuple[str, str]], list[Any]]:
    """Title and text of each document, and the place of the last one; both empty if there is none."""
    with shape("a search"):
        found = reply["hits"]["hits"]
        read = [(hit["_source"].get("title", ""), hit["_source"].get("text", "")) for hit in found]
        return read, found[-1]["sort"] if found else []


def failed_items(reply: Any) -> list[FailedItem]:
    """The documents of a bulk request that were not stored; most often none."""
    with shape("a bulk request"):
        if not reply["errors"]:
            return []
        return [_failed(item["index"]) for item in reply["items"] if "error" in item["index"]]


def physical_indices(reply: Any) -> list[PhysicalIndex]:
    """The indices of this service in an answer of `GET /PATTERN`, in the order of their names."""
    with shape("a list of indices"):
        described = [
            PhysicalIndex(
                index=index,
                published=(name_of(index) in entry["aliases"]),
                meta=entry["mappings"].get("_meta", {}),
            )
            for index, entry in reply.items()
            if is_physical(index)
        ]
    return sorted((each for each in described if each.meta.get("product") == "searchsvc"), key=lambda each: each.index)


def mapping_metas(reply: Any) -> dict[str, Mapping[str, Any]]:
    """`_meta` by physical index, in an answer of `GET /NAME/_mapping`."""
    with shape("a mapping"):
        return {index: entry["mappings"].get("_meta", {}) for index, entry in reply.items()}


def load_mark(meta: Mapping[str, Any]) -> LoadMark:
    """The mark in the `_meta` of a mapping; an empty one if no load began."""
    with shape("a mapping"):
        mark = meta.get("load", {})
        return LoadMark(token=str(mark.get("token", "")), began_at=str(mark.get("began_at", "")))


def published_names(reply: Any) -> tuple[str, ...]:
    """The names that point to an index of this service, in an answer of `GET /PATTERN/_alias`."""
    with shape("a list of aliases"):
        return tuple(sorted({name_of(index) for index, entry in reply.items() if name_of(index) in entry["aliases"]}))


def index_status(index: PhysicalIndex, reply: Any) -> IndexStatus:
    """`index` with the numbers of an answer of `GET /PATTERN/_stats`; 0 where a shard gives none.

    Its size is that of its vocabulary too.
    """
    with shape("index statistics"):
        primaries = reply["indices"].get(index.index, {}).get("primaries", {})
        own = (index.index, f"{index.index}-terms-")
        parts = [each for name, each in reply["indices"].items() if name == own[0] or name.startswith(own[1])]
        sizes = (part.get("primaries", {}).get("store", {}).get("size_in_bytes", 0) for part in parts)
        return IndexStatus(
            index=index.index,
            alias=index.name if index.published else None,
            documents=primaries.get("docs", {}).get("count", 0),
            bytes=sum(sizes),
            complete=index.complete,
        )


def count(reply: Any) -> int:
    """The number in an answer of `GET /NAME/_count`."""
    with shape("a count"):
        return int(reply["count"])


def shards_started(reply: Any) -> bool:
    """Whether a new index has a shard that can be written to."""
    with shape("the making of an index"):
        return bool(reply["shards_acknowledged"])


def _failures(reply: Any) -> set[str]:
    """The types of what went wrong in shards that are missing."""
    with shape("a search"):
        return {str(failure["reason"].get("type")) for failure in reply["_shards"].get("failures", ())}


def _candidate(hit: dict[str, Any], sorted_by: int, collapsed_on: str | None) -> Candidate:
    """Takes the hit's source over instead of copying it: nobody else holds it."""
    source = hit.get("_source") or {}
    extra = source.pop("source", None)
    if extra:
        source.update(extra)
    named = hit.get("matched_queries")
    groups = () if collapsed_on is None else hit.get("fields", {}).get(collapsed_on, ())
    return Candidate(
        doc_id=hit["_id"],
        score=hit["_score"],
        source=source,
        contributions=named if isinstance(named, dict) else {},
        group=groups[0] if groups else None,
        sort_values=tuple(hit["sort"][:sorted_by]) if sorted_by else (),
    )


def _failed(item: Mapping[str, Any]) -> FailedItem:
    error = item["error"]
    kind = str(error.get("type", ""))
    overload = item["status"] == 429 and kind != DISK_FULL_TYPE
    return FailedItem(
        doc_id=item["_id"],
        type=kind,
        reason=str(error.get("reason", ""))[:300],
        retry=overload or item["status"] == 503,
    )


@contextmanager
def shape(what: str) -> Iterator[None]:
    """Turns what goes wrong while `what` is read into BackendRejected: the answer is not Elasticsearch's."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise BackendRejected(
            f"The answer to {what} is not Elasticsearch's: {type(error).__name__} {error}.",
            hint=NOT_ELASTICSEARCH_HINT,
        ) from error
