"""What can be set: every setting with its default, its meaning and the combinations that cannot be."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from searchsvc.errors import ConfigurationError
from searchsvc.settings.values import (
    ApiKey,
    FieldName,
    FieldNames,
    IndexName,
    Password,
    TextFields,
    Url,
    Urls,
    UserFile,
    UserFiles,
    UserFolder,
    UserPath,
)

PREFIX = "SEARCHSVC_"
"""What the name of every environment variable of the service begins with."""


def _user_data_dir() -> Path:
    """Where programs of this user keep their data (XDG Base Directory Specification; %LOCALAPPDATA% on Windows)."""
    variable, fallback = (
        ("LOCALAPPDATA", "~/AppData/Local") if sys.platform == "win32" else ("XDG_DATA_HOME", "~/.local/share")
    )
    try:
        return Path(os.environ.get(variable) or fallback).expanduser() / "searchsvc"
    except RuntimeError:
        raise ConfigurationError(
            "data_dir has no default: this user has no home folder.", hint=f"Set {PREFIX}DATA_DIR."
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Group(BaseModel):
    """What all groups share: they are values, and hold nothing that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ElasticsearchSettings(Group):
    """How to reach Elasticsearch; read only where the engine is elasticsearch."""

    url: Urls = "http://127.0.0.1:9200"
    """Addresses of the nodes, comma-separated."""
    username: str | None = None
    """Basic authentication, together with `password`."""
    password: Password = None
    """Basic authentication, together with `username`."""
    api_key: ApiKey = None
    """The encoded API key, in place of username and password."""
    ca_certs: UserFile | None = None
    """File of the certificate authorities to trust, where the system's do not do."""
    run_as: Literal["service", "caller"] = "service"
    """Whose rights a search has: those of the credentials above, or those of the `Authorization` of the request."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses, one by one."""
        return tuple(self.url.split(","))

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.api_key is not None and (self.username is not None or self.password is not None):
            raise ValueError("api_key and username or password are two ways to authenticate: set one of them")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together: one of them is missing")
        if self.ca_certs is not None and not all(host.startswith("https://") for host in self.hosts):
            raise ValueError("ca_certs is set, but url has an address that is not https")
        return self


class RerankerSettings(Group):
    """The rerank server; without `url` the embedded engine uses its own scorer and Elasticsearch none."""

    url: Url | None = None
    """Address of the server, for instance http://127.0.0.1:8000."""
    model: str | None = None
    """Name of the model; left out, the server's own."""
    api_key: ApiKey = None
    """Sent as bearer token."""
    instruction: str | None = None
    """What the reranker is told to look for; left out, the model's default."""
    template: Literal["auto", "server", "client"] = "auto"
    """Who puts query and document into the model's prompt; auto finds out by probing the server."""
    max_tokens_per_doc: int = Field(default=2048, ge=1)
    """Longer documents are cut to so many tokens by the server."""


class ExpanderSettings(Group):
    """What expands queries: the chat model, and the dictionaries; without `url` no chat model is asked."""

    url: Url | None = None
    """Base address of an OpenAI-compatible API, for instance http://127.0.0.1:11434/v1."""
    model: str | None = None
    """Name of the model; left out, the first that the server lists."""
    api_key: ApiKey = None
    """Sent as bearer token."""
    prompt: str | None = None
    """Id of the prompt, or its name without version for the newest; left out, complete-v1."""
    dictionaries: UserFiles = ()
    """Synonym files of your own in the syntax of Solr and Elasticsearch, comma-separated."""
    lexicon: bool = True
    """Whether the lexicon of information technology that comes with the service is looked up besides."""
    wordnet: UserFolder | None = None
    """Folder of WordNet's database files, for instance /usr/share/wordnet."""
    policy: UserFile | None = None
    """File of a gain model of your own, which `searchsvc policy train` writes; left out, the one that is shipped."""
    provider: Literal["auto", "dashscope", "openai", "vllm", "generic"] = "auto"
    """Whose ways the chat model's server has; auto goes by the host."""
    external: Literal["allow", "forbid"] = "allow"
    """Whether queries may be sent to a server outside the private network."""
    timeout_ms: float = Field(default=15_000, gt=0, allow_inf_nan=False)
    """How long one call of the chat model may take, whoever waits for it."""
    concurrency: int = Field(default=16, ge=1)
    """How many calls of the chat model are under way at once."""
    cache: Literal["memory", "sqlite"] = "memory"
    """Where completions are kept; sqlite is a file in `data_dir` besides, which outlives a restart."""
    cache_days: float = Field(default=7, gt=0, allow_inf_nan=False)
    """How long a completion is kept."""
    warm_up: UserFile | None = None
    """File of queries whose completions are fetched in the background when the service starts."""
    warm_up_rpm: float = Field(default=30, gt=0, allow_inf_nan=False)
    """How many calls a minute that may take."""


class TextSettings(Group):
    """How text is cut into index terms."""

    user_dictionary: UserFile | None = None
    """Words of your own, one a line, in jieba's format: word, frequency, part of speech."""


class StateSettings(Group):
    """What the service remembers between restarts; never in an index of yours."""

    store: Literal["auto", "elasticsearch", "sqlite"] = "auto"
    """Where: auto is Elasticsearch if that is the engine and the account may write the index searchsvc-state."""


class ApiSettings(Group):
    """The HTTP service."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on; 0 takes any free one."""
    allow_anonymous: bool = False
    """Whether others than this machine may ask without credentials."""
    allow_raw_filters: bool = False
    """Whether a request may hold a filter in Elasticsearch's own words: `{"es": {...}}`."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not (_is_loopback(self.host) or self.allow_anonymous):
            raise ValueError(
                f"host {self.host} can be reached from other machines and nobody has to authenticate:"
                f" listen on 127.0.0.1, or allow it with {PREFIX}API__ALLOW_ANONYMOUS=true"
            )
        return self


class IndexSettings(Group):
    """An index that is there already: the table `[indices.NAME]` of the file. Fields are named by their full paths."""

    index: IndexName | None = None
    """What Elasticsearch calls it: an index, an alias, or a wildcard; left out, the name of the table."""
    text_fields: TextFields
    """The fields that are searched, each FIELD or FIELD^BOOST."""
    nested: FieldNames = ()
    """The paths that are mapped as `nested`."""
    id: FieldName = "_id"
    """What identifies a document: `_id`, `_index/_id` where the name stands for several indices, or a keyword field."""
    title: FieldName | None = None
    """The field that is shown as title."""
    snippet: FieldName | None = None
    """The field that the snippet is cut from."""
    returned: FieldNames = ()
    """The source fields that come back."""
    filters: FieldNames = ()
    """The fields that a request may filter by, and sort by where they are not nested."""
    facets: FieldNames = ()
    """The fields whose values a request may have counted."""
    rerank_text: FieldNames = ()
    """What the reranker reads, in this order."""
    rerank_characters: int = Field(default=2000, ge=1, le=100_000)
    """How many characters of that it reads at most."""
    base_query: str | None = None
    """Your own query as JSON, with `{{query}}` where the user's text goes."""


class Settings(BaseSettings):
    """All of them; built by `load_settings` from every source, or in code from values alone."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    engine: Literal["embedded", "elasticsearch"] = "embedded"
    """What retrieves."""
    data_dir: UserPath = Field(default_factory=_user_data_dir)
    """Folder of the embedded engine's indices."""
    elasticsearch: ElasticsearchSettings = ElasticsearchSettings()
    reranker: RerankerSettings = RerankerSettings()
    expander: ExpanderSettings = ExpanderSettings()
    text: TextSettings = TextSettings()
    state: StateSettings = StateSettings()
    api: ApiSettings = ApiSettings()
    indices: dict[str, IndexSettings] = Field(default_factory=dict)
    """The indices that are there already, by the name that a request uses; from the file alone."""

    @field_validator("state")
    @classmethod
    def _reachable(cls, state: StateSettings, info: ValidationInfo) -> StateSettings:
        if state.store == "elasticsearch" and info.data.get("engine") == "embedded":
            raise ValueError("store is elasticsearch, but the engine is embedded: set engine to elasticsearch too")
        return state

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values come from the caller alone: `load_settings` reads the rest and notes where each came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)
