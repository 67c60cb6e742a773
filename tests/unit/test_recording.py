from __future__ import annotations

import gzip
import json

import pytest

from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.recording import Recording, records_of
from searchsvc.expansion.runs import Record, find_run
from searchsvc.model import RecordedRun
from searchsvc.result import Expansion, ExpansionAccount, ModelCall, SearchResult, Total

SAID = Record(
    query_id="q1",
    text="eine Flohlarve",
    method="llm",
    model="qwen-max-2025",
    asked="qwen-max",
    prompt="complete-v1",
    query="flea life cycle",
    input_tokens=90,
    output_tokens=40,
    took_ms=812.4,
    date="2026-01-01T00:00:00+00:00",
)


def said(method="llm", text="eine Flohlarve", prompt_id="complete-v1", **changes) -> Expansion:
    return Expansion(method=method, text=text, prompt_id=prompt_id, terms=(), doc_count=10, **changes)


def answer(*expansions: Expansion) -> SearchResult:
    return SearchResult(
        query_id="q1",
        user_query="flea life cycle",
        expanded_query=None,
        expansion=ExpansionAccount(decision="expanded", reason="on", expansions=expansions),
        total=Total(value=0),
        hits=(),
        stages=(),
        took_ms=1.0,
    )


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_what_is_recorded_is_read_as_a_run(tmp_path):
    with Recording(tmp_path / "new" / "out.jsonl") as recording:
        recording.add(SAID)

    run = find_run(RecordedRun(file=str(recording.path), run="llm/qwen-max-2025"))
    assert run.find("q1", "flea life cycle") == SAID
    assert run.name == "llm:complete-v1/qwen-max-2025"


def test_what_is_there_is_not_written_again(tmp_path):
    path = tmp_path / "out.jsonl"
    for _ in range(2):
        with Recording(path) as recording:
            recording.add(SAID)
            recording.add(SAID)

    assert len(lines(path)) == 1
    assert recording.added == 0


@pytest.mark.parametrize(
    ("changes", "there"),
    [
        ({}, True),
        ({"model": "qwen-max"}, True),
        ({"user_query": "  Flea life  CYCLE"}, True),
        ({"user_query": "flea bites"}, False),
        ({"query_id": "q2"}, False),
        ({"prompt": "terms-v1"}, False),
        ({"model": "gpt-4.1"}, False),
    ],
)
def test_an_answer_is_known_by_query_prompt_and_model_as_asked_or_as_answered(tmp_path, changes, there):
    asked = {"query_id": "q1", "user_query": "flea life cycle", "prompt": "complete-v1", "model": "qwen-max-2025"}
    with Recording(tmp_path / "out.jsonl") as recording:
        recording.add(SAID)
        wanted = asked | changes

        assert recording.has(wanted.pop("query_id"), wanted.pop("user_query"), **wanted) is there


@pytest.mark.parametrize("kept", [1, 5, 20, 100])
def test_a_last_line_that_was_cut_is_mended(tmp_path, kept):
    path = tmp_path / "out.jsonl"
    with Recording(path) as recording:
        recording.add(SAID)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:kept])

    with Recording(path):
        pass

    assert path.read_bytes() == whole


def test_a_last_line_without_its_end_is_ended(tmp_path):
    path = tmp_path / "out.jsonl"
    with Recording(path) as recording:
        recording.add(SAID)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])

    with Recording(path):
        pass

    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "foreign", [b'{"id": "1", "text": "a query"}', b"# a page\nwith text", b"{", b'{"id": "1", "text": "cut off']
)
def test_a_file_of_something_else_is_refused_and_loses_nothing_that_is_whole(tmp_path, foreign):
    path = tmp_path / "queries.jsonl"
    path.write_bytes(b'{"id": "0", "text": "first"}\n' + foreign)

    with pytest.raises(ConfigurationError, match=r"queries.jsonl line 1: 'method' is missing"):
        Recording(path)

    assert path.read_bytes().startswith(b'{"id": "0", "text": "first"}\n')


def test_a_compressed_file_is_refused(tmp_path):
    path = tmp_path / "out.jsonl.gz"
    path.write_bytes(gzip.compress(b""))

    with pytest.raises(ConfigurationError, match="is compressed"):
        Recording(path)


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="cannot be written"):
        Recording(tmp_path / "file" / "out.jsonl")


def test_of_several_methods_only_the_chat_model_is_recorded():
    result = answer(said(detail={"model": "qwen", "completion": "cache"}), said(method="dictionary", prompt_id=""))

    found = list(records_of(result, asked="qwen"))

    assert [(each.method, each.text, each.model, each.asked) for each in found] == [
        ("llm", "eine Flohlarve", "qwen", "")
    ]


def test_terms_are_recorded_as_the_model_wrote_them():
    (found,) = records_of(answer(said(text="pulex irritans, larva", said_terms=("pulex irritans", "larva"))))

    assert found.terms == ("pulex irritans", "larva")


@pytest.mark.parametrize(
    "expansions",
    [(), (said(method="dictionary"),), (said(method="recorded"),), (said(text="", prompt_id="corpus-v1"),)],
)
def test_nothing_is_recorded_where_no_model_spoke(expansions):
    assert list(records_of(answer(*expansions))) == []


async def test_a_search_that_is_heard_is_recorded_and_goes_on_unchanged(tmp_path):
    call = ModelCall(model="qwen-max-2025", input_tokens=90, output_tokens=40, took_ms=812.44)
    result = answer(said(calls=(call,)))

    async def search(_request):
        return result

    with Recording(tmp_path / "out.jsonl") as recording:
        assert await recording.heard(search, asked="qwen-max")(None) is result

    (line,) = lines(recording.path)
    assert line.pop("date").startswith("20")
    assert line == {key: value for key, value in SAID.as_json().items() if key != "date"}
