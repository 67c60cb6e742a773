from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from searchsvc.errors import BackendTimeout, BadModelOutput, ConfigurationError, ExpansionLate, InvalidRequest
from searchsvc.expansion.guard.chat import GuardedChat
from searchsvc.expansion.llm import LlmExpander
from searchsvc.model import Candidate, Deadline, Form, Ranking
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
    known_model: str | None = "qwen"
    after_s: float = 0.0

    async def model(self, deadline: Deadline) -> str:
        return "qwen"

    async def chat(self, messages: Sequence[Mapping[str, str]], **asked: Any) -> ChatReply:
        self.asked.append({"messages": messages, **asked})
        await asyncio.sleep(self.after_s)
        return ChatReply(text=self.text, finish_reason=self.finish_reason, call=ModelCall(model="qwen"))


@dataclass
class FixedStatistics:
    """An index in which every term but those of `df` is in 10."""

    df: Mapping[str, int] = field(default_factory=dict)
    doc_count: int = 1000
    asked: list[list[str]] = field(default_factory=list)
    deadlines: list[Deadline] = field(default_factory=list)

    async def document_frequencies(
        self, terms: Sequence[str], *, deadline: Deadline, caller: Caller | None = None
    ) -> TermCounts:
        self.asked.append(list(terms))
        self.deadlines.append(deadline)
        if deadline.left_s() == 0:
            raise BackendTimeout("too late")
        return TermCounts(doc_count=self.doc_count, df={term: self.df.get(term, 10) for term in terms})


async def expand(
    chat: FixedChat,
    statistics: FixedStatistics,
    *,
    user_query: str = "python 导入失败",
    terms: int = 32,
    prompt: str | None = None,
    within_ms: float = 1000,
    first_pass: Callable[[], Awaitable[Ranking]] | None = None,
    as_written: bool = False,
) -> Expansion:
    request = ExpandRequest(
        user_query=user_query,
        deadline=Deadline.after_ms(within_ms),
        terms=terms,
        prompt=prompt,
        first_pass=first_pass,
    )
    guarded = GuardedChat(chat)
    try:
        return await LlmExpander(guarded, statistics, ANALYZER, as_written=as_written).expand(request)
    finally:
        await guarded.close()


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
    assert {term for term, reason in dropped.items() if reason != "stop word"} == {"虚拟环境"}
    assert dropped["虚拟环境"] == "not in the index"


async def test_no_more_than_the_wanted_terms_are_kept_and_absent_ones_take_no_place() -> None:
    expansion = await expand(FixedChat(), FixedStatistics({"模块": 0}), terms=3)

    kept = [term for term in expansion.terms if term.kept]
    assert len(kept) == 3
    reasons = {term.reason for term in expansion.terms if not term.kept}
    assert reasons == {"not in the index", "beyond the limit of 3", "stop word"}


async def test_a_stop_word_is_shown_and_not_kept() -> None:
    expansion = await expand(FixedChat(), FixedStatistics())

    [stop] = [term for term in expansion.terms if term.term == "通常"]
    assert (stop.kept, stop.reason, stop.df) == (False, "stop word", 10)


@pytest.mark.parametrize(
    ("df", "doc_count", "kept"), [(200, 1000, True), (201, 1000, False), (999, 999, True), (1, 1_000_000, True)]
)
async def test_a_term_of_more_than_a_fifth_of_a_large_index_is_dropped(df: int, doc_count: int, kept: bool) -> None:
    expansion = await expand(FixedChat(), FixedStatistics({"解释器": df}, doc_count=doc_count))

    [term] = [term for term in expansion.terms if term.term == "解释器"]
    assert (term.kept, term.reason) == (kept, "" if kept else "in too many documents")


async def test_a_word_of_a_script_that_neither_is_welcome_nor_in_the_query_is_dropped() -> None:
    said = "解释器找不到模块，俄文里叫 модуль，日文里叫モジュール，英文叫 module，数值是 5μm。"
    chat = FixedChat(json.dumps({"completion": said}))

    native = await expand(chat, FixedStatistics())
    asked = await expand(chat, FixedStatistics(), user_query="модуль 是什么")

    reasons = {term.term: term.reason for term in native.terms}
    assert reasons["модуль"] == "other language"
    assert {reason for term, reason in reasons.items() if "ジュ" in term} == {"other language"}
    assert reasons["modul"] == ""
    assert reasons["解释器"] == ""
    assert {term.term: term.reason for term in asked.terms}["модуль"] == ""


async def test_terms_of_several_words_become_index_terms_and_every_mention_counts() -> None:
    said = ["Missing Module", "module search path", "虚拟环境", "how to", "TLS 1.3"]

    expansion = await expand(FixedChat(json.dumps({"terms": said})), FixedStatistics(), prompt="terms")

    by_term = {term.term: term for term in expansion.terms}
    assert (expansion.prompt_id, expansion.text) == ("terms-v1", "、".join(said))
    assert by_term["modul"].frequency == 2.0
    assert (by_term["modul"].surface, by_term["modul"].source_text) == ("Module", "Missing Module")
    assert (by_term["path"].frequency, by_term["path"].source_text) == (1.0, "module search path")
    assert by_term["虚拟环境"].kept
    assert by_term["1.3"].kept
    assert {term.term for term in expansion.terms if term.reason == "stop word"} == {"how", "to"}


@pytest.mark.parametrize(
    ("text", "finish_reason", "detail"),
    [
        (json.dumps({"completion": COMPLETION}), "stop", {}),
        (json.dumps({"completion": COMPLETION}, ensure_ascii=False)[:-20], "length", {"cut": True}),
    ],
)
async def test_what_was_cut_is_flagged(text: str, finish_reason: str, detail: dict[str, Any]) -> None:
    expansion = await expand(FixedChat(text, finish_reason), FixedStatistics())

    assert {key: value for key, value in expansion.detail.items() if key == "cut"} == detail


PASSAGES = ("Installing packages\nUse pip to install what is missing.", "", "ModuleNotFoundError is raised by import.")


def found(passages: Sequence[str]) -> Callable[[], Awaitable[Ranking]]:
    async def first_pass() -> Ranking:
        return Ranking(
            candidates=tuple(Candidate(doc_id=str(n), score=1.0, source={"text": t}) for n, t in enumerate(passages))
        )

    return first_pass


async def test_the_corpus_prompt_shows_the_model_what_the_first_retrieval_found() -> None:
    chat = FixedChat('{"terms": ["ModuleNotFoundError", "pip"]}')

    expansion = await expand(chat, FixedStatistics(), prompt="corpus", first_pass=found(PASSAGES))

    assert chat.asked[0]["messages"][1]["content"].splitlines() == [
        "<passages>",
        "1. Installing packages Use pip to install what is missing.",
        "2. ModuleNotFoundError is raised by import.",
        "</passages>",
        "<query>python 导入失败</query>",
    ]
    assert (expansion.prompt_id, {term.term for term in expansion.terms if term.kept}) == (
        "corpus-v1",
        {"modulenotfounderror", "pip"},
    )


@pytest.mark.parametrize(
    ("first_pass", "why"),
    [(None, "there is no first retrieval"), (found([]), "found nothing"), (found(["", " "]), "found nothing")],
)
async def test_without_passages_the_corpus_prompt_asks_nobody_and_says_why(first_pass: Any, why: str) -> None:
    chat, statistics = FixedChat(), FixedStatistics()

    expansion = await expand(chat, statistics, prompt="corpus", first_pass=first_pass)

    assert (chat.asked, statistics.asked) == ([], [])
    assert (expansion.terms, expansion.calls, expansion.prompt_id) == ((), (), "corpus-v1")
    assert why in expansion.detail["nothing"]


async def test_a_first_retrieval_that_fails_is_no_expansion() -> None:
    async def first_pass() -> Ranking:
        raise BackendTimeout("no answer")

    with pytest.raises(BackendTimeout):
        await expand(FixedChat(), FixedStatistics(), prompt="corpus", first_pass=first_pass)


async def test_other_prompts_do_not_wait_for_the_first_retrieval() -> None:
    async def first_pass() -> Ranking:
        raise AssertionError

    assert (await expand(FixedChat(), FixedStatistics(), prompt="query2doc", first_pass=first_pass)).terms


async def test_an_index_of_others_is_asked_for_words_as_they_are_written() -> None:
    statistics = FixedStatistics()

    expansion = await expand(FixedChat(), statistics, as_written=True)

    terms = {term.term for term in expansion.terms}
    assert "modulenotfounderror" in terms
    assert "通常" not in terms  # its list is among the longest, and it would be dropped
    assert sorted(statistics.asked[0]) == sorted(term.term for term in expansion.terms)


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
    statistics = FixedStatistics()

    await expand(FixedChat(), statistics, within_ms=700)

    assert 0 < statistics.deadlines[0].left_s() <= 0.7


async def test_a_model_that_is_late_is_not_awaited_and_serves_the_next_caller() -> None:
    chat = FixedChat(after_s=0.1)
    guarded = GuardedChat(chat)
    expander = LlmExpander(guarded, FixedStatistics(), ANALYZER)

    with pytest.raises(ExpansionLate):
        await expander.expand(ExpandRequest(user_query="python 导入失败", deadline=Deadline.after_ms(20), terms=32))
    later = await expander.expand(
        ExpandRequest(user_query="Python  导入失败", deadline=Deadline.after_ms(900), terms=32)
    )
    again = await expander.expand(ExpandRequest(user_query="python 导入失败", deadline=Deadline.after_ms(20), terms=32))
    await guarded.close()

    assert len(chat.asked) == 1
    assert (later.detail["completion"], again.detail["completion"]) == ("shared", "cache")
    assert (again.terms, again.calls) == (later.terms, ())


async def test_a_reply_that_cannot_be_used_is_not_asked_for_again_at_once() -> None:
    chat = FixedChat("I'm sorry, but I can't help with that.")
    guarded = GuardedChat(chat)
    expander = LlmExpander(guarded, FixedStatistics(), ANALYZER)

    for _ in range(2):
        with pytest.raises(BadModelOutput, match="instead of answering"):
            await expander.expand(ExpandRequest(user_query="disk full", deadline=Deadline.after_ms(900), terms=32))
    await guarded.close()

    assert len(chat.asked) == 1


async def test_other_passages_prompts_and_languages_are_asked_for_by_themselves() -> None:
    chat = FixedChat('{"terms": ["ModuleNotFoundError", "pip"]}')
    guarded = GuardedChat(chat)
    expander = LlmExpander(guarded, FixedStatistics(), ANALYZER)

    for prompt, passages in [
        ("corpus", ["a passage"]),
        ("corpus", ["another"]),
        ("corpus-v1", ["another"]),
        ("terms", []),
    ]:
        request = ExpandRequest(user_query="disk full", deadline=Deadline.after_ms(900), terms=32, prompt=prompt)
        await expander.expand(replace(request, first_pass=found(passages)))
    await guarded.close()

    assert len(chat.asked) == 3


async def test_an_unknown_prompt_of_the_request_is_the_callers_mistake() -> None:
    chat = FixedChat()

    with pytest.raises(InvalidRequest, match="nope"):
        await expand(chat, FixedStatistics(), prompt="nope")

    assert chat.asked == []


def test_an_unknown_prompt_of_the_settings_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="complete-v1"):
        LlmExpander(GuardedChat(FixedChat()), FixedStatistics(), ANALYZER, "nope")


def test_it_joins_the_query_as_a_mixture_with_half_of_the_mass() -> None:
    assert (LlmExpander.default_form, LlmExpander.default_weight) == (Form.MIXTURE, 0.5)
