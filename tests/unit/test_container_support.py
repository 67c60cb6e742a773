"""Where the tests get their Elasticsearch from when a Docker daemon answers but has no image."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.support import elasticsearch
from tests.support.container import IMAGE, container
from tests.support.distribution import Unavailable


class _NoImages(BaseHTTPRequestHandler):
    """A daemon that knows its version, holds no image and reaches no registry."""

    def do_GET(self) -> None:
        known = self.path.endswith("/version")
        self._say(200 if known else 404, b'{"ApiVersion": "1.47"}' if known else b'{"message": "No such image"}')

    def do_POST(self) -> None:
        self._say(404, b'{"message": "manifest unknown"}')

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def _daemon_without_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    client = tmp_path / "docker"
    client.write_text("#!/bin/sh\nexit 0\n")
    client.chmod(0o755)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _NoImages)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("SEARCHSVC_TEST_ES_URL", raising=False)
    yield
    server.shutdown()
    thread.join()
    server.server_close()


class _Local(elasticsearch.LocalCluster):
    """Needs no Java."""

    stopped = 0

    def start(self) -> None:
        pass

    def stop(self) -> None:
        type(self).stopped += 1


class _NoJava(_Local):
    def start(self) -> None:
        raise Unavailable("no Java")


@pytest.mark.usefixtures("_daemon_without_images")
def test_an_image_that_cannot_be_had_is_said() -> None:
    with pytest.raises(Unavailable, match=f"no container of {IMAGE} can be started"), container():
        pytest.fail("there is no image")


@pytest.mark.usefixtures("_daemon_without_images")
def test_without_an_image_a_local_node_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticsearch, "LocalCluster", _Local)
    before = _Local.stopped
    with elasticsearch.one_node() as url:
        assert url.startswith("http://127.0.0.1:")
        assert _Local.stopped == before

    assert _Local.stopped == before + 1


@pytest.mark.usefixtures("_daemon_without_images")
def test_with_neither_both_reasons_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticsearch, "LocalCluster", _NoJava)
    with pytest.raises(Unavailable, match=f"{IMAGE} can.*; no Java"), elasticsearch.one_node():
        pytest.fail("there is neither")
