"""What an index's pipeline is made of: its methods, and the one that expands where a request names none."""

from __future__ import annotations

import pytest

from searchsvc.assembly import Parts
from searchsvc.errors import Reason
from searchsvc.expansion.dictionary.loading import load_dictionary
from searchsvc.model import Deadline, ExpansionOptions, MethodShare, Mode, SearchRequest
from searchsvc.protocols import OpenIndex
from searchsvc.result import SearchResult, Stage
from searchsvc.text import Analyzer
from tests.support.parts import FixedExpander, FixedReranker, FixedRetriever, ranking
from tests.support.token_sets import TokenSets

ANALYZER = Analyzer()


class NoCompleter:
    """Is there, and is never asked."""

    async def complete(self, request, *, deadline, check):
        raise AssertionError(request)


def _parts(**given) -> Parts:
    nothing = {"completer": None, "prompt": None, "dictionary": None, "policy": None, "reranker": None}
    return Parts(analyzer=ANALYZER, **(nothing | given))


def _index(**given) -> OpenIndex:
    found = FixedRetriever(lambda _terms: ranking("0"))
    return OpenIndex(
        physical="documents-v1", retriever=found, statistics=TokenSets([frozenset({"net"})]), pages=None, **given
    )


async def _search(parts: Parts, index: OpenIndex, *methods: str) -> SearchResult:
    options = ExpansionOptions(mode=Mode.ON, methods=tuple(MethodShare(name=name) for name in methods))
    request = SearchRequest(query_id="q", user_query="net", expansion=options)
    return await parts.pipeline(index).search(request, Deadline.after_ms(2000))


@pytest.mark.parametrize(
    ("completer", "neighbours", "default"),
    [
        (NoCompleter(), FixedExpander(), ("llm",)),
        (NoCompleter(), None, ("llm",)),
        (None, FixedExpander(), ("neighbours",)),
        (None, None, ()),
    ],
)
def test_a_chat_model_expands_by_default_without_one_the_neighbours(completer, neighbours, default) -> None:
    parts = _parts(completer=completer, dictionary=load_dictionary((), ANALYZER))

    assert parts.pipeline(_index(neighbours=neighbours)).default_methods == default


async def test_feedback_and_dictionaries_wait_to_be_named() -> None:
    parts = _parts(dictionary=load_dictionary((), ANALYZER))

    unnamed, named = await _search(parts, _index()), await _search(parts, _index(), "prf", "dictionary")

    assert unnamed.expansion.method is None
    assert named.expansion.method == "prf+dictionary"


async def test_an_index_without_a_vocabulary_says_why_it_has_no_neighbours() -> None:
    result = await _search(_parts(), _index(no_neighbours="Load it again."))

    (trace,) = (trace for trace in result.stages if trace.stage is Stage.EXPAND)
    assert (trace.reason, trace.message) == (Reason.NOT_CONFIGURED, "Load it again.")


async def test_an_index_of_others_says_that_its_words_are_not_compared() -> None:
    result = await _search(_parts(), _index(as_written=True), "neighbours")

    (trace,) = (trace for trace in result.stages if trace.stage is Stage.EXPAND)
    assert trace.reason is Reason.NOT_CONFIGURED
    assert "that others made" in trace.message


@pytest.mark.parametrize("recorded", [False, True])
def test_files_are_read_by_commands_only(recorded: bool) -> None:
    assert ("recorded" in _parts(recorded=recorded).pipeline(_index()).expanders) is recorded


def test_the_methods_that_there_can_be_are_those_of_the_indices() -> None:
    parts = _parts(completer=NoCompleter(), dictionary=load_dictionary((), ANALYZER))

    assert set(parts.methods) == set(parts.pipeline(_index(neighbours=FixedExpander())).expanders)


def test_a_reranker_that_is_configured_goes_before_the_engines_own() -> None:
    own, configured = FixedReranker(), FixedReranker()

    assert _parts().pipeline(_index(reranker=own)).reranker is own
    assert _parts(reranker=configured).pipeline(_index(reranker=own)).reranker is configured
