"""Finds out, by asking it, how a rerank server was started: which endpoint, whose template, what kind of scores.

A reranker that is served without its template answers 200 with scores that mean little, so nothing is assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from yarl import URL

from searchsvc.errors import BackendRejected
from searchsvc.inference.client import ModelServer, Refused
from searchsvc.inference.urls import public, rerank_urls
from searchsvc.inference.wire import RerankAnswer, read_rerank, rerank_body
from searchsvc.model import Deadline

Template = Literal["auto", "server", "client"]
"""Who puts the texts into the prompt of the model: `auto` leaves it to the server if it does so."""

TEMPLATED_TOKENS = 60
"""Qwen3-Reranker's prompt makes 74 tokens of the probe, with another instruction or system sentence a few less."""
BARE_TOKENS = 3
"""Without any prompt the probe is 1 token, 2 to an embedding server, 3 if the two texts are joined by a separator."""
_EMBEDDER_COSINE = 0.9999

_FLAGS = (
    "Start vLLM with --runner pooling --convert classify and --hf-overrides "
    '\'{"architectures":["Qwen3ForSequenceClassification"],"classifier_from_token":["no","yes"],'
    '"is_original_qwen3_reranker":true}\'.'
)
_TEMPLATE_FLAG = "Start vLLM with --chat-template qwen3_reranker.jinja, or set the template to auto."


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How a rerank server was found to work."""

    url: URL
    template: Literal["server", "client"]
    """Who renders the prompt from now on."""
    logits: bool
    """The server gives logits as asked; False: it gives probabilities all the same."""
    model: str
    """As answered."""
    prompt_tokens: int | None
    """Of the probe: 74 with Qwen3-Reranker's template, 1 without."""


async def look(server: ModelServer, *, model: str | None, template: Template, deadline: Deadline) -> Served:
    """Ask `server` two or three tiny questions.

    Raises BackendRejected, with what to start differently, if it is no reranker or not as `template` demands; else
    StageError.
    """
    url, answer = await _first_endpoint(server, model, deadline)
    if answer.prompt_tokens is not None and answer.prompt_tokens <= BARE_TOKENS:
        await _refuse_embedder(server, url, model, deadline)
    return Served(
        url=url,
        template=_who_renders(template, answer.prompt_tokens, public(url)),
        logits=await _gives_logits(server, url, model, answer.scores[0], deadline),
        model=answer.model,
        prompt_tokens=answer.prompt_tokens,
    )


async def _first_endpoint(server: ModelServer, model: str | None, deadline: Deadline) -> tuple[URL, RerankAnswer]:
    missing = ""
    for url in rerank_urls(server.base):
        try:
            answer = await server.post(url, rerank_body("q", ["d"], model=model), deadline=deadline)
        except Refused as error:
            if error.status not in {404, 405} or (model is not None and model in error.said):
                raise
            missing = error.message
            continue
        return url, read_rerank(answer, documents=1)
    raise BackendRejected(f"{missing}. The model is served, but not as a reranker: as a text generator?", hint=_FLAGS)


async def _refuse_embedder(server: ModelServer, url: URL, model: str | None, deadline: Deadline) -> None:
    """An embedding server answers with the cosine of the two texts, which is 1 for equal ones."""
    body: dict[str, Any] = rerank_body("d", ["d"], model=model, activation=True)
    score = read_rerank(await server.post(url, body, deadline=deadline), documents=1).scores[0]
    if score >= _EMBEDDER_COSINE:
        raise BackendRejected(f"{public(url)} compares embeddings, it is not a reranker.", hint=_FLAGS)


async def _gives_logits(server: ModelServer, url: URL, model: str | None, score: float, deadline: Deadline) -> bool:
    """Whether `score`, for which logits were asked, is one; a number outside 0 to 1 is."""
    if not 0 <= score <= 1:
        return True
    body = rerank_body("q", ["d"], model=model, activation=True)
    activated = read_rerank(await server.post(url, body, deadline=deadline), documents=1).scores[0]
    return abs(activated - 1 / (1 + math.exp(-score))) < abs(activated - score)


def _who_renders(template: Template, tokens: int | None, where: str) -> Literal["server", "client"]:
    bare = tokens is not None and tokens <= BARE_TOKENS
    if template == "server" and bare:
        raise BackendRejected(
            f"{where} scores bare texts: it was started without --chat-template.", hint=_TEMPLATE_FLAG
        )
    if template == "client" and tokens is not None and tokens >= TEMPLATED_TOKENS:
        raise BackendRejected(
            f"{where} has a template of its own: rendering the prompt here too would score a prompt inside a prompt.",
            hint="Set the template to auto or server.",
        )
    return "client" if bare or template == "client" else "server"
