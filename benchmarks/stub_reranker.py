"""A rerank server that takes a fixed time and no thought, so that a timing shows the service and not a model.

python benchmarks/stub_reranker.py PORT [MILLISECONDS]
"""

from __future__ import annotations

import asyncio
import sys
import zlib

from aiohttp import web


async def _rerank(request: web.Request) -> web.Response:
    body = await request.json()
    await asyncio.sleep(request.app["delay_s"])
    scores = [zlib.crc32((body["query"] + text).encode()) / 2**32 for text in body["documents"]]
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[: body.get("top_n") or None]
    results = [
        {"index": index, "relevance_score": scores[index], "document": {"text": body["documents"][index]}}
        for index in order
    ]
    usage = {"prompt_tokens": 74 * len(scores), "total_tokens": 74 * len(scores)}
    return web.json_response({"id": "stub", "model": "stub", "usage": usage, "results": results})


def main() -> None:
    app = web.Application(client_max_size=64 * 2**20)
    app["delay_s"] = float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.02
    for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
        app.router.add_post(path, _rerank)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
