"""`searchsvc index`: make, fill and publish the indices that searches see, or adopt one that is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

from cyclopts import App, Parameter
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from searchsvc.cli.adopting import adopt_index
from searchsvc.cli.checking import CheckedFile, check_file
from searchsvc.cli.common import EngineName, Json, out, print_json, progress, settings, talk, words_told
from searchsvc.demo.replacing import load_own
from searchsvc.documents import Document, read_documents
from searchsvc.errors import InvalidDocuments, SearchError
from searchsvc.protocols import IndexAdmin, IndexStatus, LoadReport
from searchsvc.settings import Settings
from searchsvc.wiring import open_runtime

app = App(name="index", help="Make, fill and publish indices, or adopt one that is there.")

_CUT = "a load runs or was cut off"
_Answer = TypeVar("_Answer")


@app.command
def create(name: str = "documents", /, *, engine: EngineName | None = None, json: Json = False) -> None:
    """Make a new, empty index that no search sees yet.

    Parameters
    ----------
    name
        The name under which it will be published.
    engine
        embedded, or elasticsearch.

    """
    physical = _ask(engine, lambda admin: admin.create(name))
    if json:
        print_json({"name": name, "index": physical})
        return
    out().print(physical, soft_wrap=True)
    _say(f"Made, empty, not published. Next: searchsvc index load FILE --index {name}")


@app.command
def load(
    file: Path,
    *,
    index: str = "documents",
    skip_bad: Annotated[bool, Parameter(negative=(), show_default=False)] = False,
    engine: EngineName | None = None,
    json: Json = False,
) -> None:
    """Add the documents of a JSONL file to an index, or replace those that are there.

    The first index of a name is published when its load ends; the demo corpus that serve loads gives way to it.
    A load that was cut off can be run again.

    Parameters
    ----------
    file
        One JSON object a line, {id, title?, text, lang?, tags?, url?, updated_at?}; plain or gzip; no pipe.
    index
        A name (its newest unpublished index, else the published one, else a new one), or one index.
    skip_bad
        Load the others if some lines are no documents; without it nothing is loaded.
    engine
        embedded, or elasticsearch.

    """
    with _interrupts_told():
        checked = check_file(file)
    for sentence in checked.bad_told():
        _say(sentence)
    skipped = len(checked.bad)
    lines = checked.documents + skipped
    counts: dict[str, Any] = {"lines": lines, "loaded": 0, "duplicates": 0, "skipped": skipped}
    bad_lines = [{"line": bad.number, "problem": bad.problem} for bad in checked.bad]
    if checked.bad and not skip_bad:
        if json:
            print_json({**counts, "index": None, "live": False, "bad_lines": bad_lines})
        raise InvalidDocuments(
            f"{skipped} of the {lines} lines of {file} are no documents; nothing was loaded.",
            hint="Mend them, or load the others with --skip-bad.",
        )
    if not checked.documents:
        raise InvalidDocuments(f"{file} holds no document.")
    with _interrupts_told():
        report = _load(file, checked, index, engine)
    counts |= {"loaded": report.loaded, "duplicates": report.duplicates}
    if json:
        print_json({**counts, "index": report.index, "live": report.live, "bad_lines": bad_lines})
        return
    told = f"{lines} lines = {report.loaded} loaded + {report.duplicates} duplicated + {skipped} skipped"
    out().print(f"{told}; index {report.index}", soft_wrap=True)
    _say_what_next(report)


@app.command
def status(*, engine: EngineName | None = None, json: Json = False) -> None:
    """List every index: whether searches see it, its documents and size, whether its load has ended.

    Parameters
    ----------
    engine
        embedded, or elasticsearch.

    """
    found = _ask(engine, lambda admin: admin.status())
    if json:
        print_json({"indices": [asdict(each) for each in found]})
        return
    if not found:
        _say("There is no index yet. Next: searchsvc index load FILE")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("index", overflow="fold")
    table.add_column("documents", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    for each in sorted(found, key=lambda each: each.index):
        table.add_row(each.index, str(each.documents), decimal(each.bytes), _state(each))
    out().print(table)
    if any(_is_cut(each) for each in found):
        _say("A load that was cut off can be run again: nothing is lost or doubled.")


@app.command
def swap(
    name: str = "documents", /, *, to: str | None = None, engine: EngineName | None = None, json: Json = False
) -> None:
    """Publish the newest complete unpublished index under a name; searches see it at once.

    Parameters
    ----------
    name
        The name that searches use.
    to
        Publish this index instead, for instance to go back to an older one.
    engine
        embedded, or elasticsearch.

    """
    physical = _ask(engine, lambda admin: admin.swap(name, physical=to))
    if json:
        print_json({"name": name, "index": physical})
        return
    out().print(physical, soft_wrap=True)
    _say(f"Searches of {name} see it now. Next: searchsvc search QUERY --index {name}")


@app.command
def adopt(
    name: str, /, *, force: Annotated[bool, Parameter(negative=(), show_default=False)] = False, json: Json = False
) -> None:
    """Propose how to stand in front of an index that is there already, and write that into searchsvc.toml.

    Mapping, settings and some documents are read, from Elasticsearch whatever the engine is. Nothing is written to it.

    Parameters
    ----------
    name
        An index, an alias, a data stream, or a wildcard.
    force
        Replace the table of that name in the file; a base_query in it is kept.

    """
    adopt_index(name, force=force, json=json)


def _ask(engine: EngineName | None, work: Callable[[IndexAdmin], Awaitable[_Answer]]) -> _Answer:
    async def ask() -> _Answer:
        async with open_runtime(settings(engine=engine)) as runtime:
            return await work(runtime.engine.admin)

    return asyncio.run(ask())


@contextmanager
def _interrupts_told() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _say("Interrupted. Nothing is lost or doubled: run the same command again.")
        raise


def _load(file: Path, checked: CheckedFile, index: str, engine: EngineName | None) -> LoadReport:
    documents = (line for line in read_documents(file) if isinstance(line, Document))
    with progress() as bar:
        task = bar.add_task(f"loading {escape(file.name)}", total=checked.documents)
        report, replaced = _ask(
            engine,
            lambda admin: _load_into(
                admin,
                settings(engine=engine),
                index,
                documents,
                done=lambda done: bar.update(task, completed=done),
                words=words_told(bar),
            ),
        )
    if replaced:
        _say("replaced the demo corpus")
    if report.loaded + report.duplicates != checked.documents:
        raise SearchError(
            f"{checked.documents} documents were read from {file}, but {report.loaded} loaded and"
            f" {report.duplicates} duplicates make another number.",
            hint="Was the file changed during the load? Load it again: nothing is doubled.",
        )
    return report


async def _load_into(
    admin: IndexAdmin,
    effective: Settings,
    index: str,
    documents: Iterator[Document],
    *,
    done: Callable[[int], None],
    words: Callable[[int, int], None],
) -> tuple[LoadReport, bool]:
    """The report, and whether the documents took the place of the demo corpus, which only `serve` loads, embedded."""
    if effective.engine == "embedded":
        return await load_own(admin, index, documents, data_dir=effective.data_dir, progress=done, words=words)
    return await admin.load(index, documents, progress=done, words=words), False


def _say_what_next(report: LoadReport) -> None:
    name = report.index.rsplit("-", 2)[0]  # a physical index is NAME-v1-TIME
    if report.live:
        _say(f"{name} is live. Next: searchsvc search QUERY --index {name}")
        return
    _say(f"No search sees it yet. Next: searchsvc index swap {name} --to {report.index}")


def _state(found: IndexStatus) -> str:
    if not found.complete and not _is_cut(found):
        return "not published, no load has ended"
    if found.alias is None:
        seen = "not published"
    else:
        seen = "live" if found.index.startswith(f"{found.alias}-v") else f"live as {found.alias}"
    return f"{seen}, {_CUT}" if _is_cut(found) else seen


def _is_cut(found: IndexStatus) -> bool:
    """Whether a load into it has begun and not ended; an index that was only made looks like one whose first has."""
    return not found.complete and (found.documents > 0 or found.alias is not None)


def _say(sentence: str) -> None:
    talk().print(escape(sentence), soft_wrap=True)
