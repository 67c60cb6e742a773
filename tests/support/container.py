"""Elasticsearch in a container, where there is a Docker daemon."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.support.distribution import VERSION, Unavailable

IMAGE = f"elasticsearch:{VERSION}"
START_TIMEOUT_S = 180


def docker_answers() -> bool:
    """Whether `docker info` succeeds: a client alone starts nothing."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        return subprocess.run([docker, "info"], capture_output=True, timeout=10, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@contextmanager
def container() -> Iterator[str]:
    """The address of one node in a container that goes away at the end. Raises Unavailable."""
    with ExitStack() as stack:
        url = _started(stack)
        until = time.monotonic() + START_TIMEOUT_S
        while not answers(url):
            if time.monotonic() > until:
                raise Unavailable(f"the container of {IMAGE} does not answer at {url}")
            time.sleep(0.3)
        yield url


def _started(stack: ExitStack) -> str:
    """The address of a container that `stack` will remove."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn of their own deprecations
        from docker.errors import DockerException
        from testcontainers.core.container import DockerContainer
    try:
        node = (
            DockerContainer(IMAGE)
            .with_env("discovery.type", "single-node")
            .with_env("xpack.security.enabled", "false")
            .with_env("cluster.routing.allocation.disk.threshold_enabled", "false")
            .with_env("ES_JAVA_OPTS", "-Xms512m -Xmx512m")
            .with_exposed_ports(9200)
        )
        stack.enter_context(node)
        return f"http://{node.get_container_host_ip()}:{node.get_exposed_port(9200)}"
    except (DockerException, OSError, RuntimeError) as error:  # no image and no registry, no room, no network
        raise Unavailable(f"no container of {IMAGE} can be started: {error}") from error


def answers(url: str) -> bool:
    """Whether a cluster answers there."""
    try:
        with urllib.request.urlopen(f"{url}/_cluster/health", timeout=2) as reply:
            return reply.status == 200
    except OSError:
        return False
