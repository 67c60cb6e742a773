"""What a retriever is asked, for tests that ask one directly."""

from __future__ import annotations

from typing import Any

from searchsvc.model import Deadline, WeightedQuery
from searchsvc.protocols import RetrieveRequest


def wanted(query: WeightedQuery, *, top_k: int = 10, deadline: Deadline | None = None, **more: Any) -> RetrieveRequest:
    """The best of `query`, within longer than any call of a test takes unless it says otherwise."""
    return RetrieveRequest(query=query, top_k=top_k, deadline=deadline or Deadline.after_ms(20_000), **more)
