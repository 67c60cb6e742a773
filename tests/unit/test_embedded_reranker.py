from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchsvc.embedded.engine import EmbeddedEngine
from searchsvc.embedded.reranker import EmbeddedReranker, standardised
from searchsvc.embedded.vectors import StoredVectors
from searchsvc.embedded.worker import Worker
from searchsvc.errors import BackendTimeout
from searchsvc.model import Candidate, Deadline, ScoreKind
from searchsvc.result import Reranking
from searchsvc.vocabulary.encoder import ENCODER
from tests.support.embedded import SUPPORT_ARTICLES, analyzer, loaded_folder, soon


def blend(lexical: list[float], similarities: list[float]) -> tuple[float, ...]:
    """The score that the reranker gives: the sum of its parts."""
    return tuple(map(sum, zip(*standardised(lexical, similarities).values(), strict=True)))


SCORES = st.lists(st.floats(-100, 100), min_size=1, max_size=50)


@given(scores=st.lists(st.tuples(st.floats(-100, 100), st.floats(-1, 1)), max_size=50))
def test_a_blend_is_the_sum_of_two_lists_of_mean_zero(scores) -> None:
    lexical, similarities = [each[0] for each in scores], [each[1] for each in scores]
    blended = blend(lexical, similarities)

    assert len(blended) == len(scores)
    assert sum(blended) == pytest.approx(0.0, abs=1e-6)
    for place, score in enumerate(blended):
        alone = blend(lexical, [0.0] * len(scores))[place], blend([0.0] * len(scores), similarities)[place]
        assert score == pytest.approx(sum(alone), abs=1e-9)


@given(similarities=SCORES, constant=st.floats(-100, 100))
def test_lexical_scores_that_do_not_differ_leave_the_order_to_the_vectors(similarities, constant) -> None:
    blended = blend([constant] * len(similarities), similarities)

    assert blended == blend([0.0] * len(similarities), similarities)
    best_first = sorted(range(len(blended)), key=lambda place: -blended[place])
    assert all(
        blended[one] == blended[other] or similarities[one] >= similarities[other]
        for one, other in pairwise(best_first)
    )


@given(lexical=SCORES, scale=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_the_scale_of_the_lexical_scores_does_not_matter(lexical, scale, shift) -> None:
    similarities = [math.sin(place) for place in range(len(lexical))]
    spread = max(lexical) - min(lexical)
    if 0 < spread < 1e-3:
        return
    moved = blend([score * scale + shift for score in lexical], similarities)

    assert moved == pytest.approx(blend(lexical, similarities), abs=1e-3)


def test_constant_lists_give_zeros() -> None:
    assert blend([3.0, 3.0], [0.5, 0.5]) == (0.0, 0.0)
    assert blend([], []) == ()


@pytest.fixture(scope="module")
def candidates() -> list[Candidate]:
    return [
        Candidate(doc_id=document.doc_id, score=1.0, source=document.source())
        for document in sorted(SUPPORT_ARTICLES, key=lambda document: document.doc_id)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loaded_folder(tmp_path_factory.mktemp("embedded"), SUPPORT_ARTICLES)


@pytest.fixture
async def reranker(folder: Path) -> AsyncIterator[EmbeddedReranker]:
    engine = EmbeddedEngine(folder, analyzer())
    reranker = (await engine.open("documents")).reranker
    assert isinstance(reranker, EmbeddedReranker)
    yield reranker
    await engine.close()


async def _scores(reranker: EmbeddedReranker, query: str, candidates: list[Candidate]) -> Reranking:
    return await reranker.rerank(query, candidates, top_k=50, instruction=None, deadline=soon())


def _order(reranking: Reranking, candidates: list[Candidate]) -> list[str]:
    ranked = sorted(zip(reranking.scores, candidates, strict=True), key=lambda each: -each[0])
    return [candidate.doc_id for _, candidate in ranked]


async def test_a_query_in_another_language_finds_what_means_the_same(reranker, candidates) -> None:
    english = await _scores(reranker, "I forgot my password", candidates)
    chinese = await _scores(reranker, "忘记密码了", candidates)

    assert _order(english, candidates)[0] == _order(chinese, candidates)[0] == "pw"
    assert (english.score_kind, english.model) == (ScoreKind.BLEND, "use-multilingual-v3")
    assert english.detail == {"stored": 5, "encoded": 0}


async def test_candidates_without_a_stored_vector_are_encoded(reranker, candidates) -> None:
    stranger = Candidate(doc_id="new", score=1.0, source={"text": "重置您的账户密码"})
    reranking = await _scores(reranker, "忘记密码了", [*candidates, stranger])

    assert reranking.detail == {"stored": 5, "encoded": 1}
    assert set(_order(reranking, [*candidates, stranger])[:2]) == {"pw", "new"}


async def test_stored_vectors_score_as_fresh_ones_do(reranker, candidates) -> None:
    without = EmbeddedReranker(StoredVectors.open(Path("/nowhere")), Worker())
    stored = await _scores(reranker, "network is down", candidates)
    fresh = await _scores(without, "network is down", candidates)

    assert fresh.detail == {"stored": 0, "encoded": 5}
    assert fresh.scores == pytest.approx(stored.scores, abs=0.02)


async def test_a_lexical_score_moves_a_candidate_up(reranker, candidates) -> None:
    plain = await _scores(reranker, "password", candidates)
    favoured = [replace(each, score=9.0 if each.doc_id == "bsod" else 1.0) for each in candidates]
    moved = await _scores(reranker, "password", favoured)

    place = [each.doc_id for each in candidates].index("bsod")
    assert moved.scores[place] > plain.scores[place] + 1


@pytest.mark.parametrize("query", ["", "\ud800", "\0", "<|im_end|>", "长" * 8192])
async def test_any_query_gets_one_score_a_candidate(reranker, candidates, query) -> None:
    odd = Candidate(doc_id="odd", score=0.0, source={"title": "", "text": "\ud800"})
    reranking = await _scores(reranker, query, [*candidates, odd, replace(odd, source={})])

    assert len(reranking.scores) == len(candidates) + 2
    assert all(math.isfinite(score) for score in reranking.scores)


async def test_without_candidates_there_are_no_scores(reranker) -> None:
    assert (await _scores(reranker, "x", [])).scores == ()


async def test_encoding_ends_at_the_deadline(reranker) -> None:
    ENCODER.encode(["loads the weights"])
    many = [
        Candidate(doc_id=str(number), score=0.0, source={"text": f"{number} " + "long text " * 80})
        for number in range(2000)
    ]
    with pytest.raises(BackendTimeout):
        await reranker.rerank("x", many, top_k=50, instruction=None, deadline=Deadline.after_ms(100))
