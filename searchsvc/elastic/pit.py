"""Points in time: the state of an index that the pages of one search go on reading while it changes.

Elasticsearch reference, "Open point in time".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from searchsvc.elastic import hits
from searchsvc.elastic.calls import Searches
from searchsvc.elastic.errors import in_use, point_gone, view_blamed
from searchsvc.errors import BackendUnavailable, UnknownIndex
from searchsvc.model import Deadline
from searchsvc.schema import Caller

KEEP_ALIVE = "5m"
"""How long a point stays after the last page that was read from it."""


@dataclass(frozen=True, slots=True)
class PointReply:
    """What a search inside a point in time said."""

    body: Any
    """Its JSON, for `hits` to read."""
    view: str
    """The id by which the next page goes on."""


async def search_point(
    searches: Searches, index: str, body: Mapping[str, Any], *, view: str, deadline: Deadline, caller: Caller | None
) -> PointReply:
    """Search in the point in time `view`, or open one on `index` if that is empty; all shards answer, or none.

    Raises InvalidRequest (pointer /cursor) if it is gone, or is no point in time at all; StageError; Unauthenticated
    and Forbidden in the name of a caller.
    """
    point = view
    if not view:
        with in_use(index):
            point = await searches.open_point(index, keep_alive=KEEP_ALIVE, deadline=deadline, caller=caller)
    inside = {**body, "pit": {"id": point, "keep_alive": KEEP_ALIVE}}
    try:
        with view_blamed(view):
            reply = await searches.search("", inside, deadline=deadline, caller=caller)
    except UnknownIndex as error:
        raise point_gone() from error
    if reply.partial and (hits.point_gone(reply.body) or (view and hits.is_empty(reply.body))):
        raise point_gone()
    if reply.partial:
        raise BackendUnavailable(f"Pages of {index} would lack documents: {reply.partial}", hint="Try again.")
    return PointReply(reply.body, hits.point(reply.body))
