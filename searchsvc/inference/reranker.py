"""Qwen3-Reranker behind vLLM, or any server with the same rerank endpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from searchsvc.errors import BackendRejected, BackendUnavailable, BadModelOutput
from searchsvc.inference.client import ModelServer, Refused
from searchsvc.inference.probe import Served, Template, look
from searchsvc.inference.qwen3 import DEFAULT_INSTRUCTION, bound, document_half, query_half, shorten
from searchsvc.inference.special_tokens import neutralise
from searchsvc.inference.wire import read_rerank, rerank_body
from searchsvc.model import Candidate, Deadline, ScoreKind
from searchsvc.result import Reranking

_PROBE_EVERY_S = 300.0
_MAX_QUERY_TOKENS = 1024
"""A longer query is cut, so that a pasted page leaves room for the documents."""
_LEAST_PROBABILITY = 1e-7
"""What a probability of 0 or 1 is taken for: float32 resolves no more near 1."""


class VllmReranker:
    """Implements Reranker; scores are logits, yes minus no."""

    def __init__(
        self,
        server: ModelServer,
        *,
        max_tokens_per_doc: int,
        model: str | None = None,
        instruction: str | None = None,
        template: Template = "auto",
    ) -> None:
        """`max_tokens_per_doc` (positive) is where a document is cut.

        `model` None: whatever the server serves; `instruction` None: Qwen's own.
        """
        self._server = server
        self._max_tokens_per_doc = max_tokens_per_doc
        self._model = model
        self._instruction = instruction or DEFAULT_INSTRUCTION
        self._template = template
        self._served: Served | None = None
        self._look_again_at = 0.0

    async def probe(self, deadline: Deadline) -> Served:
        """Find out how the server was started and go by that from now on.

        Done on first use, after a failure and every five minutes; doing it at start tells the operator at once.
        Raises StageError.
        """
        with self._forgetting():
            served = await look(self._server, model=self._model, template=self._template, deadline=deadline)
        self._served, self._look_again_at = served, time.monotonic() + _PROBE_EVERY_S
        return served

    @property
    def pointwise(self) -> bool:
        return True

    async def rerank(
        self, query: str, candidates: Sequence[Candidate], *, top_k: int, instruction: str | None, deadline: Deadline
    ) -> Reranking:
        """One logit per candidate; title and text of a candidate are read together.

        The server scores all and sends the best `top_k`: it sends the text of every document with its score.
        """
        if not candidates:
            return Reranking(scores=(), score_kind=ScoreKind.LOGIT, model=self._model or "")
        served = await self._known(deadline)
        passages = [candidate.passage for candidate in candidates]
        body = self._body(served, query, passages, instruction or self._instruction)
        if 0 < top_k < len(candidates):
            body["top_n"] = top_k
        with self._forgetting(), _over_length(self._max_tokens_per_doc):
            answer = read_rerank(
                await self._server.post(served.url, body, deadline=deadline),
                documents=len(candidates),
                top_n=body.get("top_n"),
            )
        logits = answer.scores if served.logits else _logits(answer.scores)
        return Reranking(
            scores=tuple(logits.get(place) for place in range(len(candidates))),
            score_kind=ScoreKind.LOGIT,
            model=answer.model or self._model or "",
            detail={
                "endpoint": served.url.path,
                "template": served.template,
                "scores": "logits" if served.logits else "probabilities",
                "prompt_tokens": answer.prompt_tokens,
            },
        )

    async def _known(self, deadline: Deadline) -> Served:
        """What the last probe found; when it is old, one caller looks again and the others go on."""
        now = time.monotonic()
        if self._served is not None and now < self._look_again_at:
            return self._served
        self._look_again_at = now + _PROBE_EVERY_S
        return await self.probe(deadline)

    def _body(self, served: Served, query: str, passages: Sequence[str], instruction: str) -> dict[str, Any]:
        limit = self._max_tokens_per_doc
        query = shorten(neutralise(query), _MAX_QUERY_TOKENS)
        instruction = shorten(neutralise(instruction), _MAX_QUERY_TOKENS)
        documents = [neutralise(bound(passage, limit)) for passage in passages]
        if served.template == "client":
            halves = [document_half(shorten(document, limit)) for document in documents]
            return rerank_body(query_half(query, instruction), halves, model=self._model)
        return rerank_body(query, documents, model=self._model, instruction=instruction, max_tokens_per_doc=limit)

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """After a failure that a restarted server could explain, the next call looks again; a busy one is as it was."""
        try:
            yield
        except (BackendUnavailable, BackendRejected, BadModelOutput):
            self._served = None
            raise


@contextmanager
def _over_length(max_tokens_per_doc: int) -> Iterator[None]:
    """One document too long fails a whole request, and vLLM does not say which: say what to set."""
    try:
        yield
    except Refused as error:
        if "maximum context length" not in error.said and "max_model_len" not in error.said:
            raise
        raise BackendRejected(
            f"A prompt is too long for the reranker with max_tokens_per_doc {max_tokens_per_doc}: {error.said}",
            hint="Lower max_tokens_per_doc, or serve with a larger --max-model-len: "
            "the prompt around a document takes 72 tokens, the query and the instruction.",
        ) from error


def _logits(probabilities: Mapping[int, float]) -> Mapping[int, float]:
    """The logits of probabilities; numbers that cannot all be probabilities are taken as they are."""
    if any(not 0 <= each <= 1 for each in probabilities.values()):
        return probabilities
    return {place: _logit(each) for place, each in probabilities.items()}


def _logit(probability: float) -> float:
    clipped = min(max(probability, _LEAST_PROBABILITY), 1 - _LEAST_PROBABILITY)
    return math.log(clipped / (1 - clipped))
