"""`searchsvc search` with filters and facets."""

from __future__ import annotations

import json

import pytest

from searchsvc.cli import main
from tests.support.collections import write_jsonl

DOCUMENTS = [
    {"id": "a", "text": "linux network down", "tags": ["linux[b]", "net"], "lang": "en"},
    {"id": "b", "text": "network cable", "tags": ["net"], "lang": "en"},
    {"id": "c", "text": "network 网络", "tags": ["3"], "lang": "zh"},
]
PLAIN = ("search", "network", "--expansion", "off", "--rerank", "off")


@pytest.fixture(autouse=True)
def loaded(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SEARCHSVC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    main(["index", "load", str(write_jsonl(tmp_path / "documents.jsonl", DOCUMENTS))])
    capsys.readouterr()


def found(capsys, *tokens):
    main([*PLAIN, *tokens, "--json"])
    return {hit["doc_id"] for hit in json.loads(capsys.readouterr().out)["hits"]}


@pytest.mark.parametrize(
    ("filters", "doc_ids"),
    [
        (["lang=zh"], {"c"}),
        (['tags=["linux[b]", "3"]'], {"a", "c"}),
        (['tags="3"'], {"c"}),
        (['lang={"not": "zh"}', "tags=linux[b]"], {"a"}),
    ],
)
def test_filters_are_words_or_json_as_in_the_api(capsys, filters, doc_ids):
    assert found(capsys, *(token for each in filters for token in ("--filter", each))) == doc_ids


def test_facets_are_tables_for_people(capsys):
    main([*PLAIN, "--facets", "tags", "--facets", "lang"])

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[lines.index(["tags", "documents"]) + 1] == ["net", "2"]
    assert ["linux[b]", "1"] in lines
    assert lines[lines.index(["lang", "documents"]) + 1] == ["en", "2"]


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (["--filter", "lang"], "not FIELD=VALUE"),
        (["--filter", "=zh"], "not FIELD=VALUE"),
        (["--filter", "lang=zh", "--filter", "lang=en"], "the field comes twice"),
        (["--filter", "tags=3"], "3 is no string"),
        (["--filter", "tags={}"], "filters: Nothing is asked for"),
        (["--facets", "tag"], "no facet field 'tag'"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(capsys, tokens, said):
    with pytest.raises(SystemExit) as caught:
        main([*PLAIN, *tokens])

    assert caught.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
