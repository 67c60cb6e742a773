"""Which address of a model server answers what; a base URL may or may not carry its version."""

from __future__ import annotations

import ipaddress
import re

from yarl import URL

from searchsvc.errors import ConfigurationError

_PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa")
_CREDENTIALS = re.compile(r"//[^/@]*@")


def parse_base(base_url: str) -> URL:
    """`base_url` as a URL.

    Raises ConfigurationError, without any password that it holds, if it is no http(s) URL.
    """
    try:
        url = URL(base_url.strip())
        usable = url.scheme in {"http", "https"} and bool(url.host)
    except ValueError:
        usable = False
    if not usable:
        shown = _CREDENTIALS.sub("//***@", base_url)
        raise ConfigurationError(f"{shown!r} is no URL of a model server.", hint="Write http://HOST:PORT.")
    return url


def public(url: URL) -> str:
    """`url` for a message: without credentials and without its query string, which may hold a key."""
    return str(url.with_user(None).with_query(None).with_fragment(None))


def chat_url(base: URL) -> URL:
    """Where an OpenAI-compatible server completes chats.

    http://host:8000                     /v1/chat/completions
    https://host/compatible-mode/v1      /compatible-mode/v1/chat/completions
    https://host/x/chat/completions      as it is
    """
    return base.with_path(f"{_api_path(base)}/chat/completions", keep_query=True)


def models_url(base: URL) -> URL:
    """Where the same server lists its models."""
    return base.with_path(f"{_api_path(base)}/models", keep_query=True)


def rerank_urls(base: URL) -> tuple[URL, ...]:
    """Where a server may rerank, best first; both are covered by vLLM's --api-key, plain /rerank is not."""
    path = re.sub(r"(/v\d+)?(/rerank)?/*$", "", base.path)
    return tuple(base.with_path(f"{path}/{version}/rerank", keep_query=True) for version in ("v2", "v1"))


def is_external(base: URL) -> bool:
    """Whether a host is neither this machine nor in a private network, as far as its name tells: nothing is resolved.

    Names without a dot, and those under the suffixes that are reserved for private use (RFC 6762, RFC 8375, and
    ICANN's `internal`), are private; any other name counts as external even where it leads to a private address.
    """
    host = (base.host or "").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        as_number = host[:1].isdigit()  # inet_aton(3) reads a bare number as an address
        return as_number or ("." in host and not host.endswith(_PRIVATE_SUFFIXES))
    address = getattr(address, "ipv4_mapped", None) or address
    return not (address.is_loopback or address.is_private or address.is_link_local)


def _api_path(base: URL) -> str:
    return base.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
