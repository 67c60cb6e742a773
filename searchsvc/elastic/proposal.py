"""How to stand in front of an index that others made: a proposal from its fields and a sample of documents; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from searchsvc.elastic.adopted.caps import KINDS
from searchsvc.elastic.mapped import MappedField
from searchsvc.elastic.sampling import Document, FieldSample, joined, percentile, sampled
from searchsvc.errors import ConfigurationError
from searchsvc.schema import FieldKind

TITLE_BOOST, BODY_BOOST, OTHER_BOOST = 3.0, 1.0, 0.5

_MAX_TEXT_FIELDS = 10
"""A phrase of every added word is searched in each of them."""
_MAX_RETURNED = 40
_MAX_FILTERS = 60
_MAX_FACET_VALUES = 50
_SHORT = 200
"""Characters that a title has at most, by the median."""
_SENTENCE = 30
"""Characters that a text has at least, by the median, which tells a reranker more than a label does."""
_HUGE = 20_000
"""Characters of a value that nobody wants in a list of results, by the 90th percentile."""
_RERANK_CHARACTERS = (500, 4000)

_TITLE = re.compile(r"title|headline|heading|subject|(^|[._])name$|question|caption|标题|题目|名称|主题", re.IGNORECASE)
_BODY = re.compile(r"body|content|text|article|message|description|answer|passage|正文|内容|描述", re.IGNORECASE)
_ID_LIKE = re.compile(
    r"(^|[._-])(u?id|key|code|sku|isbn|slug|url|uri|guid|path|number|no)(\.(keyword|raw))?$|编号", re.IGNORECASE
)
_LABEL = re.compile(
    r"(^|[._-])(tags?|categor\w*|topics?|genres?|kind|type|brand|status)([._-]|$)|标签|分类", re.IGNORECASE
)
_SECRET = re.compile(r"password|passwd|secret|token|api_?key|credential", re.IGNORECASE)
_ACCESS = re.compile(r"(^|[._-])(acl|visible|visibility|permissions?|allowed|access)([._-]|$)", re.IGNORECASE)

_EMPTY = "empty in the sample"

_KEYWORDS = frozenset({"keyword", "constant_keyword", "wildcard"})
_INTEGERS = frozenset({"long", "integer", "short", "byte", "unsigned_long"})
_FILTERED = frozenset(type_ for type_, kind in KINDS.items() if kind is not FieldKind.TEXT)
_COUNTED = _KEYWORDS | _INTEGERS | {"boolean", "ip", "version"}
_NEVER_SHOWN = frozenset(
    {"binary", "dense_vector", "sparse_vector", "rank_vectors", "rank_feature", "rank_features", "semantic_text"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedField:
    """What becomes of one field."""

    field: MappedField
    sample: FieldSample
    roles: tuple[str, ...]
    """`text ^3`, `title`, `snippet`, `rerank`, `returned`, `filter`, `facet`."""
    reason: str = ""
    """Why it has no role, where that is worth telling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A table `[indices.NAME]`, and what it was made from."""

    table: dict[str, Any]
    """By the keys of the settings of an index."""
    fields: tuple[ProposedField, ...]
    notes: tuple[str, ...]
    """What a reviewer should know, as sentences."""

    @property
    def text_fields(self) -> tuple[MappedField, ...]:
        """Those that would be searched."""
        return tuple(each.field for each in self.fields if any(role.startswith("text") for role in each.roles))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A field with what the sample says of it."""

    field: MappedField
    sample: FieldSample

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def empty(self) -> bool:
        return self.sample.share == 0


def propose(fields: Sequence[MappedField], documents: Sequence[Document], *, indices: int = 1) -> Proposal:
    """The table for these fields; without documents names and types alone decide.

    `indices`: how many the name stands for. Raises ConfigurationError if there is no text to search.
    """
    samples = {path: sampled(documents, path) for path in {field.source for field in fields}}
    seen = [_Seen(field, samples[field.source]) for field in fields]
    left_out = {each.name: reason for each in seen if (reason := _left_out(each, seen))}
    candidates = [each for each in seen if each.field.is_text and each.name not in left_out]
    texts = sorted(((each, _boost(each)) for each in candidates), key=lambda pair: (-pair[1], _depth(pair[0])))
    chosen = texts[:_MAX_TEXT_FIELDS]
    left_out |= {each.name: f"more than {_MAX_TEXT_FIELDS} text fields" for each, _ in texts[_MAX_TEXT_FIELDS:]}
    if not chosen:
        raise ConfigurationError(_no_text(fields, left_out))
    shown = _shown([each for each, _ in chosen if not each.field.nested])
    filters = [each for each in seen if _filtered(each)][:_MAX_FILTERS]
    table: dict[str, Any] = {
        "text_fields": [f"{each.name}^{boost:g}" if boost != 1 else each.name for each, boost in chosen],
        "nested": [],
        "id": "_id" if indices == 1 else "_index/_id",
        **shown,
        "returned": _returned(seen, first=[shown[key] for key in ("title", "snippet") if key in shown]),
        "filters": [each.name for each in filters],
        "facets": [each.name for each in filters if _counted(each)],
    }
    table["nested"] = _nested(fields, table)
    table["rerank_characters"] = _rerank_characters(documents, table["rerank_text"])
    return Proposal(
        table=table,
        fields=tuple(_proposed(each, table, left_out.get(each.name, "")) for each in seen),
        notes=tuple(_notes(documents, left_out, texts, filters)),
    )


def _left_out(each: _Seen, seen: Sequence[_Seen]) -> str:
    """Why this text is not searched; empty if it is, or is no text."""
    field, sample = each.field, each.sample
    if not field.is_text:
        return ""
    is_second_reading = field.source != field.name and any(
        other.field.is_text for other in seen if other.name == field.source
    )
    has_keyword = any(other.field.source == field.source and other.field.type in _KEYWORDS for other in seen)
    is_id = _ID_LIKE.search(field.source) and 0 < sample.median_characters <= _SENTENCE * 2
    is_label = sample.documents >= 20 and sample.distinct * 10 <= sample.filled == sample.values
    reasons = {
        f"{field.source} is searched": is_second_reading,
        "not indexed": not field.indexed,
        "may hold secrets": _SECRET.search(field.name),
        _EMPTY: each.empty,
        "ids, addresses or codes": sample.machine or is_id,
        "a label: few values": has_keyword and is_label,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _boost(each: _Seen) -> float:
    if not each.field.nested and _TITLE.search(each.field.source) and each.sample.median_characters <= _SHORT:
        return TITLE_BOOST
    if each.field.nested:
        return OTHER_BOOST
    if _BODY.search(each.field.source) or each.sample.median_characters > _SHORT:
        return BODY_BOOST
    return OTHER_BOOST


def _depth(each: _Seen) -> int:
    return each.name.count(".")


def _shown(texts: Sequence[_Seen]) -> dict[str, Any]:
    """title, snippet and rerank_text, from texts that are not nested, the highest boost first."""
    titles = [each.field.source for each in texts if _boost(each) == TITLE_BOOST]
    title = titles[0] if titles else None
    bodies = [each for each in texts if each.field.source != title]
    bodies.sort(key=lambda each: (each.sample.median_characters, _boost(each)), reverse=True)
    read = [each for each in bodies if _boost(each) >= BODY_BOOST or each.sample.median_characters >= _SENTENCE]
    paths = ([title] if title is not None else []) + [each.field.source for each in read or bodies[:1]]
    snippet = bodies[0].field.source if bodies else title
    found = {"title": title, "snippet": snippet, "rerank_text": list(dict.fromkeys(paths))}
    return {key: value for key, value in found.items() if value is not None}


def _returned(seen: Sequence[_Seen], *, first: Sequence[str]) -> list[str]:
    """What a person would be shown, these fields first; the objects of a nested path as one."""
    paths: dict[str, None] = {}
    for each in seen:
        if each.field.source == each.name and _is_shown(each):
            paths[each.field.nested[0] if each.field.nested else each.name] = None
    hidden = [each.name for each in seen if each.field.nested and not _is_shown(each) and not each.empty]
    for path in [path for path in paths if any(name.startswith(f"{path}.") for name in hidden)]:
        del paths[path]
        paths |= {each.name: None for each in seen if each.name.startswith(f"{path}.") and _is_shown(each)}
    return sorted(paths, key=lambda path: first.index(path) if path in first else len(first))[:_MAX_RETURNED]


def _is_shown(each: _Seen) -> bool:
    if each.empty or each.field.type in _NEVER_SHOWN or _is_internal(each.name):
        return False
    encoded = each.sample.machine and each.sample.median_characters > _SHORT
    return not encoded and each.sample.most_characters <= _HUGE


def _is_internal(name: str) -> bool:
    return bool(_SECRET.search(name) or _ACCESS.search(name))


def _filtered(each: _Seen) -> bool:
    field, sample = each.field, each.sample
    if field.type not in _FILTERED or not field.indexed or each.empty or _SECRET.search(field.name):
        return False
    if field.type not in _KEYWORDS or _ID_LIKE.search(field.name):
        return True
    reads_a_text = field.source != field.name
    return not (sample.unique or (reads_a_text and sample.mostly_unique))


def _counted(each: _Seen) -> bool:
    """Few values; a filter that nobody may choose is none."""
    field, sample = each.field, each.sample
    if field.type not in _COUNTED or not field.doc_values or field.nested or _is_internal(field.name):
        return False
    if sample.documents == 0:
        return field.type != "wildcard" and field.type not in _INTEGERS and not _ID_LIKE.search(field.name)
    few = sample.distinct <= _MAX_FACET_VALUES or _LABEL.search(field.name)
    return bool(few) and sample.distinct * 2 <= sample.values


def _nested(fields: Sequence[MappedField], table: dict[str, Any]) -> list[str]:
    """The paths around whatever the table names."""
    named = {name.partition("^")[0] for name in table["text_fields"]} | {*table["filters"], *table["returned"]}
    used = [field for field in fields if named & {field.name, *field.nested}]
    return list(dict.fromkeys(path for field in used for path in field.nested))


def _rerank_characters(documents: Sequence[Document], paths: Sequence[str]) -> int:
    """Enough for nine of ten documents, in hundreds."""
    if not documents:
        return 2000
    least, most = _RERANK_CHARACTERS
    wanted = percentile(sorted(len(joined(document, paths)) for document in documents), 0.9)
    return min(most, max(least, -(-wanted // 100) * 100))


def _proposed(each: _Seen, table: dict[str, Any], reason: str) -> ProposedField:
    roles = []
    for text_field in table["text_fields"]:
        name, _, boost = text_field.partition("^")
        if name == each.name:
            roles.append(f"text ^{boost or 1}")
    here = each.field.source == each.name
    roles += [role for role in ("title", "snippet") if here and table.get(role) == each.name]
    lists = {"rerank_text": "rerank", "returned": "returned", "filters": "filter", "facets": "facet"}
    for key, role in lists.items():
        inside = key == "returned" and any(path in table[key] for path in each.field.nested)
        if (here and inside) or each.name in table[key]:
            roles.append(role)
    return ProposedField(field=each.field, sample=each.sample, roles=tuple(roles), reason=reason)


def _notes(
    documents: Sequence[Document], left_out: dict[str, str], texts: Sequence[Any], filters: Sequence[_Seen]
) -> list[str]:
    notes = []
    if not documents:
        notes.append("There is no document yet: names and types alone decided. Run it again with --force later.")
    if len(texts) > _MAX_TEXT_FIELDS:
        notes.append(f"Of {len(texts)} text fields the {_MAX_TEXT_FIELDS} likeliest are searched.")
    if len(filters) == _MAX_FILTERS:
        notes.append(f"The first {_MAX_FILTERS} fields that may be filtered are listed.")
    empty = [name for name, reason in left_out.items() if reason == _EMPTY]
    if empty:
        notes.append(f"Empty in the sample, so not searched (filled by copy_to?): {', '.join(empty[:10])}.")
    return notes


def _no_text(fields: Sequence[MappedField], left_out: dict[str, str]) -> str:
    if not fields:
        return "The index has no fields yet: load documents first."
    if not left_out:
        kinds = ", ".join(sorted({field.type for field in fields}))
        return f"The index has no text field, only {kinds}: there is nothing to search in words."
    told = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:10])
    return f"The index has no text field that could be searched in words ({told})."
