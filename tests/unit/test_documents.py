"""What a line of a corpus may be, and what is said of one that is not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.documents import BadLine, Document, clean, is_id, parse_document, read_documents
from searchsvc.errors import InvalidDocuments


def test_known_keys_are_fields_and_all_others_are_kept() -> None:
    line = {
        "id": "a",
        "text": "body",
        "title": "head",
        "lang": "en",
        "tags": ["x", "y"],
        "url": "https://example.org",
        "updated_at": "2026-01-31T12:00:00Z",
        "price": 3,
        "nested": {"deep": [1, None]},
    }

    document = parse_document(json.dumps(line))

    assert document.doc_id == "a"
    assert document.source() == {key: value for key, value in line.items() if key != "id"}


def test_a_number_is_an_id_too() -> None:
    assert parse_document('{"id": 7, "text": ""}').doc_id == "7"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON"),
        ("[1]", "list"),
        ("null", "NoneType"),
        ('{"text": "a"}', "'id'"),
        ('{"id": "", "text": "a"}', "'id'"),
        ('{"id": true, "text": "a"}', "'id'"),
        ('{"id": "\\u0000", "text": "a"}', "'id'"),
        (json.dumps({"id": "导" * 171, "text": "a"}), "512 bytes"),
        ('{"id": "a"}', "'text' is missing"),
        ('{"id": "a", "text": null}', "'text' is missing"),
        ('{"id": "a", "text": 3}', "'text' is a int"),
        ('{"id": "a", "text": "b", "title": []}', "'title'"),
        ('{"id": "a", "text": "b", "tags": "x"}', "'tags'"),
        ('{"id": "a", "text": "b", "tags": [1]}', "'tags'"),
        ('{"id": "a", "text": "b", "updated_at": "yesterday"}', "'updated_at'"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_document_says_why(line: str, problem: str) -> None:
    with pytest.raises(InvalidDocuments, match=problem):
        parse_document(line)


@given(st.text())
def test_cleaned_text_can_be_stored_and_sent(text: str) -> None:
    cleaned = clean(text)

    cleaned.encode("utf-8")
    assert "\0" not in cleaned
    assert clean(cleaned) == cleaned


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")))
def test_proper_text_is_left_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_surrogates_and_nul_go_and_the_rest_stays() -> None:
    document = parse_document('{"id": "a", "text": "x\\ud800y\\u0000z", "extra": ["\\udfff"]}')

    assert document.text == "xyz"
    assert document.extra == {"extra": [""]}


def _lines(path: Path) -> list[Document | BadLine]:
    return list(read_documents(path))


@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_is_read_line_by_line_with_bad_lines_by_number(tmp_path: Path, zipped: bool) -> None:
    content = b'{"id": "a", "text": "x"}\r\n\n\xff\xfe\n{"id": "b"}\n{"id": "c", "text": "z"}'
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(gzip.compress(content) if zipped else content)

    found: list[Any] = _lines(path)

    assert [each.doc_id for each in found if isinstance(each, Document)] == ["a", "c"]
    assert [each.number for each in found if isinstance(each, BadLine)] == [3, 4]


def test_a_cut_gzip_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "a", "text": "x"}\n' * 1000)[:-20])

    with pytest.raises(InvalidDocuments, match="corpus"):
        _lines(path)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidDocuments, match="nowhere"):
        _lines(tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize("value", ["", "a\0b", "\ud800", "x" * 513, "汉" * 171])
def test_what_no_document_can_be_called_is_no_id(value: str) -> None:
    assert not is_id(value)


@pytest.mark.parametrize("value", ["a", "汉" * 170, "x" * 512])
def test_what_a_document_can_be_called_is_an_id(value: str) -> None:
    assert is_id(value)
