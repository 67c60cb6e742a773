"""The index `PHYSICAL-terms`: the vocabulary of a physical index, one document a word, and its JSON both ways.

`PHYSICAL-terms` is an alias. Every load makes an index `PHYSICAL-terms-TOKEN` of its own, and moves the alias when that
is complete, so that a search sees the old vocabulary or the new one, also when a load is killed. All are hidden: no
wildcard of anybody else matches them.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import orjson

from searchsvc.elastic.calls import Searches
from searchsvc.elastic.hits import shape
from searchsvc.errors import BackendUnavailable
from searchsvc.index_names import is_physical, name_of
from searchsvc.model import Deadline

HEAD_ID = "/head"
"""No word: it holds a slash."""
VERSION = 1
"""Of the documents."""
HIDDEN_TOO = ["open", "hidden"]
"""What wildcards of our own match."""

_PAGE = 2000
"""Words read together: 3 MB."""
_PAGE_TIMEOUT_MS = 20_000
_HEAD_PLACE = -1
"""Before all words."""
_INFIX = "-terms-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a vocabulary was made of."""

    words: int
    documents: int
    """That the index held then."""
    encoder: str
    analyzer: str
    """The fingerprint."""
    index: str = ""
    """Where it lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWord:
    """One word of a vocabulary."""

    term: str
    surface: str
    """What was encoded."""
    forms: Mapping[str, int]
    """How many documents write it in which way."""
    df: int
    neighbours: Sequence[tuple[str, float]]
    """Terms and cosine similarities, best first."""
    vector: bytes
    """512 numbers of 16 bits, little-endian."""


def terms_alias(physical: str) -> str:
    """The name by which searches read the vocabulary of a physical index."""
    return f"{physical}-terms"


def terms_index(physical: str, token: str) -> str:
    """The index in which the load with that mark writes the vocabulary."""
    return f"{physical}{_INFIX}{token[:12]}"


def terms_pattern(name: str) -> str:
    """A wildcard for all vocabularies of a name, and perhaps for others: `belongs_to` decides."""
    return f"{name}-v*-*{_INFIX}*"


def belongs_to(index: str) -> str:
    """The physical index whose vocabulary is in `index`; empty if that is none."""
    physical = index.rpartition(_INFIX)[0]
    return physical if is_physical(physical) else ""


def is_outdated(index: str, *, kept: str, physical: str, there: Collection[str]) -> bool:
    """Whether `index` holds an older vocabulary of `physical`, or that of an index which is gone.

    `there`: the physical indices of the name that there are.
    """
    owner = belongs_to(index)
    same_name = name_of(owner) == name_of(physical)
    return index != kept and same_name and (owner == physical or owner not in there)


def terms_body() -> dict[str, Any]:
    """Settings and mappings of a new index."""
    body: dict[str, Any] = orjson.loads(files("index_mappings").joinpath("terms.v1.json").read_bytes())
    return body


def publish_body(physical: str, index: str, outdated: Sequence[str]) -> dict[str, Any]:
    """One atomic change: searches see `index`, and those that are outdated go."""
    add = {"index": index, "alias": terms_alias(physical), "is_hidden": True}
    return {"actions": [{"add": add}, *({"remove_index": {"index": each}} for each in outdated)]}


def head_lines(head: Head) -> bytes:
    """The two lines of a bulk request that put the head."""
    about = {"version": VERSION, "words": head.words, "documents": head.documents}
    made_by = {"encoder": head.encoder, "analyzer": head.analyzer}
    return _lines(HEAD_ID, {"place": _HEAD_PLACE, "head": {**about, **made_by}})


def word_lines(place: int, word: StoredWord) -> bytes:
    """The two lines of a bulk request that put one word."""
    source = {
        "place": place,
        "term": word.term,
        "surface": word.surface,
        "forms": word.forms,
        "df": word.df,
        "neighbours": {
            "terms": [term for term, _ in word.neighbours],
            "similarities": [round(similarity, 4) for _, similarity in word.neighbours],
        },
        "vector": base64.b64encode(word.vector).decode(),
    }
    return _lines(word.term, source)


async def read_head(searches: Searches, physical: str, *, deadline: Deadline) -> Head | None:
    """The head of the vocabulary that searches of a physical index see; None if it is of another version.

    Raises UnknownIndex if there is none, BackendRejected where these credentials may not read it, StageError.
    """
    body = {"size": 1, "query": {"ids": {"values": [HEAD_ID]}}, "track_total_hits": False}
    reply = await searches.search(terms_alias(physical), body, deadline=deadline)
    _check_whole(reply.partial, terms_alias(physical))
    with shape("a search"):
        hit = next(iter(reply.body["hits"]["hits"]), None)
        if hit is None or hit["_source"]["head"]["version"] != VERSION:
            return None
        about = hit["_source"]["head"]
        return Head(
            words=about["words"],
            documents=about["documents"],
            encoder=about["encoder"],
            analyzer=about["analyzer"],
            index=hit["_index"],
        )


async def read_words(searches: Searches, head: Head) -> list[StoredWord]:
    """All words by place. Raises StageError, UnknownIndex if a load has replaced them since."""
    words: list[StoredWord] = []
    after = _HEAD_PLACE
    while len(words) < head.words:
        body = {"size": _PAGE, "sort": [{"place": "asc"}], "search_after": [after], "track_total_hits": False}
        reply = await searches.search(head.index, body, deadline=Deadline.after_ms(_PAGE_TIMEOUT_MS))
        _check_whole(reply.partial, head.index)
        with shape("a search"):
            page = [hit["_source"] for hit in reply.body["hits"]["hits"]]
            words += [_word(source) for source in page]
        if not page:
            raise BackendUnavailable(f"{head.index} holds {len(words)} words of {head.words}.", hint="Load again.")
        after = page[-1]["place"]
    return words


def _word(source: Mapping[str, Any]) -> StoredWord:
    near = source["neighbours"]
    return StoredWord(
        term=source["term"],
        surface=source["surface"],
        forms=source["forms"],
        df=source["df"],
        neighbours=tuple(zip(near["terms"], near["similarities"], strict=True)),
        vector=base64.b64decode(source["vector"]),
    )


def _check_whole(partial: str, index: str) -> None:
    if partial:
        raise BackendUnavailable(f"The words in {index} cannot be read: {partial}")


def _lines(doc_id: str, source: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"index": {"_id": doc_id}}) + b"\n" + orjson.dumps(source) + b"\n"
