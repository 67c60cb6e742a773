"""The connection to Elasticsearch: one pooled client, set up once."""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence
from typing import Any

import orjson
from elastic_transport import AiohttpHttpNode
from elasticsearch import AsyncElasticsearch, OrjsonSerializer

from searchsvc.errors import ConfigurationError

METADATA_TIMEOUT_S = 10.0
"""Per attempt, for calls that are not on the path of a search."""

_EXAMPLE = "Write it as http://127.0.0.1:9200, with scheme, host and port; several are separated by commas."


class _Serializer(OrjsonSerializer):
    """Reads halves of characters (lone surrogates), too: Elasticsearch takes and returns documents that hold some."""

    def json_loads(self, data: bytes) -> Any:
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            written = json.dumps(json.loads(data), ensure_ascii=False)
            return orjson.loads(written.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def connect(
    hosts: Sequence[str],
    *,
    username: str | None = None,
    password: str | None = None,
    api_key: str | None = None,
    ca_certs: str | None = None,
    connections: int = 64,
) -> AsyncElasticsearch:
    """A client for these hosts; it reaches none of them yet.

    It repeats nothing by itself: the client would do so at once and without regard to the deadline, and a refused
    search sent three more times makes an overload worse. Callers allow it where it is safe. `connections` is per host.
    Raises ConfigurationError.
    """
    options: dict[str, Any] = {"basic_auth": (username, password)} if username is not None else {"api_key": api_key}
    if any(host.startswith("https:") for host in hosts):
        options["ssl_context"] = _tls(ca_certs)
    try:
        return AsyncElasticsearch(
            list(hosts),
            node_class=AiohttpHttpNode,
            serializers={"application/json": _Serializer()},
            connections_per_node=connections,
            request_timeout=METADATA_TIMEOUT_S,
            max_retries=0,
            retry_on_timeout=False,
            retry_on_status=(),
            dead_node_backoff_factor=5,
            http_compress=False,
            **options,
        )
    except ValueError as error:
        raise ConfigurationError(f"The address of Elasticsearch cannot be used: {error}.", hint=_EXAMPLE) from error


def _tls(ca_certs: str | None) -> ssl.SSLContext:
    """A context that checks names and IP addresses; the client's own default accepts a wrong IP address."""
    try:
        return ssl.create_default_context(cafile=ca_certs)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"The certificates {ca_certs!r} cannot be read: {error}.",
            hint="Name a PEM file with the CA certificate (SEARCHSVC_ELASTICSEARCH__CA_CERTS).",
        ) from error
