"""The composition root: from settings to a running service. Only `api` and `cli` use it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from yarl import URL

from searchsvc import __version__
from searchsvc.assembly import Parts
from searchsvc.checks import MAX_DEPTH, MAX_QUERY_CHARACTERS
from searchsvc.errors import ConfigurationError
from searchsvc.expansion.dictionary.loading import load_dictionary
from searchsvc.expansion.guard.cache import DAY_S, CompletionCache
from searchsvc.expansion.guard.chat import GuardedChat, Limits
from searchsvc.expansion.guard.store import CompletionStore
from searchsvc.expansion.prompts import prompt_names
from searchsvc.inference.chat import PASSING, OpenAIChat
from searchsvc.inference.client import ModelServer
from searchsvc.inference.reranker import VllmReranker
from searchsvc.inference.urls import public
from searchsvc.model import DEFAULT_INDEX, Deadline, ExpansionOptions, Mode, SearchRequest
from searchsvc.policy.files import read_model
from searchsvc.protocols import Engine, StateStore
from searchsvc.schema import AdoptedIndex, TextField
from searchsvc.service import SearchService
from searchsvc.settings import Settings
from searchsvc.settings.declared import IndexSettings
from searchsvc.state.choice import ChosenStateStore
from searchsvc.state.sqlite import SqliteStateStore
from searchsvc.suggest import did_you_mean
from searchsvc.text import Analyzer, extract_keywords, snippet

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The joined parts, open."""

    settings: Settings
    analyzer: Analyzer
    engine: Engine
    service: SearchService
    chat: GuardedChat | None
    reranker: VllmReranker | None
    state: StateStore
    """What the service remembers; never in an index of others."""

    async def warm_up(self, timeout_ms: int) -> None:
        """Do now what the first search would otherwise wait for: dictionaries, vectors, connections, the probe.

        Calls no language model. Raises StageError.
        """
        snippet("预热", ["预热"])
        if self.chat is not None:
            extract_keywords("预热", self.analyzer, idf=lambda _: 1.0)
        if self.reranker is not None:
            await self.reranker.probe(Deadline.after_ms(timeout_ms))
        if DEFAULT_INDEX in await self.engine.names():
            expansion = ExpansionOptions(mode=Mode.OFF if self.chat is not None else Mode.AUTO)
            await self.service.search(
                SearchRequest(query_id="warm-up", user_query="预热 warm up", expansion=expansion, timeout_ms=timeout_ms)
            )

    def info(self) -> dict[str, Any]:
        """What runs, without secrets: for /info and for the head of a table."""
        own = self.settings.engine == "embedded"
        return {
            "name": "searchsvc",
            "version": __version__,
            "engine": self.settings.engine,
            "expander": _server(self.settings.expander.url, self.settings.expander.model, "neighbours"),
            "reranker": _server(
                self.settings.reranker.url, self.settings.reranker.model, own and "use-multilingual-v3"
            ),
            "expansion_methods": self.service.methods,
            "chat": None if self.chat is None else self.chat.stats(),
            "analysis": self.analyzer.fingerprint,
            "state": self.state.place,
            "limits": {"query_characters": MAX_QUERY_CHARACTERS, "depth": MAX_DEPTH},
        }


@asynccontextmanager
async def open_runtime(settings: Settings, *, recorded: bool = False) -> AsyncIterator[Runtime]:
    """Open what the settings name; closed in reverse order at the end.

    `recorded`: expansions may come from files that a request names: for commands, never for requests from outside.

    Raises ConfigurationError. Reaches no server yet.
    """
    async with AsyncExitStack() as stack:
        analyzer = Analyzer(settings.text.user_dictionary)
        engine = _engine(settings, analyzer)
        stack.push_async_callback(engine.close)
        chat = _guarded(settings, stack)
        reranker = _reranker(settings, stack)
        expander = settings.expander
        parts = Parts(
            analyzer=analyzer,
            completer=chat,
            prompt=expander.prompt,
            dictionary=load_dictionary(
                expander.dictionaries, analyzer, lexicon=expander.lexicon, wordnet=expander.wordnet
            ),
            policy=read_model(expander.policy),
            reranker=reranker,
            recorded=recorded,
        )
        yield Runtime(
            settings=settings,
            analyzer=analyzer,
            engine=engine,
            service=SearchService(
                engine, parts.pipeline, methods=parts.methods, raw_filters=settings.api.allow_raw_filters
            ),
            chat=chat,
            reranker=reranker,
            state=_state(settings, stack),
        )


def _state(settings: Settings, stack: AsyncExitStack) -> StateStore:
    own = SqliteStateStore(settings.data_dir)
    if settings.engine == "embedded" or settings.state.store == "sqlite":
        return own
    from searchsvc.elastic.state import ElasticsearchStateStore  # noqa: PLC0415 - the client only where used

    client = elasticsearch_client(settings)
    stack.push_async_callback(client.close)
    shared = ElasticsearchStateStore(client)
    return shared if settings.state.store == "elasticsearch" else ChosenStateStore(shared, own)


def _engine(settings: Settings, analyzer: Analyzer) -> Engine:
    if settings.engine == "embedded":
        from searchsvc.embedded.engine import EmbeddedEngine  # noqa: PLC0415 - numpy and tantivy only where used

        return EmbeddedEngine(settings.data_dir, analyzer)
    from searchsvc.elastic.engine import ElasticEngine  # noqa: PLC0415 - the client only where used

    client = elasticsearch_client(settings)
    return ElasticEngine(client, analyzer, {name: _adopted(name, table) for name, table in settings.indices.items()})


def elasticsearch_client(settings: Settings) -> AsyncElasticsearch:
    """Reaches nothing yet; whoever takes it closes it. Raises ConfigurationError."""
    from searchsvc.elastic.client import connect  # noqa: PLC0415 - the client only where used

    group = settings.elasticsearch
    return connect(
        group.hosts,
        username=group.username,
        password=None if group.password is None else group.password.get_secret_value(),
        api_key=None if group.api_key is None else group.api_key.get_secret_value(),
        ca_certs=None if group.ca_certs is None else str(group.ca_certs),
    )


def _adopted(name: str, table: IndexSettings) -> AdoptedIndex:
    fields = (each.partition("^") for each in table.text_fields)
    return AdoptedIndex(
        name=name,
        target=table.index or name,
        text_fields=tuple(TextField(name=field, boost=float(boost or 1)) for field, _, boost in fields),
        nested=tuple(table.nested),
        doc_id=table.id,
        title=table.title,
        snippet=table.snippet,
        returned=tuple(table.returned),
        filters=tuple(table.filters),
        facets=tuple(table.facets),
        rerank_text=tuple(table.rerank_text),
        rerank_characters=table.rerank_characters,
        base_query=table.base_query,
    )


def _guarded(settings: Settings, stack: AsyncExitStack) -> GuardedChat | None:
    chat, group = _chat(settings, stack), settings.expander
    if chat is None:
        return None
    store = CompletionStore(settings.data_dir) if group.cache == "sqlite" else None
    guarded = GuardedChat(
        chat,
        CompletionCache(ttl_s=group.cache_days * DAY_S, store=store),
        Limits(
            timeout_ms=group.timeout_ms,
            concurrency=group.concurrency,
            external=chat.external,
            allow_external=group.external == "allow",
        ),
    )
    stack.push_async_callback(guarded.close)
    return guarded


def _chat(settings: Settings, stack: AsyncExitStack) -> OpenAIChat | None:
    group = settings.expander
    if group.prompt is not None and group.prompt not in prompt_names():
        raise ConfigurationError(
            f"There is no prompt {group.prompt!r} (setting expander.prompt).",
            hint=did_you_mean(group.prompt, prompt_names()),
        )
    if group.url is None:
        return None
    key = None if group.api_key is None else group.api_key.get_secret_value()
    server = ModelServer(group.url, api_key=key, again=PASSING)
    stack.push_async_callback(server.close)
    return OpenAIChat(server, group.model, group.provider)


def _reranker(settings: Settings, stack: AsyncExitStack) -> VllmReranker | None:
    group = settings.reranker
    if group.url is None:
        return None
    server = ModelServer(group.url, api_key=None if group.api_key is None else group.api_key.get_secret_value())
    stack.push_async_callback(server.close)
    return VllmReranker(
        server,
        model=group.model,
        instruction=group.instruction,
        max_tokens_per_doc=group.max_tokens_per_doc,
        template=group.template,
    )


def _server(url: str | None, model: str | None, own: str | bool) -> Mapping[str, Any] | None:
    if url is not None:
        return {"kind": "server", "url": public(URL(url)), "model": model}
    return {"kind": "embedded", "model": own} if own else None
