"""Shared fixtures: a clean environment, a real Elasticsearch, the test equipment; and what could not be tested, said.

An Elasticsearch is started at most once in a run, when the first test asks for it.
Where none can be had its tests are skipped and the closing lines say so; with CI=true they fail.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.distribution import Unavailable
from tests.support.elasticsearch import LocalCluster, one_node

NO_ELASTICSEARCH = "no Elasticsearch: "
NO_EQUIPMENT = "no test equipment: "

# a busy machine is no failure; 40 examples in a run, and every run tries others
settings.register_profile("searchsvc", deadline=None, max_examples=40)
settings.load_profile("searchsvc")

StartNodes = Callable[..., LocalCluster]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the person who runs the tests must not decide how they end."""
    for name in os.environ:
        if name.startswith("SEARCHSVC_") and not name.startswith("SEARCHSVC_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def es_url() -> Iterator[str]:
    """The address of one real Elasticsearch node, shared by the whole run: use names of your own for indices."""
    with ExitStack() as stack:
        with _or_go_without():
            url = stack.enter_context(one_node())
        yield url


@pytest.fixture(scope="module")
def start_nodes() -> Iterator[StartNodes]:
    """Starts nodes of one's own, which may be killed (arguments of LocalCluster); they end with the module."""
    clusters: list[LocalCluster] = []

    def start(**options: Any) -> LocalCluster:
        with _or_go_without():
            cluster = LocalCluster(**options)
            clusters.append(cluster)
            cluster.start()
        return cluster

    yield start
    for cluster in clusters:
        cluster.stop()


@pytest.fixture(scope="session")
def equipment() -> Path:
    """The folder of heavy test equipment: data, a model server, wheels."""
    given = os.environ.get("SEARCHSVC_TEST_EQUIPMENT")
    if not given:
        pytest.skip(f"{NO_EQUIPMENT}SEARCHSVC_TEST_EQUIPMENT is not set")
    folder = Path(given)
    if not folder.is_dir():
        pytest.fail(f"SEARCHSVC_TEST_EQUIPMENT={given} is not a folder", pytrace=False)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name in capitals what was not tested."""
    skipped = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()) if report.longrepr]
    for what, mark in (("ELASTICSEARCH", NO_ELASTICSEARCH), ("THE TEST EQUIPMENT", NO_EQUIPMENT)):
        reasons = Counter(reason.partition(mark)[2] for reason in skipped if mark in reason)
        for reason, count in reasons.items():
            terminalreporter.write_line(f"{count} TESTS SKIPPED FOR WANT OF {what}: {reason}", yellow=True, bold=True)


@contextmanager
def _or_go_without() -> Iterator[None]:
    """Skip, or in CI fail, the tests that need an Elasticsearch which cannot be had."""
    reason = ""
    try:
        yield
    except Unavailable as why:
        reason = f"{NO_ELASTICSEARCH}{why}"
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    if reason:
        pytest.skip(reason)
