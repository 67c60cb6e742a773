from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.errors import BackendUnavailable, BadModelOutput, ConfigurationError
from searchsvc.evaluation.judging import GRADES, Pair
from searchsvc.evaluation.llm_judge import (
    CONCURRENCY,
    RUBRIC,
    Grading,
    grade_all,
    graded,
    read_grade,
    rubric_for,
    source_of,
)
from searchsvc.protocols import ChatReply
from searchsvc.result import ModelCall

CALL = ModelCall(model="served")
QUERIES = {"zh": "网络不通", "en": "network is down"}


def a_pair(number=0, **texts):
    given = {"user_query": "network", "title": "", "text": "", "passage": "Restart the router."}
    return Pair(query_id="q1", doc_id=f"d{number}", **given | texts)


def said(text, finish_reason="stop"):
    return ChatReply(text=text, finish_reason=finish_reason, call=CALL)


@pytest.mark.parametrize("language", QUERIES)
class TestRubrics:
    def test_the_language_is_that_of_the_query(self, language):
        rubric = rubric_for(QUERIES[language])

        assert (rubric.id, rubric.language) == (RUBRIC, language)

    def test_it_says_what_every_grade_means_and_what_may_be_answered(self, language):
        rubric = rubric_for(QUERIES[language])

        assert [int(grade) for grade in re.findall(r"^(\d) = ", rubric.system, re.MULTILINE)] == [3, 2, 1, 0]
        assert rubric.schema["properties"]["grade"]["enum"] == list(GRADES)
        assert list(rubric.schema["properties"]) == ["reason", "grade"]  # in this order a server writes them
        assert set(rubric.schema["required"]) == {"reason", "grade"}
        assert rubric.schema["additionalProperties"] is False
        assert "JSON" in rubric.system  # OpenAI and DashScope refuse JSON mode otherwise
        assert rubric.temperature == 0

    def test_query_and_document_stand_between_their_delimiters(self, language):
        system, user = rubric_for(QUERIES[language]).messages("a {document} b", "c {query} {0} d")

        assert system["role"] == "system"
        assert user["content"] == "<query>a {document} b</query>\n<document>c {query} {0} d</document>"

    def test_a_book_does_not_fill_the_context(self, language):
        _, user = rubric_for(QUERIES[language]).messages("问" * 8000, "书" * 900_000)

        assert len(user["content"]) < 4100


@given(
    st.lists(st.sampled_from(["<", ">", "/", "query", "DOCUMENT", " ", "\n", "</document>", "<query>", "x"])).map(
        "".join
    )
)
def test_no_text_closes_its_delimiter(text):
    _, user = rubric_for("q").messages(text, text)

    squeezed = "".join(user["content"].lower().split())
    assert [squeezed.count(mark) for mark in ("<query>", "</query>", "<document>", "</document>")] == [1, 1, 1, 1]


def test_the_source_names_model_and_rubric_in_one_column():
    assert source_of("Qwen/Qwen3-4B") == f"llm:Qwen/Qwen3-4B rubric {RUBRIC}"
    assert source_of("odd\tname\n") == f"llm:odd name rubric {RUBRIC}"


class TestReading:
    @pytest.mark.parametrize(
        "text",
        [
            '{"reason": "fits", "grade": 2}',
            '{"grade": "2"}',
            '```json\n{"reason": "fits", "grade": 2}\n```',
            'I think: {"reason": "says {\\"grade\\": 3} itself", "grade": 2} is right.',
            '{oops} {"grade": 2} and once more {"grade": 2}',
        ],
    )
    def test_a_grade_is_found(self, text):
        assert read_grade(said(text)) == 2

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ('{"grade": 7}', "'7' is none of 0, 1, 2, 3"),
            ('{"grade": -1}', "'-1' is none of"),
            ('{"grade": 2.5}', "'2.5' is none of"),
            ('{"grade": true}', "'True' is none of"),
            ('{"grade": null}', "'None' is none of"),
            ('{"grade": [2]}', r"'\[2\]' is none of"),
            ('{"grade": "high"}', "'high' is none of"),
            ('{"grade": 3} {"grade": 0}', "several grades: 3, 0"),
            ('{"reason": "fits"}', "no JSON object with a 'grade'"),
            ('[{"score": 2}]', "no JSON object with a 'grade'"),
            ("3", "no JSON object with a 'grade'"),
            ("{" * 5000, "no JSON object with a 'grade'"),
            ('{"a":' * 3000, "no JSON object with a 'grade'"),
        ],
    )
    def test_anything_else_is_no_grade(self, text, told):
        with pytest.raises(BadModelOutput, match=told):
            read_grade(said(text))

    def test_an_answer_that_was_cut_says_so(self):
        with pytest.raises(BadModelOutput, match="cut at the token limit"):
            read_grade(said('{"reason": "it goes on and', "length"))

    @given(st.text())
    def test_whatever_a_model_says_is_a_grade_or_refused(self, text):
        with suppress(BadModelOutput):
            assert read_grade(said(text)) in GRADES


class Chat:
    def __init__(self, text):
        self.text, self.asked = text, []

    async def chat(self, messages, **options):
        self.asked.append((messages, options))
        return said(self.text)


async def test_a_pair_is_asked_about_with_the_rubric_of_its_language():
    chat = Chat('{"reason": "", "grade": 1}')

    grading = await graded(chat, a_pair(user_query="网络不通"))

    assert grading == Grading(grade=1, call=CALL)
    ((messages, options),) = chat.asked
    rubric = rubric_for("网络不通")
    assert messages == rubric.messages("网络不通", "Restart the router.")
    assert json.dumps(options["schema"]) == json.dumps(rubric.schema)
    assert options["deadline"].left_s() > 30


class TestAll:
    async def test_a_failure_stands_for_itself(self):
        heard = {}

        async def grade(pair):
            if pair.doc_id == "d3":
                raise BackendUnavailable("gone")
            return Grading(grade=1, call=CALL)

        await grade_all(map(a_pair, range(10)), grade, lambda pair, outcome: heard.update({pair.doc_id: outcome}))

        assert len(heard) == 10
        assert [doc_id for doc_id, outcome in heard.items() if isinstance(outcome, BackendUnavailable)] == ["d3"]

    async def test_so_many_at_once_and_no_more(self):
        running, most = 0, []
        full = asyncio.Event()

        async def grade(pair):
            nonlocal running
            running += 1
            most.append(running)
            if running == CONCURRENCY:
                full.set()
            await full.wait()
            await asyncio.sleep(0)
            running -= 1
            return Grading(grade=0, call=CALL)

        async with asyncio.timeout(5):
            await grade_all(map(a_pair, range(20)), grade, lambda pair, outcome: None)

        assert max(most) == CONCURRENCY
        assert len(most) == 20

    async def test_a_file_that_cannot_be_written_ends_it(self):
        asked = []

        async def grade(pair):
            asked.append(pair)
            await asyncio.sleep(0)
            return Grading(grade=0, call=CALL)

        def told(pair, outcome):
            raise ConfigurationError("disk full")

        with pytest.raises(ConfigurationError, match="disk full"):
            await grade_all(map(a_pair, range(100)), grade, told)
        await asyncio.sleep(0.01)

        assert len(asked) <= 2 * CONCURRENCY
