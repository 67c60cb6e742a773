"""Indices of one's own on a real Elasticsearch, and documents to fill them."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager

from elasticsearch import AsyncElasticsearch

from searchsvc.documents import Document
from searchsvc.elastic.client import connect
from searchsvc.elastic.engine import ElasticEngine
from searchsvc.forms import plain_query
from searchsvc.model import Deadline, WeightedQuery
from searchsvc.protocols import LoadReport
from tests.support.embedded import analyzer

ENGLISH = re.findall(
    r"\w+",
    """python module import error network router driver windows linux install update password database query index
    container image volume branch merge commit restart service timeout connection memory disk kernel package version""",
)
CHINESE = re.findall(
    r"\w+",
    "导入 失败 网络 不通 空指针 异常 处理 安装 驱动 蓝屏 重启 密码 数据库 查询 索引 容器 镜像 分支 合并 超时 连接",
)


def own_name() -> str:
    """A name that no other test or run uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def elastic_engine(*urls: str) -> AsyncIterator[ElasticEngine]:
    """An engine, closed at the end."""
    engine = ElasticEngine(connect(urls), analyzer())
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def raw_client(*urls: str) -> AsyncIterator[AsyncElasticsearch]:
    """Elasticsearch without our code, to see what is really there."""
    client = connect(urls)
    try:
        yield client
    finally:
        await client.close()


async def delete_indices(url: str, names: Iterable[str]) -> None:
    """Remove the physical indices of these names."""
    names = tuple(names)
    async with elastic_engine(url) as engine, raw_client(url) as client:
        for status in await engine.admin.status():
            if any(status.index.startswith(f"{name}-v1-") for name in names):
                await client.indices.delete(index=status.index)
        for name in names:
            vocabularies = await client.indices.get(index=f"{name}-v1-*-terms-*", expand_wildcards=["open", "hidden"])
            for index in vocabularies.body:
                await client.indices.delete(index=index)


async def fill(engine: ElasticEngine, name: str, documents: Iterable[Document]) -> LoadReport:
    """Load without telling anybody."""
    return await engine.admin.load(name, documents, progress=lambda done: None)


def query(text: str) -> WeightedQuery:
    """What the service makes of a text."""
    return plain_query(text, analyzer().terms(text))


def soon(milliseconds: float = 10_000) -> Deadline:
    """Longer than any call of a test takes, unless it says otherwise."""
    return Deadline.after_ms(milliseconds)


def generated(count: int, *, seed: int = 1, words: Sequence[str] = (*ENGLISH, *CHINESE)) -> Iterator[Document]:
    """Documents whose words are spread as in natural language: a few are everywhere, most are rare."""
    chance = random.Random(seed)
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    for number in range(count):
        drawn = chance.choices(words, weights, k=chance.randint(4, 30))
        yield Document(
            doc_id=f"doc-{number:06d}",
            title=" ".join(drawn[:3]),
            text=" ".join(drawn[3:]),
            lang=("en", "zh")[number % 2],
            tags=(f"tag-{number % 10}", f"tag-{number % 7}"),
            url=f"https://kb.example/{number}",
            updated_at=f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}T12:00:00Z",
            extra={"number": number},
        )
