from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from searchsvc.errors import BackendTimeout, BadModelOutput, ConfigurationError, InvalidRequest
from searchsvc.expansion.llm import LlmExpander
from searchsvc.model import Deadline, Form
from searchsvc.protocols import ChatReply, ExpandRequest, TermCounts
from searchsvc.result import Expansion, ModelCall
from searchsvc.schema import Caller
from searchsvc.text import Analyzer

ANALYZER = Analyzer()
COMPLETION = "导入失败通常是 ModuleNotFoundError：解释器找不到模块。请安装缺少的模块，并检查虚拟环境和 sys.path。"


@dataclass
class FixedChat:
    """Says the same to everything; keeps what it was asked."""

    text: str = json.dumps({"completion": COMPLETION})
    finish_reason: str = "stop"
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def chat(self, messages: Sequence[Mapping[str, str]], **asked: Any) -> ChatReply:
        self.asked.append({"messages": messages, **asked})
        return ChatReply(text=self.text, finish_reason=self.finish_reason, call=ModelCall(model="qwen"))


@dataclass
class FixedStatistics:
    """An index of 1000 documents in which every term but those of `df` is in 10."""

    df: Mapping[str, int] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    deadlines: list[Deadline] = field(default_factory=list)

    async def document_frequencies(
        self, terms: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> TermCounts:
        self.asked.append(list(terms))
        self.deadlines.append(deadline)
        if deadline.left_s() == 0:
            raise BackendTimeout("too late")
        return TermCounts(doc_count=1000, df={term: self.df.get(term, 10) for term in terms})


async def expand(
    chat: FixedChat,
    statistics: FixedStatistics,
    *,
    user_query: str = "python 导入失败",
    terms: int = 32,
    prompt: str | None = None,
    within_ms: float = 1000,
) -> Expansion:
    request = ExpandRequest(user_query=user_query, deadline=Deadline.after_ms(within_ms), terms=terms, prompt=prompt)
    return await LlmExpander(chat, statistics, ANALYZER).expand(request)


async def test_the_completion_becomes_terms_with_their_document_frequencies() -> None:
    expansion = await expand(FixedChat(), FixedStatistics({"modulenotfounderror": 3}))

    assert (expansion.method, expansion.prompt_id, expansion.doc_count) == ("llm", "complete-v1", 1000)
    assert expansion.text == COMPLETION
    assert [call.model for call in expansion.calls] == ["qwen"]
    by_term = {term.term: term for term in expansion.terms}
    named = by_term["modulenotfounderror"]
    assert (named.frequency, named.df, named.source) == (1.0, 3, "llm")
    assert (named.surface, named.source_text) == ("ModuleNotFoundError", "ModuleNotFoundError")
    assert (named.kept, named.reason) == (True, "")
    assert by_term["模块"].frequency == 2.0
    assert "导入" in by_term  # a term of the query: the two confirm each other


async def test_terms_come_by_falling_frequency_times_idf_of_this_index() -> None:
    statistics = FixedStatistics({"模块": 900, "解释器": 1})

    expansion = await expand(FixedChat(), statistics)

    def worth(term: Any) -> float:
        return float(term.frequency * math.log(1 + (1000 - term.df + 0.5) / (term.df + 0.5)))

    assert [term.term for term in expansion.terms] == [
        term.term for term in sorted(expansion.terms, key=lambda each: (-worth(each), each.term))
    ]
    assert expansion.terms[0].term == "解释器"
    assert expansion.terms[-1].term == "模块"


async def test_a_term_that_the_index_lacks_is_shown_and_not_kept() -> None:
    expansion = await expand(FixedChat(), FixedStatistics({"虚拟环境": 0, "虚拟": 0}))

    dropped = {term.term: term.reason for term in expansion.terms if not term.kept}
    assert dropped
    assert set(dropped) <= {"虚拟环境", "虚拟"}
    assert set(dropped.values()) == {"not in the index"}


async def test_no_more_than_the_wanted_terms_are_kept_and_absent_ones_take_no_place() -> None:
    expansion = await expand(FixedChat(), FixedStatistics({"模块": 0}), terms=3)

    kept = [term for term in expansion.terms if term.kept]
    assert len(kept) == 3
    assert {term.reason for term in expansion.terms if not term.kept} == {"not in the index", "beyond the limit of 3"}


async def test_the_index_is_asked_once_for_all_terms() -> None:
    statistics = FixedStatistics()

    expansion = await expand(FixedChat(), statistics)

    assert len(statistics.asked) == 1
    assert sorted(statistics.asked[0]) == sorted(term.term for term in expansion.terms)


@pytest.mark.parametrize(
    ("user_query", "completion", "language"),
    [
        ("python 导入失败", COMPLETION, "zh"),
        ("cannot import", "ModuleNotFoundError: the package is missing; install it with pip.", "en"),
    ],
)
async def test_the_prompt_is_in_the_language_of_the_query(user_query: str, completion: str, language: str) -> None:
    chat = FixedChat(json.dumps({"completion": completion}))

    await expand(chat, FixedStatistics(), user_query=user_query)

    [asked] = chat.asked
    assert ("搜索引擎" in asked["messages"][0]["content"]) == (language == "zh")
    assert asked["messages"][1]["content"] == f"<query>{user_query}</query>"
    assert asked["schema"]["required"] == ["completion"]
    assert asked["max_tokens"] == 256


async def test_the_query_is_cleaned_before_it_is_sent() -> None:
    chat = FixedChat()

    await expand(chat, FixedStatistics(), user_query="导入\0失败\ud800")

    assert chat.asked[0]["messages"][1]["content"] == "<query>导入失败</query>"


@pytest.mark.parametrize(
    "text", ["python 导入失败", "导入 失败!", "失败", "那么 python 导入失败了吗？", "这个那个，因为所以。"]
)
async def test_a_completion_that_adds_no_keyword_is_bad_output(text: str) -> None:
    statistics = FixedStatistics()

    with pytest.raises(BadModelOutput, match="no keyword"):
        await expand(FixedChat(json.dumps({"completion": text})), statistics)

    assert statistics.asked == []


async def test_cut_json_is_bad_output_and_the_index_is_not_asked() -> None:
    statistics = FixedStatistics()

    with pytest.raises(BadModelOutput):
        await expand(FixedChat('{"completion": "导入失败通常是', "length"), statistics)

    assert statistics.asked == []


async def test_the_deadline_is_passed_on() -> None:
    chat, statistics = FixedChat(), FixedStatistics()

    await expand(chat, statistics, within_ms=700)

    assert chat.asked[0]["deadline"] == statistics.deadlines[0]


async def test_an_unknown_prompt_of_the_request_is_the_callers_mistake() -> None:
    chat = FixedChat()

    with pytest.raises(InvalidRequest, match="nope"):
        await expand(chat, FixedStatistics(), prompt="nope")

    assert chat.asked == []


def test_an_unknown_prompt_of_the_settings_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="complete-v1"):
        LlmExpander(FixedChat(), FixedStatistics(), ANALYZER, "nope")


def test_it_joins_the_query_as_a_mixture_with_half_of_the_mass() -> None:
    assert (LlmExpander.default_form, LlmExpander.default_weight) == (Form.MIXTURE, 0.5)
