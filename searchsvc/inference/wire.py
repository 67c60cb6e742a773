"""The rerank call on the wire (vLLM, Jina, Cohere: one shape); its answer is believed only whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searchsvc.errors import BadModelOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankAnswer:
    """One score per document that was asked for."""

    scores: Mapping[int, float]
    """By the document's place in the request."""
    model: str
    """As answered; empty if the server does not say."""
    prompt_tokens: int | None
    """Of all documents together, after the server's template; None if the server does not say."""


def rerank_body(
    query: str, documents: Sequence[str], *, model: str | None, activation: bool = False, **fields: Any
) -> dict[str, Any]:
    """The request; `activation` False asks for logits, which a server may ignore."""
    body = {"query": query, "documents": list(documents), "use_activation": activation, **fields}
    return body if model is None else {**body, "model": model}


def read_rerank(answer: Mapping[str, Any], *, documents: int, top_n: int | None = None) -> RerankAnswer:
    """The scores of an answer to a request with that many documents, of which the `top_n` best were asked for.

    Raises BadModelOutput unless so many documents, or all, have exactly one finite score.
    """
    results = answer.get("results")
    if not isinstance(results, list):
        raise BadModelOutput("The reranker answered without a list of results.")
    scores: dict[int, float] = {}
    for result in results:
        index, score = _result(result)
        if not 0 <= index < documents:
            raise BadModelOutput(f"The reranker scored document {index} of {documents}.")
        if index in scores:
            raise BadModelOutput(f"The reranker scored document {index} twice.")
        scores[index] = score
    wanted = documents if top_n is None else min(top_n, documents)
    if len(scores) not in {wanted, documents}:
        raise BadModelOutput(f"The reranker scored {len(scores)} of {wanted} documents.")
    model, usage = answer.get("model"), answer.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return RerankAnswer(
        scores=scores,
        model=model if isinstance(model, str) else "",
        prompt_tokens=tokens if isinstance(tokens, int) and not isinstance(tokens, bool) else None,
    )


def _result(result: Any) -> tuple[int, float]:
    if not isinstance(result, dict):
        raise BadModelOutput("The reranker answered a result that is no object.")
    index, score = result.get("index"), result.get("relevance_score")
    if not isinstance(index, int) or isinstance(index, bool):
        raise BadModelOutput("The reranker answered a result without an index.")
    if not isinstance(score, int | float) or isinstance(score, bool) or not math.isfinite(score):
        raise BadModelOutput(f"The reranker's score of document {index} is no finite number.")
    return index, float(score)
