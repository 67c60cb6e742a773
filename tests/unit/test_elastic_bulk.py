"""How a stream of documents is cut into bulk requests, and how the client is set up."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.documents import Document
from searchsvc.elastic import bulk
from searchsvc.elastic.client import connect
from searchsvc.errors import ConfigurationError


def documents(*ids: str) -> list[Document]:
    return [Document(doc_id=doc_id, text=f"{number}") for number, doc_id in enumerate(ids)]


def lines(document: Document) -> bytes:
    return f"{document.doc_id}={document.text}\n".encode()


@given(st.lists(st.sampled_from("abcdefgh"), max_size=60), st.integers(1, 7))
def test_the_last_of_a_doubled_id_is_the_last_that_is_sent(ids: list[str], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "MAX_CHUNK_DOCUMENTS", most)
        cut = list(bulk.chunks(documents(*ids), lines))
    sent: dict[str, bytes] = {}
    for chunk in cut:
        sent.update(chunk.lines)

    assert sent == {each.doc_id: lines(each) for each in documents(*ids)}
    assert sum(chunk.read for chunk in cut) == len(ids)
    assert all(0 < chunk.read <= most for chunk in cut)


def test_a_chunk_holds_no_more_bytes_than_allowed_unless_one_document_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MAX_CHUNK_BYTES", 10)
    cut = list(bulk.chunks(documents("aa", "bb", "c" * 50, "dd"), lines))

    assert [list(chunk.lines) for chunk in cut] == [["aa", "bb"], ["c" * 50], ["dd"]]


def test_no_document_makes_no_chunk() -> None:
    assert list(bulk.chunks([], lines)) == []


@pytest.mark.parametrize("hosts", [["127.0.0.1:9200"], ["http://localhost"], []])
def test_an_address_without_its_parts_is_a_mistake_in_the_settings(hosts: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="address of Elasticsearch"):
        connect(hosts)


def test_certificates_that_are_not_there_are_a_mistake_in_the_settings() -> None:
    with pytest.raises(ConfigurationError, match=r"no-such\.pem"):
        connect(["https://localhost:9200"], ca_certs="no-such.pem")


@pytest.mark.parametrize(
    "content", [b"", b"words", b"\0\xff" * 99, b"-----BEGIN CERTIFICATE-----\nwords\n-----END CERTIFICATE-----\n"]
)
def test_certificates_that_are_none_are_a_mistake_in_the_settings(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"ca\.pem.*SEARCHSVC_ELASTICSEARCH__CA_CERTS"):
        connect(["https://localhost:9200"], ca_certs=str(path))
