"""What expansion and reranking do to the judged demo queries: four rows, the ranks in each, and their summary."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from searchsvc.demo import JudgedQuery
from searchsvc.model import ExpansionOptions, Form, Mode, RerankOptions, RerankQuery, SearchRequest
from searchsvc.result import SearchResult

DEPTH = 50
FEATURED = ("python 导入失败", "java null指针异常处理", "linux网络不通")
"""The queries of the article that this project starts from; it reports ranks 4→1, 3→1 and 5→1."""

BASE, RERANKED, ARTICLE, OURS = "base", "base + rerank", "the article's form", "ours"

_OFF = ExpansionOptions(mode=Mode.OFF)
ROWS: Mapping[str, tuple[ExpansionOptions, RerankOptions]] = {
    BASE: (_OFF, RerankOptions(mode=Mode.OFF, depth=DEPTH)),
    RERANKED: (_OFF, RerankOptions(depth=DEPTH)),
    ARTICLE: (
        ExpansionOptions(mode=Mode.ON, form=Form.KEYWORDS, retrieves=False),
        RerankOptions(depth=DEPTH, query=RerankQuery.EXPANDED),
    ),
    OURS: (ExpansionOptions(), RerankOptions(depth=DEPTH)),
}
"""Name to what it asks for: the article's form keeps the base's candidates and lets the reranker read the expansion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One query in all rows."""

    query: JudgedQuery
    ranks: Mapping[str, int | None]
    """By row: rank of the first document of the highest grade; None: not among the candidates."""
    ours: SearchResult


async def measure(
    query: JudgedQuery, search: Callable[[SearchRequest], Awaitable[SearchResult]], *, index: str, timeout_ms: int
) -> Effect:
    """Run one query in every row."""
    ranks: dict[str, int | None] = {}
    for row, (expansion, rerank) in ROWS.items():
        result = await search(
            SearchRequest(
                query_id=f"{query.query_id}-{row}",
                user_query=query.text,
                index=index,
                top_k=DEPTH,
                retrieval_depth=DEPTH,
                expansion=expansion,
                rerank=rerank,
                timeout_ms=timeout_ms,
            )
        )
        ranks[row] = next((hit.rank for hit in result.hits if hit.candidate.doc_id in query.best), None)
    return Effect(query=query, ranks=ranks, ours=result)


def summary(effects: Sequence[Effect], row: str) -> dict[str, Any]:
    """Mean reciprocal rank, share at rank 1, and mean gain in ranks over the base; not found counts as rank 51."""
    ranks = [effect.ranks[row] for effect in effects]
    gains = [_counted(effect.ranks[BASE]) - _counted(effect.ranks[row]) for effect in effects]
    return {
        "mrr": fmean(0.0 if rank is None else 1 / rank for rank in ranks),
        "top1_share": fmean(rank == 1 for rank in ranks),
        "mean_rank_gain": fmean(gains),
        "not_found": sum(rank is None for rank in ranks),
    }


def _counted(rank: int | None) -> int:
    return DEPTH + 1 if rank is None else rank
