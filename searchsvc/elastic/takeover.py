"""One load at a time into an index: each writes a mark when it begins, and the newest mark is the one that counts.

Elasticsearch has no lock that ends with its holder. So a load that begins takes the index over, at once, whether the
one before it was killed or still runs; and one that runs looks for its mark before every write and before it completes
or publishes the index, and stops when it finds another.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, replace
from datetime import UTC, datetime

from elasticsearch import AsyncElasticsearch

from searchsvc.elastic import hits
from searchsvc.elastic.errors import translated
from searchsvc.elastic.hits import LoadMark, PhysicalIndex
from searchsvc.errors import BackendTimeout, BackendUnavailable, Overloaded, UnknownIndex


def marked(target: PhysicalIndex) -> PhysicalIndex:
    """`target` with the mark of a load that begins now; nothing is written yet."""
    mark = LoadMark(token=uuid.uuid4().hex, began_at=datetime.now(UTC).isoformat(timespec="seconds"))
    return replace(target, meta={**target.meta, "load": asdict(mark)})


async def check_held(client: AsyncElasticsearch, target: PhysicalIndex) -> None:
    """Raises Overloaded if another load took the index over since the one of `target` began.

    Nothing if Elasticsearch does not answer or the index is gone: the next write, or the end of the load, will tell.
    """
    try:
        with translated(f"loading {target.index}"):
            reply = await client.indices.get_mapping(index=target.index)
    except (BackendTimeout, BackendUnavailable, Overloaded, UnknownIndex):
        return
    check_mark(target, hits.load_mark(hits.mapping_metas(reply.body).get(target.index, {})))


def check_mark(target: PhysicalIndex, current: LoadMark) -> None:
    """Raises Overloaded if `current`, the mark that stands in the index now, is that of another load.

    Nothing if there is no mark: the index was deleted and made anew, which the end of the load tells.
    """
    if current.token in {"", target.load.token}:
        return
    raise Overloaded(
        f"Another load into {target.index} began at {current.began_at} and took the index over: this one is stopped.",
        hint="Wait until the other one has ended, then run this one again.",
    )
