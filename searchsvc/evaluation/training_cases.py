"""Judged searches to fit the gain model to, made by the service itself: what `auto` sees and what each weight gains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from searchsvc.evaluation.measures import values
from searchsvc.evaluation.qrels import Qrels
from searchsvc.evaluation.runner import Search
from searchsvc.evaluation.training import WEIGHTS, Case
from searchsvc.model import ExpansionOptions, MethodShare, Mode, RecordedRun, RerankOptions, SearchRequest, Wait

SEARCHES = 1 + len(WEIGHTS)
"""Of every case."""
MEASURE = "nDCG@10"
_TOP_K = 10
_DEPTH = 100
_TIMEOUT_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Judged queries of one index."""

    group: str
    """What they are called."""
    index: str
    queries: Mapping[str, str]
    """Text by id."""
    qrels: Qrels


async def cases_of(
    judged: Judged, search: Search, *, run: RecordedRun | None, rerank: bool, done: Callable[[], None]
) -> list[Case]:
    """One case for every query that has something to weigh; `done` is called after every search.

    `run`: the recorded expansions; None: the configured expander makes them. Left out are queries that a rule of
    `auto` decides, that the expansion has nothing for, and whose search was degraded. Raises SearchError.
    """
    asked = ExpansionOptions(
        mode=Mode.SHADOW,
        methods=() if run is None else (MethodShare(name="recorded"),),
        wait=Wait.COMPLETE,
        recorded=run,
    )
    ways = [asked, *(replace(asked, mode=Mode.ON, weight=weight) for weight in WEIGHTS)]
    features: dict[str, Mapping[str, float]] = {}
    rankings: list[dict[str, Sequence[str]]] = [{} for _ in ways]
    for query_id, text in judged.queries.items():
        results = []
        for way in ways:
            results.append(await search(_request(judged, query_id, text, way, rerank=rerank)))
            done()
        seen = results[0].expansion.policy.get("features")
        if seen is None or any(result.degraded for result in results):
            continue
        features[query_id] = seen
        for ranking, result in zip(rankings, results, strict=True):
            ranking[query_id] = [hit.candidate.doc_id for hit in result.hits]
    return _cases(judged, features, rankings)


def _cases(
    judged: Judged, features: Mapping[str, Mapping[str, float]], rankings: Sequence[Mapping[str, Sequence[str]]]
) -> list[Case]:
    qrels = {query_id: judged.qrels[query_id] for query_id in features}
    if not qrels:
        return []
    base, *weighed = (values([MEASURE], qrels, each)[MEASURE] for each in rankings)
    return [
        Case(
            group=judged.group,
            query_id=query_id,
            features=seen,
            gains=tuple(each[query_id] - base[query_id] for each in weighed),
        )
        for query_id, seen in features.items()
    ]


def _request(judged: Judged, query_id: str, text: str, way: ExpansionOptions, *, rerank: bool) -> SearchRequest:
    return SearchRequest(
        query_id=query_id,
        user_query=text,
        index=judged.index,
        top_k=_TOP_K,
        retrieval_depth=_DEPTH,
        expansion=way,
        rerank=RerankOptions(mode=Mode.ON if rerank else Mode.OFF),
        timeout_ms=_TIMEOUT_MS,
    )
