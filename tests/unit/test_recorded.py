"""Recorded expansions: the file, its runs, and the expander that replays them."""

from __future__ import annotations

import gzip
import json
import os

import pytest

from searchsvc.errors import BackendRejected, ConfigurationError, InvalidRequest
from searchsvc.expansion.recorded import RecordedExpander
from searchsvc.expansion.runs import find_run, parse_record
from searchsvc.model import Deadline, Form, RecordedRun
from searchsvc.protocols import ExpandRequest, TermCounts
from searchsvc.result import Expansion
from searchsvc.text import Analyzer

LINES = [
    {"id": "q1", "text": "flea larvae and pupae", "method": "mugi", "model": "openai/gpt-4.1", "q_repeat": 2},
    {"id": "q2", "text": "dns resolver", "method": "mugi", "model": "openai/gpt-4.1"},
    {"id": "q1", "text": "the flea", "method": "mugi", "model": "openai/gpt-4.1-nano"},
]


class Index:
    """Every term is in 10 of 1,000 documents, `zzz` in none."""

    def __init__(self):
        self.asked = []

    async def document_frequencies(self, terms, *, deadline, caller=None):
        self.asked.append(list(terms))
        return TermCounts(doc_count=1000, df={term: 0 if term == "zzz" else 10 for term in terms})


def write(path, lines=LINES):
    data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def run_of(file, run=None):
    return find_run(RecordedRun(file=file, run=run))


async def replayed(recorded, *, query_id="q1", user_query="flea life cycle", as_written=False, index=None) -> Expansion:
    expander = RecordedExpander(index or Index(), Analyzer(), as_written=as_written)
    request = ExpandRequest(
        user_query=user_query, query_id=query_id, deadline=Deadline.after_ms(1000), terms=32, recorded=recorded
    )
    return await expander.expand(request)


@pytest.mark.parametrize("name", ["said.jsonl", "said.jsonl.gz"])
def test_a_run_is_named_by_method_and_whole_model(tmp_path, name):
    file = write(tmp_path / name)

    assert run_of(file, "mugi/openai/gpt-4.1").find("q1", "").text == "flea larvae and pupae"
    assert run_of(file, "mugi/openai/gpt-4.1-nano").find("q1", "").text == "the flea"


def test_the_only_run_need_not_be_named(tmp_path):
    assert run_of(write(tmp_path / "said.jsonl", LINES[:2])).name == "mugi/openai/gpt-4.1"


@pytest.mark.parametrize(
    ("run", "message", "hint"),
    [
        (None, "holds 2 runs, and none is named", "There are: mugi/openai/gpt-4.1, mugi/openai/gpt-4.1-nano."),
        ("mugi/openai/gpt4.1", "has no run 'mugi/openai/gpt4.1'", "Did you mean mugi/openai/gpt-4.1?"),
        ("mugi", "has no run 'mugi'", "There are: mugi/openai/gpt-4.1, mugi/openai/gpt-4.1-nano."),
        ("mugi/openai", "has no run 'mugi/openai'", "There are: mugi/openai/gpt-4.1,"),
    ],
)
def test_a_run_that_is_not_there_is_told_with_those_that_are(tmp_path, run, message, hint):
    with pytest.raises(ConfigurationError) as caught:
        run_of(write(tmp_path / "said.jsonl"), run)

    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.hint.count("There are") == 1


def test_a_method_recorded_with_several_prompts_is_named_with_one(tmp_path):
    said = {"id": "q1", "text": "a", "method": "llm", "model": "org/m"}
    file = write(tmp_path / "said.jsonl", [{**said, "prompt": "terms-v1"}, {**said, "prompt": "complete-v1"}])

    with pytest.raises(ConfigurationError, match="several prompts") as caught:
        run_of(file, "llm/org/m")

    assert caught.value.hint == "Name one of: llm:terms-v1/org/m, llm:complete-v1/org/m."
    assert run_of(file, "llm:terms-v1/org/m").find("q1", "").prompt == "terms-v1"


def test_of_several_lines_the_last_counts(tmp_path):
    file = write(tmp_path / "said.jsonl", [LINES[0], {**LINES[0], "text": "again"}])

    assert run_of(file).find("q1", "").text == "again"


@pytest.mark.parametrize(
    ("query_id", "user_query", "found"),
    [
        ("q1", "Flea  life cycle", True),
        ("other", "flea life cycle", True),
        ("q1", "another query", False),
        ("q2", "another query", False),
    ],
)
def test_a_line_that_has_its_query_is_found_by_text_and_not_under_an_id_alone(tmp_path, query_id, user_query, found):
    file = write(tmp_path / "said.jsonl", [{**LINES[0], "query": "flea life cycle"}])

    assert (run_of(file).find(query_id, user_query) is not None) is found


def test_a_file_that_has_changed_is_read_again(tmp_path):
    path = tmp_path / "said.jsonl"
    write(path, LINES[:1])
    before = run_of(str(path))
    write(path, LINES[:2])
    os.utime(path, ns=(1, 1))

    assert before.find("q2", "") is None
    assert run_of(str(path)).find("q2", "") is not None
    assert run_of(str(path)) is run_of(str(path)), "read once"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "line 2: not JSON"),
        (b"[]", "line 2: a list where an object was expected"),
        (b'{"text": "t", "method": "m"}', "line 2: 'id' is missing"),
        (b'{"id": true, "text": "t", "method": "m"}', "line 2: 'id' is missing"),
        (b'{"id": "1", "method": "m"}', "line 2: 'text' is missing"),
        (b'{"id": "1", "text": "t"}', "line 2: 'method' is missing"),
        (b'{"id": "1", "text": 3, "method": "m"}', "line 2: 'text' is a int where a string"),
        (b'{"id": "1", "text": "t", "method": "m", "output_tokens": "9"}', "line 2: 'output_tokens' is '9'"),
        (b'{"id": "1", "text": "t", "method": "m", "took_ms": -1}', "line 2: 'took_ms' is -1"),
        (b'\xff{"id": "1", "text": "t", "method": "m"}', "line 2: not JSON"),
    ],
)
def test_a_line_that_is_none_is_told_with_file_and_line(tmp_path, line, problem):
    path = tmp_path / "said.jsonl"
    path.write_bytes(json.dumps(LINES[0]).encode() + b"\n" + line + b"\n")

    with pytest.raises(ConfigurationError) as caught:
        run_of(str(path))

    assert f"{path} {problem}" in caught.value.message
    assert caught.value.hint == ""


def test_a_line_that_is_not_whole_says_how_it_is_mended(tmp_path):
    path = tmp_path / "said.jsonl"
    path.write_bytes(b'{"id": "1", "te')

    with pytest.raises(ConfigurationError) as caught:
        run_of(str(path))
    assert "recording to the same file once more mends it" in caught.value.hint

    path.write_bytes(b'{"id": "1", "text": "of another kind"}')
    with pytest.raises(ConfigurationError, match="'method' is missing") as caught:
        run_of(str(path))
    assert caught.value.hint == ""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no recorded expansion"),
        (b"\n", "holds no recorded expansion"),
        (gzip.compress(b"")[:-9], "cannot be read"),
    ],
)
def test_a_file_without_a_record_is_told(tmp_path, content, problem):
    path = tmp_path / "said.jsonl"
    path.write_bytes(content)

    for run in (None, "mugi/openai/gpt-4.1"):
        with pytest.raises(ConfigurationError, match=problem):
            run_of(str(path), run)


def test_a_file_that_is_not_there_or_is_a_folder_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        run_of(str(tmp_path / "none.jsonl"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        run_of(str(tmp_path))


def test_a_model_that_said_nothing_is_a_record():
    assert parse_record(b'{"id": 7, "text": "", "method": "m"}').query_id == "7"


async def test_a_replay_goes_through_the_second_stage(tmp_path):
    line = {
        **LINES[0],
        "text": "The flea larvae, zzz larvae",
        "input_tokens": 90,
        "output_tokens": 40,
        "took_ms": 812.4,
    }
    file = write(tmp_path / "said.jsonl", [line])

    expansion = await replayed(RecordedRun(file=file))

    by_term = {term.term: term for term in expansion.terms}
    assert expansion.text == "The flea larvae, zzz larvae"
    assert (by_term["larva"].frequency, by_term["larva"].df, by_term["larva"].kept) == (2, 10, True)
    assert (by_term["zzz"].kept, by_term["zzz"].reason) == (False, "not in the index")
    assert (by_term["the"].kept, by_term["the"].reason) == (False, "stop word")
    assert {term.source for term in expansion.terms} == {"recorded"}
    assert expansion.calls == ()
    assert expansion.detail["run"] == "mugi/openai/gpt-4.1"
    assert expansion.detail["recorded"] == {
        "model": "openai/gpt-4.1",
        "input_tokens": 90,
        "output_tokens": 40,
        "took_ms": 812.4,
    }


async def test_recorded_terms_are_taken_as_the_model_chose_them(tmp_path):
    line = {**LINES[0], "text": "pulex irritans, 9", "terms": ["pulex irritans", "9"]}

    expansion = await replayed(RecordedRun(file=write(tmp_path / "said.jsonl", [line])))

    assert {term.source_text for term in expansion.terms} == {"pulex irritans", "9"}


async def test_an_index_of_others_is_asked_for_words(tmp_path):
    index = Index()

    await replayed(RecordedRun(file=write(tmp_path / "said.jsonl", LINES[:1])), as_written=True, index=index)

    assert sorted(index.asked[0]) == ["flea", "larvae", "pupae"]


async def test_a_query_that_was_not_recorded_is_a_visible_outcome_of_this_query(tmp_path):
    file = write(tmp_path / "said.jsonl", LINES[:1])

    with pytest.raises(BackendRejected, match=r"The run mugi/openai/gpt-4\.1 of .* has nothing for this query"):
        await replayed(RecordedRun(file=file), query_id="q9")


async def test_without_a_file_there_is_nothing_to_replay():
    with pytest.raises(InvalidRequest, match="needs a file"):
        await replayed(None)


def test_it_joins_as_a_mixture_by_half():
    assert (RecordedExpander.default_form, RecordedExpander.default_weight) == (Form.MIXTURE, 0.5)
