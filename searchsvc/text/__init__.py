"""Text analysis: one analyser for every engine, keywords, stop words, snippets."""

from searchsvc.text.analyzer import ANALYSIS_VERSION, Analyzer, Word
from searchsvc.text.counts import document_terms
from searchsvc.text.keywords import Keyword, extract_keywords
from searchsvc.text.snippet import snippet
from searchsvc.text.stopwords import is_stop_word

__all__ = [
    "ANALYSIS_VERSION",
    "Analyzer",
    "Keyword",
    "Word",
    "document_terms",
    "extract_keywords",
    "is_stop_word",
    "snippet",
]
