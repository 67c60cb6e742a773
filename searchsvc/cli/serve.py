"""`searchsvc serve`: the HTTP service in the foreground."""

from __future__ import annotations

import asyncio
import gc
import socket

import uvicorn
from rich.markup import escape

from searchsvc.api.app import create_app
from searchsvc.cli.common import EngineName, Json, print_json, progress, settings, talk, words_told
from searchsvc.cli.warming import warming
from searchsvc.demo import demo_documents
from searchsvc.demo.marker import remember
from searchsvc.errors import BackendRejected, ConfigurationError, SearchError
from searchsvc.index_names import name_of
from searchsvc.model import DEFAULT_INDEX, ExpansionOptions, Mode, RerankOptions, SearchRequest
from searchsvc.protocols import OpenIndex
from searchsvc.result import StageTrace
from searchsvc.settings import Settings
from searchsvc.state.mappings import changes_since
from searchsvc.terminal import printable
from searchsvc.toml_names import table_key
from searchsvc.wiring import Runtime, open_runtime

_WARM_UP_MS = 10_000
_WARM_UP_QUERY = "预热 warm up"
_ALLOCATIONS_BEFORE_COLLECTION = 20_000
"""Objects that a few dozen searches leave behind."""
_BACKLOG = 2048


def serve(
    *, host: str | None = None, port: int | None = None, engine: EngineName | None = None, json: Json = False
) -> None:
    """Serve the HTTP API.

    With the embedded engine and no index named "documents" the demo corpus is loaded as that.
    An index of a table [indices.NAME] that does not fit its table ends this with 2, and all that is wrong.

    Parameters
    ----------
    host
        Address to listen on; other than loopback only with SEARCHSVC_API__ALLOW_ANONYMOUS=true.
    port
        Port to listen on; 0 takes a free one.
    engine
        embedded, or elasticsearch.
    json
        Print {"url": ...} on stdout once requests are answered.

    """
    effective = settings(engine=engine, api__host=host, api__port=port)
    with _bound(effective.api.host, effective.api.port) as listener:
        loop_factory = uvicorn.Config("", loop="auto").get_loop_factory()
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_serve(effective, listener, json=json))


async def _serve(effective: Settings, listener: socket.socket, *, json: bool) -> None:
    async with open_runtime(effective) as runtime:
        await _prepare(runtime)
        host, port = listener.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        listener.listen(_BACKLOG)
        talk().print(f"searchsvc on {url}, engine {effective.engine}; try it at {url}/docs")
        if json:
            print_json({"url": url})
        config = uvicorn.Config(
            create_app(runtime),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
        )
        async with warming(runtime):
            await uvicorn.Server(config).serve(sockets=[listener])


def _bound(host: str, port: int) -> socket.socket:
    """A socket of our own, bound before anything else is done: a port in use is told at once, and by name."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {host} port {port}: {error.strerror}.", hint="Choose another: --port PORT."
        ) from error
    return listener


async def _prepare(runtime: Runtime) -> None:
    """Have something to search, and the first search fast; what cannot be reached yet is said and left."""
    if runtime.settings.engine == "embedded":
        await _have_documents(runtime)
    else:
        await _open_adopted(runtime)
    try:
        await runtime.warm_up(_WARM_UP_MS)
    except SearchError as error:
        talk().print(f"[yellow]not reached yet:[/] {escape(str(error))}")
    _settle_garbage_collection()


async def _open_adopted(runtime: Runtime) -> None:
    """Open and try every index of a table; what Elasticsearch does not answer is said and left.

    Raises ConfigurationError with all that is wrong.
    """
    tried = await asyncio.gather(*(_tried(runtime, name) for name in runtime.settings.indices))
    if wrong := [problem for problem in tried if problem]:
        raise ConfigurationError("\n".join(wrong))


async def _tried(runtime: Runtime, name: str) -> str:
    """Why the index cannot be searched as its table says; empty if it can be, or cannot be reached yet."""
    console = talk()
    trial = SearchRequest(
        query_id="warm-up",
        user_query=_WARM_UP_QUERY,
        index=name,
        expansion=ExpansionOptions(mode=Mode.OFF),
        rerank=RerankOptions(mode=Mode.OFF),
        timeout_ms=_WARM_UP_MS,
    )
    degraded: tuple[StageTrace, ...] = ()
    try:
        opened = await runtime.engine.open(name)
        if runtime.settings.elasticsearch.run_as == "service":
            degraded = (await runtime.service.search(trial)).degraded
    except ConfigurationError as error:
        return str(error)
    except BackendRejected as error:
        return f"[{table_key(name)}] {error}"
    except SearchError as error:
        console.print(f"[yellow]index {escape(name)} not reached yet:[/] {escape(str(error))}")
        return ""
    names = opened.physical.split(",")
    console.print(f"index {escape(name)}: {escape(names[0] if len(names) == 1 else f'{len(names)} indices')}")
    for trace in degraded:
        console.print(f"[yellow]index {escape(name)}:[/] {escape(trace.message)}")
    await _tell_changes(runtime, name, opened)
    return ""


async def _tell_changes(runtime: Runtime, name: str, opened: OpenIndex) -> None:
    """What is other than when the index was opened last; a memory that fails is no reason not to serve."""
    try:
        lines = await changes_since(runtime.state, name, opened.schema, opened.physical)
    except SearchError as error:
        lines = [f"what changed in {name} is not known: {error}"]
    for line in lines:
        talk().print(f"[yellow]changed:[/] {escape(printable(line))}")


async def _have_documents(runtime: Runtime) -> None:
    """The demo corpus as the index that searches read by default, unless there is one or one is being made.

    It is noted before it is loaded: the first documents of one's own take its place even if the load is cut off.
    """
    console, admin = talk(), runtime.engine.admin
    try:
        every = await admin.status()
    except SearchError as error:  # one damaged index is no reason not to serve the others
        console.print(f"[yellow]not all indices can be read:[/] {escape(str(error))}")
        return
    if any(name_of(status.index) == DEFAULT_INDEX for status in every):
        if DEFAULT_INDEX not in await runtime.engine.names():
            console.print(f"The index {DEFAULT_INDEX} is not published: searchsvc index load FILE, or index swap.")
        return
    console.print(f"No index named {DEFAULT_INDEX}: loading the demo corpus as that.")
    console.print("Your first searchsvc index load FILE takes its place.")
    documents = list(demo_documents())
    physical = await admin.create(DEFAULT_INDEX)
    remember(runtime.settings.data_dir, physical)
    with progress() as bar:
        task = bar.add_task("demo corpus", total=len(documents))
        loaded = await admin.load(
            physical, documents, progress=lambda done: bar.update(task, completed=done), words=words_told(bar)
        )
    if loaded.live:  # another that began at the same moment may have noted its own
        remember(runtime.settings.data_dir, physical)


def _settle_garbage_collection() -> None:
    """What is alive now stays: do not look through it again and again (a ninth of the CPU time of a search)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BEFORE_COLLECTION, 10, 10)
