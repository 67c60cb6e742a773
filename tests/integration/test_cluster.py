"""Three nodes under search load, of which one is killed, ended or paused: what a search answers meanwhile."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from searchsvc.elastic.engine import ElasticEngine
from searchsvc.errors import BackendTimeout, BackendUnavailable, StageError
from searchsvc.model import Deadline
from tests.conftest import StartNodes
from tests.support.elastic import elastic_engine, fill, generated, query, raw_client
from tests.support.elasticsearch import LocalCluster
from tests.support.node import Node
from tests.support.requests import wanted

pytestmark = [pytest.mark.es, pytest.mark.cluster]

NAME = "documents"
COUNT = 3000
TEXTS = ("python module", "网络 不通", "null 空指针 异常", "database query 超时", "install windows", "kernel 驱动")
SEARCHERS = 6
DEADLINE_MS = 2000
SLACK_MS = 500
"""For the test machine: three nodes and the searchers share its cores."""

Answers = dict[str, list[tuple[str, float]]]


@dataclass(slots=True)
class Log:
    """What the searchers were told."""

    full: int = 0
    partial: int = 0
    wrong: list[str] = field(default_factory=list)
    errors: list[StageError] = field(default_factory=list)
    worst_ms: float = 0.0


@pytest.fixture(scope="module")
def cluster(start_nodes: StartNodes) -> LocalCluster:
    started = start_nodes(nodes=3)
    asyncio.run(_load(started))
    return started


async def _load(cluster: LocalCluster) -> None:
    async with elastic_engine(*cluster.urls) as engine:
        report = await fill(engine, NAME, generated(COUNT))
        assert (report.loaded, report.live) == (COUNT, True)
    await asyncio.to_thread(wait_for_green, cluster)


def wait_for_green(cluster: LocalCluster) -> None:
    """Until every copy of every shard is there."""
    until = time.monotonic() + 60
    while (cluster.health() or {}).get("status") != "green":
        assert time.monotonic() < until
        time.sleep(0.2)


async def holder(cluster: LocalCluster) -> Node:
    """The node that has the primary shard."""
    async with raw_client(*cluster.urls) as client:
        shards = await client.cat.shards(index=f"{NAME}-v1-*,-*-terms-*", format="json")
    (name,) = {shard["node"] for shard in shards.body if shard["prirep"] == "p"}
    return next(node for node in cluster.nodes if node.name == name)


async def search(engine: ElasticEngine, text: str) -> tuple[list[tuple[str, float]], str]:
    """What the service does for a search, inside one deadline; and what it says of missing parts."""
    deadline = Deadline.after_ms(DEADLINE_MS)
    opened = await engine.open(NAME)
    found = await opened.retriever.retrieve(wanted(query(text), top_k=20, deadline=deadline))
    return [(each.doc_id, each.score) for each in found.ranking], found.partial


async def keep_searching(engine: ElasticEngine, truth: Answers, log: Log, ended: asyncio.Event) -> None:
    number = 0
    while not ended.is_set():
        text = TEXTS[number % len(TEXTS)]
        number += 1
        started = time.monotonic()
        try:
            answer, partial = await search(engine, text)
        except StageError as error:
            log.errors.append(error)
        else:
            if partial:
                log.partial += 1
            elif answer == truth[text]:
                log.full += 1
            else:
                log.wrong.append(text)
        log.worst_ms = max(log.worst_ms, (time.monotonic() - started) * 1000)
        await asyncio.sleep(0.02)


@asynccontextmanager
async def under_load(cluster: LocalCluster) -> AsyncIterator[Log]:
    """Searchers run in the block, against what they should find."""
    async with elastic_engine(*cluster.urls) as engine:
        truth = {text: (await search(engine, text))[0] for text in TEXTS}
        assert all(len(answer) == 20 for answer in truth.values())
        log, ended = Log(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(SEARCHERS):
                group.create_task(keep_searching(engine, truth, log, ended))
            await asyncio.sleep(1)
            assert (log.partial, log.wrong, log.errors) == (0, [], [])
            yield log
            ended.set()


def check(log: Log, *, errors_of: float) -> None:
    """Nothing wrong (a partial answer that does not say so would be), nothing late, few errors per answer."""
    assert log.wrong == []
    assert log.worst_ms < DEADLINE_MS + SLACK_MS
    assert all(isinstance(error, BackendTimeout | BackendUnavailable) for error in log.errors)
    assert len(log.errors) <= errors_of * log.full


async def recovered(cluster: LocalCluster) -> None:
    """The cluster is whole again, and so are its answers."""
    await asyncio.to_thread(cluster.start)
    await asyncio.to_thread(wait_for_green, cluster)
    async with under_load(cluster) as log:
        await asyncio.sleep(1)

    assert (log.partial, log.wrong, log.errors) == (0, [], [])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
async def test_a_node_that_goes_away_costs_no_answer(cluster: LocalCluster, number: signal.Signals) -> None:
    node = await holder(cluster)
    async with under_load(cluster) as log:
        node.send(number)
        await asyncio.sleep(8)

    check(log, errors_of=0.01)
    await recovered(cluster)


async def test_a_node_that_hangs_costs_time_but_no_deadline(cluster: LocalCluster) -> None:
    node = await holder(cluster)
    async with under_load(cluster) as log:
        node.send(signal.SIGSTOP)
        await asyncio.sleep(12)
        node.send(signal.SIGCONT)
        await asyncio.sleep(3)

    check(log, errors_of=0.1)
    await recovered(cluster)
