"""A first load of one's own documents where the demo corpus stands: it takes the demo's place, the two never mix."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from searchsvc.demo.marker import demo_index, forget
from searchsvc.documents import Document
from searchsvc.index_names import made_at, name_of
from searchsvc.protocols import IndexAdmin, LoadReport


async def load_own(
    admin: IndexAdmin,
    name: str,
    documents: Iterable[Document],
    *,
    data_dir: Path,
    progress: Callable[[int], None],
    words: Callable[[int, int], None] | None = None,
) -> tuple[LoadReport, bool]:
    """Load documents into `name`, as `admin.load` does; the demo's index counts as none.

    True with the report: the demo's index stood there, and a new one was published in its place. The demo's index
    named by its own physical name is meant: it is loaded into, and is no demo any more. A rerun is safe.
    Raises StageError, ConfigurationError.
    """
    load = partial(admin.load, documents=documents, progress=progress, words=words)
    demo = demo_index(data_dir)
    if demo is not None and await _stands_at(admin, demo, name):
        return await _load_instead(admin, demo, name, load), True
    if demo == name:
        forget(data_dir)
    return await load(name), False


async def _stands_at(admin: IndexAdmin, demo: str, name: str) -> bool:
    """Whether searches of `name` see the demo's index, or would: its load was cut off, and nothing else is seen."""
    if name == demo or name_of(demo) != (name_of(name) or name):
        return False
    named = [status for status in await admin.status() if name_of(status.index) == name_of(demo)]
    live = [status.index for status in named if status.alias is not None]
    return demo in (live or [status.index for status in named])


async def _load_instead(
    admin: IndexAdmin, demo: str, name: str, load: Callable[[str], Awaitable[LoadReport]]
) -> LoadReport:
    target = name if name_of(name) else await _target(admin, demo)
    report = await load(target)
    if report.live:
        return report
    await admin.swap(name_of(demo), physical=report.index)
    return replace(report, live=True)


async def _target(admin: IndexAdmin, demo: str) -> str:
    """An index newer than the demo's, which was made for this or whose load was cut off; else a new one."""
    named = [status.index for status in await admin.status() if name_of(status.index) == name_of(demo)]
    newest = max(named, key=made_at)
    return await admin.create(name_of(demo)) if newest == demo else newest
