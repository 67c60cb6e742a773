"""How searches are served while they are measured: as well as can be, or as live traffic is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from searchsvc.evaluation.variants import Variant
from searchsvc.model import SearchRequest, Wait

LIVE_TIMEOUT_MS = SearchRequest(query_id="", user_query="").timeout_ms
"""The deadline of a live search unless the variant names one: that of the API."""


class Serving(StrEnum):
    """What a search may wait for."""

    COMPLETE = "complete"
    """For its expansion: what is best."""
    LIVE = "live"
    """No longer than a live search: its own deadline, nothing cached before the first query."""


def as_served(variants: Sequence[Variant], serving: Serving) -> tuple[Variant, ...]:
    """The variants as they are served; what a variant names itself holds."""
    return tuple(_served(variant, serving) for variant in variants)


def _served(variant: Variant, serving: Serving) -> Variant:
    wait = Wait.ANSWER if serving is Serving.LIVE else Wait.COMPLETE
    if "expansion.wait" in variant.keys:
        wait = variant.expansion.wait
    live = serving is Serving.LIVE and "timeout_ms" not in variant.keys
    return replace(
        variant,
        expansion=replace(variant.expansion, wait=wait),
        timeout_ms=LIVE_TIMEOUT_MS if live else variant.timeout_ms,
    )
