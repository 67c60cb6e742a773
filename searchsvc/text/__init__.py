"""Text analysis: one analyser for every engine, keywords, stop words, snippets."""

from searchsvc.text.analyzer import Analyzer, Word

__all__ = ["Analyzer", "Word"]
