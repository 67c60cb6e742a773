"""How the method `neighbours` joins a query unless the request says otherwise."""

from __future__ import annotations

from searchsvc.model import Form

METHOD = "neighbours"
MODEL = "use-multilingual-v3"
"""The encoder: vectors of another one cannot be compared with its."""
DEFAULT_FORM = Form.ZSCORE
"""A list of its own, fused by standardised scores.

Fused by reciprocal ranks that list costs far more than it brings where nothing reranks afterwards, since ranks keep
nothing of how well the words matched. The figures are in docs/expansion.md.
"""
DEFAULT_WEIGHT = 0.3
