"""Marked fragments of a document's own fields."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from searchsvc.source_paths import picked, strings_in
from searchsvc.text import snippet

_FRAGMENTS = 5
_READ = 20
"""Of the strings of one field so many are looked at."""


def highlights(source: Mapping[str, Any], paths: Sequence[str], terms: Collection[str]) -> dict[str, list[str]]:
    """For each path the first fragments, one of a string, in which one of the index terms is marked; none: left out."""
    found = {path: list(islice(_fragments(source, path, terms), _FRAGMENTS)) for path in paths}
    return {path: fragments for path, fragments in found.items() if fragments}


def _fragments(source: Mapping[str, Any], path: str, terms: Collection[str]) -> Iterator[str]:
    for text in islice(strings_in(picked(source, [path])), _READ):
        fragment = snippet(text, terms)
        if "<em>" in fragment and ("<em>" not in text or fragment != snippet(text, terms, pre="", post="")):
            yield fragment
