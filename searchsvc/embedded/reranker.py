"""The embedded scorer: how near a passage is to the query by sentence vectors, added to what the words say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searchsvc.embedded.vectors import StoredVectors
from searchsvc.embedded.worker import Worker
from searchsvc.errors import BackendTimeout
from searchsvc.fusion import z_scores
from searchsvc.model import Candidate, Deadline, ScoreKind
from searchsvc.result import Reranking
from searchsvc.vocabulary.encoder import ENCODER
from searchsvc.vocabulary.method import MODEL

_BATCH = 16
"""Passages encoded between two looks at the clock: about 60 ms."""


class EmbeddedReranker:
    """z(lexical score) + z(cosine similarity) over the candidates.

    The vectors alone reorder long pages worse than BM25 does; the sum is better than either. Where the lexical
    scores do not differ, only the vectors count. There is nothing that an instruction could change.
    """

    def __init__(self, stored: StoredVectors, worker: Worker) -> None:
        """`stored` holds the vectors of the index's passages; others are encoded when they are met."""
        self._stored = stored
        self._worker = worker

    pointwise = False

    async def rerank(
        self,
        query: str,
        candidates: Sequence[Candidate],
        *,
        top_k: int,  # noqa: ARG002 - of the protocol
        instruction: str | None,  # noqa: ARG002 - of the protocol
        deadline: Deadline,
    ) -> Reranking:
        return await self._worker.run_until(deadline, self._rerank, query, candidates, deadline)

    def _rerank(self, query: str, candidates: Sequence[Candidate], deadline: Deadline) -> Reranking:
        passages = [candidate.passage for candidate in candidates]
        positions = self._stored.positions_of(passages)
        query_vector = ENCODER.encode([query])[0]
        similarities = np.zeros(len(passages), np.float32)
        known = positions >= 0
        similarities[known] = self._stored.vectors(positions[known]) @ query_vector
        missing = np.flatnonzero(~known)
        for start in range(0, len(missing), _BATCH):
            if deadline.left_s() <= 0:
                raise BackendTimeout("the embedded reranker had no time left to encode the candidates.")
            batch = missing[start : start + _BATCH]
            similarities[batch] = ENCODER.encode([passages[place] for place in batch]) @ query_vector
        parts = standardised([candidate.score for candidate in candidates], similarities.tolist())
        return Reranking(
            scores=tuple(map(sum, zip(*parts.values(), strict=True))),
            score_kind=ScoreKind.BLEND,
            model=MODEL,
            parts=parts,
            detail={"stored": int(known.sum()), "encoded": len(missing)},
        )


def standardised(lexical: Sequence[float], similarities: Sequence[float]) -> dict[str, tuple[float, ...]]:
    """The two parts of the score, each standardised over the candidates."""
    return {
        "z of the retrieval score": tuple(z_scores(lexical)),
        "z of the cosine similarity": tuple(z_scores(similarities)),
    }
