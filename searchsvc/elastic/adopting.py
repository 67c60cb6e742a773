"""Looks at an index that others made, and proposes how to stand in front of it. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from elasticsearch import AsyncElasticsearch

from searchsvc.elastic.errors import is_forbidden, translated
from searchsvc.elastic.mapped import MappedField, mapped_fields, merged
from searchsvc.elastic.proposal import Proposal, propose
from searchsvc.elastic.sampling import joined, sample_words
from searchsvc.elastic.tokens import AnalysedField, analysed
from searchsvc.errors import BackendRejected, ConfigurationError, SearchError, UnknownIndex
from searchsvc.model import Deadline
from searchsvc.suggest import did_you_mean

SAMPLE = 200
"""Documents that are looked at."""

_FIRST_PAGE = 10
_MANY_BYTES = 2_000_000
"""With a first page of more than this the documents are large, and few of them do."""
_MAX_SAMPLED_INDICES = 10
_TIMEOUT_S = 30.0
_LISTED_NAMES = 20
_UNREAD = frozenset({"binary", "dense_vector", "sparse_vector", "rank_vectors", "semantic_text"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """What was found behind a name."""

    indices: tuple[str, ...]
    """What the name stands for now."""
    sampled: int
    proposal: Proposal
    notes: tuple[str, ...]
    """What a reviewer should know, as sentences."""
    tokens: Mapping[str, Mapping[str, tuple[str, ...]]]
    """By text field and word what its analyser makes of the word; empty where that could not be read."""


async def look(client: AsyncElasticsearch, name: str) -> Adoption:
    """`name` is an index, an alias, a data stream or a wildcard.

    Needs the index privileges `read` and `view_index_metadata`.
    Raises UnknownIndex, ConfigurationError (a privilege is missing, or it cannot be adopted), StageError.
    """
    client = client.options(request_timeout=_TIMEOUT_S, max_retries=1)
    described = await _described(client, name)
    _check(name, described)
    fields, conflicts = merged({index: mapped_fields(each, each) for index, each in described.items()})
    documents = await _sample(client, name, list(described), fields)
    try:
        proposal = propose(fields, documents, indices=len(described))
    except ConfigurationError as error:
        raise ConfigurationError(f"{name} cannot be adopted. {error.message}", hint=error.hint) from error
    texts = [joined(document, [field.source for field in proposal.text_fields]) for document in documents]
    return Adoption(
        indices=tuple(described),
        sampled=len(documents),
        proposal=proposal,
        notes=(*(f"The indices do not agree: {each}" for each in conflicts), *proposal.notes),
        tokens=await _tokens(client, next(iter(described)), proposal.text_fields, sample_words(texts)),
    )


async def _described(client: AsyncElasticsearch, name: str) -> dict[str, Mapping[str, Any]]:
    """`mappings` and `settings` of every index that the name stands for. Raises as `look`."""
    try:
        with _allowed(name, "view_index_metadata", f"reading the mapping of {name}"):
            mappings = await client.indices.get_mapping(index=name, expand_wildcards="open")
            settings = await client.indices.get_settings(index=name, expand_wildcards="open")
    except (UnknownIndex, ConfigurationError) as error:
        visible = await _visible(client)
        if isinstance(error, ConfigurationError) and ("*" in name or name in visible):
            raise
        raise _unknown(name, visible) from error
    if not mappings.body:
        raise _unknown(name, await _visible(client))
    return {index: {**entry, **settings.body.get(index, {})} for index, entry in sorted(mappings.body.items())}


@contextmanager
def _allowed(name: str, privilege: str, doing: str) -> Iterator[None]:
    """Raises ConfigurationError that names the privilege which is missing."""
    try:
        with translated(doing):
            yield
    except BackendRejected as error:
        if not is_forbidden(error):
            raise
        raise ConfigurationError(
            f"While {doing}: this account lacks the index privilege {privilege}.",
            hint=f"Grant it to a role of the account: names: ['{name}'], privileges: [read, view_index_metadata].",
        ) from error


async def _visible(client: AsyncElasticsearch) -> list[str]:
    """The indices, aliases and data streams that this account may see; none if it may not even ask."""
    try:
        with translated("listing what there is"):
            reply = await client.indices.resolve_index(name="*")
    except SearchError:
        return []
    return [each["name"] for kind in ("indices", "aliases", "data_streams") for each in reply.body[kind]]


def _unknown(name: str, visible: Sequence[str]) -> UnknownIndex:
    hint = did_you_mean(name, visible) if visible else "This account sees no index: grant it the privilege read."
    if hint.startswith("There are") and len(visible) > _LISTED_NAMES:
        hint = f"It sees {len(visible)} others, among them {', '.join(sorted(visible)[:_LISTED_NAMES])}."
    return UnknownIndex(f"There is no index, alias or data stream {name!r} that this account may see.", hint=hint)


def _check(name: str, described: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ConfigurationError for what needs no adopting, and for documents that cannot be read."""
    for index, each in described.items():
        mapping = each["mappings"]
        if mapping.get("_meta", {}).get("product") == "searchsvc":
            raise ConfigurationError(
                f"{index} was made by this service and needs no adopting.",
                hint="Search it with `searchsvc search`; adopt a name that stands for your own indices alone."
                if len(described) > 1
                else f"Search it: searchsvc search QUERY --index {name} --engine elasticsearch",
            )
        if str(mapping.get("_source", {}).get("enabled", True)).lower() == "false":
            raise ConfigurationError(
                f"{index} does not keep its documents (_source is disabled): no text could be shown or reranked.",
                hint="Load it anew into an index with _source, and adopt that.",
            )


async def _sample(
    client: AsyncElasticsearch, name: str, indices: Sequence[str], fields: Sequence[MappedField]
) -> list[Mapping[str, Any]]:
    """Documents from each of the indices, the newest names first; fewer where they are large."""
    chosen = list(reversed(indices))[:_MAX_SAMPLED_INDICES]
    unread = [field.source for field in fields if field.type in _UNREAD]
    documents: list[Mapping[str, Any]] = []
    for index in chosen:
        size = SAMPLE // len(chosen)
        first = await _page(client, name, index, unread, offset=0, size=min(size, _FIRST_PAGE))
        documents += first
        if len(first) == _FIRST_PAGE < size and len(orjson.dumps(first)) < _MANY_BYTES:
            documents += await _page(client, name, index, unread, offset=_FIRST_PAGE, size=size - _FIRST_PAGE)
    return documents


async def _page(
    client: AsyncElasticsearch, name: str, index: str, unread: Sequence[str], *, offset: int, size: int
) -> list[Mapping[str, Any]]:
    with _allowed(name, "read", f"reading documents of {index}"):
        reply = await client.search(
            index=index,
            from_=offset,
            size=size,
            source={"excludes": list(unread)},
            track_total_hits=False,
            preference="searchsvc-adopt",  # so that two pages are of one copy
        )
    return [hit.get("_source", {}) for hit in reply.body["hits"]["hits"]]


async def _tokens(
    client: AsyncElasticsearch, index: str, fields: Sequence[MappedField], words: Sequence[str]
) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Empty if it cannot be read: the table is right without it."""
    root = next((field for field in fields if not field.nested and field.name == field.source), None)
    asked = [
        AnalysedField(name=field.name, source=root.name, analyzer=field.analyzer.partition(",")[0])
        if field.nested and root is not None
        else AnalysedField(name=field.name, source=field.source)
        for field in fields
        if not field.nested or root is not None
    ]
    try:
        return await analysed(client, index, asked, words, Deadline.after_ms(_TIMEOUT_S * 1000))
    except SearchError:
        return {}
