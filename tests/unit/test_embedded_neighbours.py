from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.documents import Document
from searchsvc.embedded.engine import EmbeddedEngine
from searchsvc.errors import BackendTimeout
from searchsvc.forms import compose
from searchsvc.model import Deadline, Form
from searchsvc.protocols import Expander, ExpandRequest, OpenIndex
from searchsvc.result import Expansion
from searchsvc.vocabulary.nearest import NEIGHBOURS, THRESHOLD, nearest
from searchsvc.vocabulary.words import is_word
from tests.support.embedded import SUPPORT_ARTICLES, analyzer, load, loaded_folder, soon, words_query
from tests.support.requests import wanted


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loaded_folder(tmp_path_factory.mktemp("embedded"), SUPPORT_ARTICLES)


@pytest.fixture
async def index(folder: Path) -> AsyncIterator[OpenIndex]:
    engine = EmbeddedEngine(folder, analyzer())
    yield await engine.open("documents")
    await engine.close()


async def _expand(index: OpenIndex, query: str, terms: int = 32) -> Expansion:
    assert index.neighbours is not None
    return await index.neighbours.expand(ExpandRequest(user_query=query, deadline=soon(), terms=terms))


@pytest.mark.parametrize(
    ("query", "expected", "source_text"),
    [
        ("密码", "password", "密码"),
        ("网络", "network", "网络"),
        ("computer", "电脑", "computer"),
        ("wifi", "网络", "wifi"),
    ],
)
async def test_a_word_brings_its_like_in_the_other_language(index, query, expected, source_text) -> None:
    expansion = await _expand(index, query)
    found = {term.term: term for term in expansion.terms}

    assert found[expected].source_text == source_text
    assert found[expected].source == expansion.method == "neighbours"
    assert 0.4 * THRESHOLD**3 <= found[expected].frequency <= 0.4
    assert found[expected].df >= 1
    assert expansion.doc_count == len(SUPPORT_ARTICLES)


async def test_an_expanded_query_finds_documents_of_the_other_language(index) -> None:
    original = words_query("忘记密码")
    expansion = await _expand(index, "忘记密码")
    composed = compose(original, expansion, form=Form.ZSCORE, weight=0.5)

    alone = await index.retriever.retrieve(wanted(original, top_k=5))
    expanded = await index.retriever.retrieve(wanted(composed.query, top_k=5))
    assert len(alone.ranking) == 0
    assert expanded.ranking.candidates[0].doc_id == "pw"


async def test_the_words_of_the_query_are_not_proposed(index) -> None:
    expansion = await _expand(index, "network cable router")

    assert {term.term for term in expansion.terms} & set(analyzer().terms("network cable router")) == set()


async def test_the_best_terms_come_first_and_no_more_than_asked(index) -> None:
    every = (await _expand(index, "网络连接 电脑 password")).terms
    two = (await _expand(index, "网络连接 电脑 password", terms=2)).terms

    assert [(-term.frequency, term.term) for term in every] == sorted((-term.frequency, term.term) for term in every)
    assert two == every[:2]
    assert len({term.term for term in every}) == len(every) > 2


async def test_what_is_shown_are_words_not_stems(index) -> None:
    expansion = await _expand(index, "修理 机器")

    assert "comput" not in expansion.text.split()


@pytest.mark.parametrize("query", ["", "\ud800\0", "0x80070005", "!!!", "长" * 8192, "word " * 2000])
async def test_any_query_can_be_expanded(index, query) -> None:
    assert len((await _expand(index, query)).terms) <= 32


async def test_an_index_without_words_proposes_nothing(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path, analyzer())
    await load(engine, "empty", [Document(doc_id="1", text="42 的 the")])

    assert (await _expand(await engine.open("empty"), "network")).terms == ()
    await engine.close()


async def test_words_of_another_script_than_what_they_are_near_to_are_apart(index) -> None:
    english = {term.surface: term.apart for term in (await _expand(index, "wifi")).terms}
    chinese = {term.surface: term.apart for term in (await _expand(index, "互联网")).terms}

    assert (english["network"], english["网络"]) == (False, True)
    assert (chinese["network"], chinese["网络"]) == (True, False)


async def test_in_its_own_script_a_neighbour_joins_the_query(index) -> None:
    neighbours: Expander = index.neighbours

    assert (neighbours.default_form, neighbours.default_weight) == (Form.MIXTURE, 0.3)


async def test_a_deadline_that_has_passed_is_a_timeout(index) -> None:
    with pytest.raises(BackendTimeout):
        await index.neighbours.expand(ExpandRequest(user_query="x", deadline=Deadline.after_ms(0), terms=5))


@pytest.mark.parametrize(
    ("term", "surface", "expected"),
    [
        ("网络", "网络", True),
        ("网络", "網絡", True),
        ("comput", "Computers", True),
        ("café", "café", True),
        ("网", "网", False),
        ("一二三四五六七八九", "一二三四五六七八九", False),
        ("ab", "ab", False),
        ("x" * 22, "x" * 22, False),
        ("python3", "python3", False),
        ("0x80070005", "0x80070005", False),
        ("怎么办", "怎么办", False),
        ("would", "would", False),
    ],
)
def test_only_words_that_carry_a_topic_have_neighbours(term, surface, expected) -> None:
    assert is_word(term, surface) is expected


@given(values=st.lists(st.sampled_from((0.1, 0.5499, 0.55, 0.6, 0.6, 0.7, 0.9)), max_size=40))
def test_the_nearest_are_the_best_above_the_threshold(values) -> None:
    found = nearest(np.array(values, np.float32), np.zeros(len(values), np.bool_))

    wanted = sorted((value for value in values if value >= THRESHOLD), reverse=True)[:NEIGHBOURS]
    assert [similarity for _, similarity in found] == pytest.approx(wanted)
    assert len({place for place, _ in found}) == len(found)


@given(values=st.lists(st.tuples(st.sampled_from((0.1, 0.6, 0.7, 0.9)), st.booleans()), max_size=40))
def test_each_script_has_nearest_of_its_own(values) -> None:
    similarities, chinese = np.array([v for v, _ in values], np.float32), np.array([c for _, c in values], np.bool_)

    found = nearest(similarities, chinese)

    for script in (True, False):
        alone = nearest(np.where(chinese == script, similarities, 0).astype(np.float32), chinese)
        assert [near for near in found if chinese[near[0]] == script] == list(alone)
        assert len(alone) <= NEIGHBOURS
