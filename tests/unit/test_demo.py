"""The demo collection is whole, and its figures are what they say."""

from __future__ import annotations

from searchsvc.demo import JudgedQuery, demo_documents, demo_queries
from searchsvc.demo.effect import ARTICLE, BASE, FEATURED, OURS, RERANKED, ROWS, Effect, measure, summary
from searchsvc.model import Mode, RerankQuery, SearchRequest
from searchsvc.result import SearchResult


def test_the_corpus_is_large_enough_and_in_two_languages() -> None:
    documents = list(demo_documents())

    assert len(documents) >= 160
    assert len({document.doc_id for document in documents}) == len(documents)
    languages = [document.lang for document in documents]
    assert min(languages.count("zh"), languages.count("en")) >= 60
    assert {document.tags[0] for document in documents} == {
        *("python", "java", "linux", "windows", "database", "docker", "git")
    }
    assert all(80 <= len(document.text) <= 2000 for document in documents)


def test_every_query_is_judged_on_documents_that_there_are() -> None:
    doc_ids = {document.doc_id for document in demo_documents()}
    queries = demo_queries()

    assert len(queries) >= 60
    assert set(FEATURED) <= {query.text for query in queries}
    for query in queries:
        assert query.grades.keys() <= doc_ids
        assert set(query.grades.values()) <= {0, 1, 2, 3}
        assert max(query.grades.values()) == 3
        assert query.best


def test_the_rows_differ_in_what_they_name() -> None:
    expansion, rerank = ROWS[ARTICLE]

    assert ROWS[BASE][0].mode is Mode.OFF
    assert ROWS[BASE][1].mode is Mode.OFF
    assert ROWS[RERANKED][1].mode is Mode.ON
    assert (expansion.retrieves, rerank.query) == (False, RerankQuery.EXPANDED)
    assert ROWS[OURS][1].query is RerankQuery.ORIGINAL


def _effect(**ranks: int | None) -> Effect:
    named = {BASE: ranks["base"], OURS: ranks["ours"]}
    return Effect(query=JudgedQuery(query_id="q", text="", grades={"a": 3}), ranks=named, ours=None)  # type: ignore[arg-type]


def test_the_summary_counts_an_absent_document_as_rank_51() -> None:
    effects = [_effect(base=4, ours=1), _effect(base=None, ours=2), _effect(base=1, ours=None)]

    figures = summary(effects, OURS)

    assert figures["mrr"] == (1 + 1 / 2 + 0) / 3
    assert figures["top1_share"] == 1 / 3
    assert figures["mean_rank_gain"] == (3 + 49 - 50) / 3
    assert figures["not_found"] == 1


async def test_a_query_is_measured_in_every_row() -> None:
    asked: list[SearchRequest] = []

    async def search(request: SearchRequest) -> SearchResult:
        asked.append(request)
        return SearchResult(
            query_id=request.query_id,
            user_query=request.user_query,
            expanded_query=None,
            expansion=None,  # type: ignore[arg-type]
            total=None,  # type: ignore[arg-type]
            hits=(),
            stages=(),
            took_ms=0.0,
        )

    query = JudgedQuery(query_id="q", text="words", grades={"a": 3})
    effect = await measure(query, search, index="demo", timeout_ms=1000)

    assert effect.ranks == dict.fromkeys(ROWS)
    assert [request.user_query for request in asked] == ["words"] * len(ROWS)
