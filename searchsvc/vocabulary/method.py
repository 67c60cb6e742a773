"""How the method `neighbours` joins a query unless the request says otherwise."""

from __future__ import annotations

from searchsvc.model import Form

METHOD = "neighbours"
MODEL = "use-multilingual-v3"
"""The encoder: vectors of another one cannot be compared with its."""
DEFAULT_FORM = Form.MIXTURE
"""Of the neighbours in the query's own script; the others make a list of their own (`joining`).

The figures are in docs/expansion.md.
"""
DEFAULT_WEIGHT = 0.3
