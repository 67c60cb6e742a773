"""How often a document holds its terms, counted without the index: the analyser gives exactly the index's terms."""

from __future__ import annotations

from collections import Counter

from searchsvc.text.analyzer import Analyzer

MAX_CHARACTERS = 20_000
"""Of a title and of a text that are read: what a longer document is about, its beginning tells."""


def document_terms(title: str, text: str, analyzer: Analyzer) -> Counter[str]:
    """The index terms of a document, and how often each stands in its first MAX_CHARACTERS."""
    return Counter([*analyzer.terms(title[:MAX_CHARACTERS]), *analyzer.terms(text[:MAX_CHARACTERS])])
