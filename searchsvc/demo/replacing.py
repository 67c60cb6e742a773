"""A first load of one's own documents where the demo corpus stands: it takes the demo's place, the two never mix."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from searchsvc.demo.marker import demo_index, forget
from searchsvc.documents import Document
from searchsvc.index_names import made_at, name_of
from searchsvc.protocols import IndexAdmin, LoadReport


async def load_own(
    admin: IndexAdmin, name: str, documents: Iterable[Document], *, data_dir: Path, progress: Callable[[int], None]
) -> tuple[LoadReport, bool]:
    """Load documents into `name`, as `admin.load` does; the demo's index counts as none.

    True with the report: the demo's index stood there, and a new one was published in its place. The demo's index
    named by its own physical name is meant: it is loaded into, and is no demo any more. A rerun is safe.
    Raises StageError, ConfigurationError.
    """
    demo = demo_index(data_dir)
    if demo is not None and await _stands_at(admin, demo, name):
        return await _load_instead(admin, demo, name, documents, progress), True
    if demo == name:
        forget(data_dir)
    return await admin.load(name, documents, progress=progress), False


async def _stands_at(admin: IndexAdmin, demo: str, name: str) -> bool:
    """Whether searches of `name` see the demo's index, or would: its load was cut off, and nothing else is seen."""
    if name == demo or name_of(demo) != (name_of(name) or name):
        return False
    named = [status for status in await admin.status() if name_of(status.index) == name_of(demo)]
    live = [status.index for status in named if status.alias is not None]
    return demo in (live or [status.index for status in named])


async def _load_instead(
    admin: IndexAdmin, demo: str, name: str, documents: Iterable[Document], progress: Callable[[int], None]
) -> LoadReport:
    target = name if name_of(name) else await _target(admin, demo)
    report = await admin.load(target, documents, progress=progress)
    if report.live:
        return report
    await admin.swap(name_of(demo), physical=report.index)
    return replace(report, live=True)


async def _target(admin: IndexAdmin, demo: str) -> str:
    """An index newer than the demo's, which was made for this or whose load was cut off; else a new one."""
    named = [status.index for status in await admin.status() if name_of(status.index) == name_of(demo)]
    newest = max(named, key=made_at)
    return await admin.create(name_of(demo)) if newest == demo else newest
