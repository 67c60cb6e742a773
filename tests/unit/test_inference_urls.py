from __future__ import annotations

import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.inference.urls import chat_url, models_url, parse_base, public, rerank_urls


@pytest.mark.parametrize(
    ("base", "root"),
    [
        ("http://host:8000", "http://host:8000/v1"),
        ("http://host:8000/", "http://host:8000/v1"),
        (" http://host:8000/v1/ ", "http://host:8000/v1"),
        ("https://host/compatible-mode/v1", "https://host/compatible-mode/v1"),
        ("https://host/any/chat/completions", "https://host/any"),
        ("https://host/any/chat/completions/", "https://host/any"),
    ],
)
def test_chat_and_models_lie_beside_each_other(base: str, root: str) -> None:
    assert str(chat_url(parse_base(base))) == f"{root}/chat/completions"
    assert str(models_url(parse_base(base))) == f"{root}/models"


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/", "/v2", "/rerank", "/v1/rerank", "/v2/rerank/"])
@pytest.mark.parametrize("prefix", ["", "/gateway", "/v1x"])
def test_rerank_endpoints_are_the_same_for_any_usual_base(prefix: str, suffix: str) -> None:
    urls = [str(url) for url in rerank_urls(parse_base(f"http://host:8000{prefix}{suffix}?k=1"))]

    assert urls == [f"http://host:8000{prefix}/{version}/rerank?k=1" for version in ("v2", "v1")]


def test_what_a_message_shows_holds_no_secret() -> None:
    assert public(parse_base("https://user:secret@host/v1?key=secret#x")) == "https://host/v1"


@pytest.mark.parametrize("base", ["", "host:8000", "localhost", "ftp://host", "http://", "/v1", "http://u:secret@h:x"])
def test_what_is_no_url_is_a_configuration_error_without_the_password(base: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_base(base)

    assert "secret" not in str(caught.value)
    assert "http://HOST:PORT" in str(caught.value)
