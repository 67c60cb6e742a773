"""Recorded candidate lists in place of a retriever: reranking alone, on the very lists that others reranked."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchsvc.documents import Document, clean
from searchsvc.errors import ConfigurationError
from searchsvc.evaluation.lines import json_lines, required_id, text_lines
from searchsvc.evaluation.trec import read_runs
from searchsvc.model import Candidate, Ranking, ScoreKind
from searchsvc.protocols import RetrieveRequest
from searchsvc.result import Retrieval, Total
from searchsvc.suggest import did_you_mean

Lists = Mapping[str, tuple[str, ...]]
"""Ids of documents, best first, by query id."""


@dataclass(frozen=True, slots=True)
class CandidatesRetriever:
    """Answers every query with one recorded list: a Retriever for one query id."""

    candidates: tuple[Candidate, ...]

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        """The first `top_k` of the list, whatever the query: the list was recorded for it."""
        ranking = Ranking(candidates=self.candidates[: request.top_k], score_kind=ScoreKind.BM25)
        return Retrieval(ranking=ranking, total=Total(value=len(self.candidates)), detail={"candidates": "recorded"})


def read_candidates(source: str) -> Lists:
    """The lists of `FILE` or `FILE:RUN`; RUN may be left out where the file holds one run only.

    FILE holds TREC runs, or JSON lines `{query_id, run?, docs: [ids, best first]}`; its first line tells which.
    Raises ConfigurationError.
    """
    path, wanted = _split(source)
    _, first = next(text_lines(path), (0, "{"))
    return _chosen(_json_runs(path) if first.lstrip().startswith("{") else read_runs(path), wanted, path)


def _json_runs(path: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    runs: dict[str, dict[str, tuple[str, ...]]] = {}
    for number, value in json_lines(path):
        query_id = required_id(value, "query_id", path=path, number=number)
        doc_ids = value.get("docs")
        if not isinstance(doc_ids, list) or not all(isinstance(doc_id, str | int) for doc_id in doc_ids):
            raise ConfigurationError(f"{path} line {number}: 'docs' is not a list of ids.")
        lists = runs.setdefault(str(value.get("run", "")), {})
        if query_id in lists:
            raise ConfigurationError(f"{path} line {number}: the query {query_id!r} came before in the same run.")
        lists[query_id] = tuple(dict.fromkeys(clean(str(doc_id)) for doc_id in doc_ids))
    return runs


def shuffled(lists: Lists, seed: int) -> Lists:
    """Every list in an order that depends on `seed` and the query id alone."""
    return {query_id: _shuffled(doc_ids, f"{seed} {query_id}") for query_id, doc_ids in lists.items()}


def recorded_retrievers(
    lists: Lists, documents: Iterable[Document], *, query_ids: Iterable[str]
) -> dict[str, CandidatesRetriever]:
    """One retriever for each of `query_ids`, with the documents of its list; empty for a query without a list.

    Scores fall by one from rank to rank. Raises ConfigurationError if a document is not in the corpus.
    """
    wanted = {doc_id for query_id in query_ids for doc_id in lists.get(query_id, ())}
    sources = {document.doc_id: document.source() for document in documents if document.doc_id in wanted}
    missing = min(wanted - sources.keys(), default=None)
    if missing is not None:
        raise ConfigurationError(
            f"The candidate lists name the document {missing!r}, which is not in the corpus.",
            hint="Were they recorded for another collection?",
        )
    return {query_id: CandidatesRetriever(_candidates(lists.get(query_id, ()), sources)) for query_id in query_ids}


def _candidates(doc_ids: tuple[str, ...], sources: Mapping[str, Mapping[str, Any]]) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(doc_id=doc_id, score=float(len(doc_ids) - before), source=sources[doc_id])
        for before, doc_id in enumerate(doc_ids)
    )


def _split(source: str) -> tuple[Path, str | None]:
    """FILE ends at the first colon before which there is a file: names of runs hold colons, and so may paths."""
    if Path(source).is_file():
        return Path(source), None
    for at, character in enumerate(source):
        if character == ":" and Path(source[:at]).is_file():
            return Path(source[:at]), source[at + 1 :]
    raise ConfigurationError(f"There is no file of candidates {source!r}.", hint="It is given as FILE or FILE:RUN.")


def _chosen(runs: Mapping[str, Lists], wanted: str | None, path: Path) -> Lists:
    if not runs:
        raise ConfigurationError(f"{path} holds no candidate list.")
    if wanted is None and len(runs) == 1:
        return next(iter(runs.values()))
    if wanted is None:
        raise ConfigurationError(
            f"{path} holds {len(runs)} runs: say which one.", hint=f"{path}:RUN with one of {', '.join(sorted(runs))}."
        )
    if wanted not in runs:
        raise ConfigurationError(f"{path} holds no run {wanted!r}.", hint=did_you_mean(wanted, runs))
    return runs[wanted]


def _shuffled(doc_ids: tuple[str, ...], seed: str) -> tuple[str, ...]:
    order = list(doc_ids)
    random.Random(seed).shuffle(order)
    return tuple(order)
