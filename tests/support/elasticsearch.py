"""A real Elasticsearch for tests, benchmarks and a look by hand: one node on this machine, or three that can be killed.

    python -m tests.support.elasticsearch start [--port 9200] [--nodes 3] [--users NAME:PASSWORD:ROLE …] [--roles FILE]
    python -m tests.support.elasticsearch stop [--port 9200]
    python -m tests.support.elasticsearch status [--port 9200] [--nodes 3]

`start` prints the addresses on stdout, comma-separated, and leaves the nodes running; their data outlives `stop`.
Needs Java 17 and, the first time, Maven. Every node listens on 127.0.0.1 only.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from tests.support.container import answers, container, docker_answers
from tests.support.distribution import Unavailable, cache_dir, distribution, java_home, locked
from tests.support.node import STOP_TIMEOUT_S, Node

START_TIMEOUT_S = 180
TRANSPORT_OFFSET = 100
"""Node n of a cluster on PORT speaks HTTP on PORT + n, and to the other nodes on PORT + 100 + n."""


class LocalCluster:
    """Nodes of one cluster, started from the published distribution.

    Stops only what it started. Nodes whose owner died without stopping them are stopped by the next start of any.
    """

    def __init__(
        self, *, nodes: int = 1, port: int | None = None, users: Sequence[str] = (), roles: Path | None = None
    ) -> None:
        """`users`: `name:password:role`, passwords of 6 characters or more; they switch security on (file realm),
        and the first must be allowed to read the health. `port` None: any free ones, and the data goes at the end.
        """
        self._users = tuple(users)
        self._roles = roles
        self._port = _free_port(nodes) if port is None else port
        self._kept = port is not None
        self._folder = cache_dir() / "nodes" / str(self._port)
        self._owned: IO[str] | None = None
        self.nodes = tuple(Node(folder=self._folder / f"n{number}") for number in range(nodes))

    @property
    def urls(self) -> tuple[str, ...]:
        """The address of every node."""
        return tuple(f"http://127.0.0.1:{self._port + number}" for number in range(len(self.nodes)))

    def start(self) -> None:
        """Start the nodes that do not run, and wait until every node sees all the others. Raises Unavailable."""
        java, home = java_home(), distribution()
        with locked(cache_dir() / "start.lock"):
            _stop_abandoned()
            if len(self._folders()) not in (0, len(self.nodes)):
                self.stop()  # an earlier cluster of another size: its data does not fit
                shutil.rmtree(self._folder)
            self._own()
        missing = [number for number, node in enumerate(self.nodes) if node.pid() is None]
        taken = [number for number in missing if not _is_free(self._port + number)]
        if taken:
            raise Unavailable(f"the port {self._port + taken[0]} is in use by something else")
        for number in missing:
            settings = self._settings(number)
            self.nodes[number].configure(home, java, settings, users=self._users, roles=self._roles)
        launchers = [self.nodes[number].launch(home, java, self._java_options()) for number in missing]
        try:
            self.wait(launchers)
        except Unavailable:
            self.stop()
            raise

    def wait(self, launchers: Sequence[subprocess.Popen[bytes]] = ()) -> None:
        """Wait until every node sees all the others and no index is red. Raises Unavailable."""
        until = time.monotonic() + START_TIMEOUT_S
        for number, node in enumerate(self.nodes):
            while not self._is_well(number):
                if time.monotonic() > until or any(launcher.poll() for launcher in launchers):
                    raise Unavailable(f"the node {node.name} does not start: {node.last_words()}")
                time.sleep(0.2)
        for launcher in launchers:
            launcher.wait(STOP_TIMEOUT_S)

    def stop(self) -> None:
        """End all nodes."""
        for folder in self._folders():
            Node(folder=folder).stop()
        if not self._kept:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._owned is not None:
            self._owned.close()
            self._owned = None

    def health(self, number: int = 0) -> dict[str, Any] | None:
        """The cluster's health as one node tells it; None without an answer."""
        request = urllib.request.Request(f"{self.urls[number]}/_cluster/health")
        if self._users:
            credentials = self._users[0].rpartition(":")[0]
            request.add_header("Authorization", "Basic " + base64.b64encode(credentials.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=2) as reply:
                health: dict[str, Any] = json.load(reply)
                return health
        except (OSError, ValueError):
            return None

    def _is_well(self, number: int) -> bool:
        health = self.health(number)
        return health is not None and health["number_of_nodes"] == len(self.nodes) and health["status"] != "red"

    def _java_options(self) -> str:
        """Half the time to start for nodes that live as long as a test; those that are kept get the full compiler."""
        heap = "512m" if len(self.nodes) == 1 else "256m"
        return f"-Xms{heap} -Xmx{heap}" + ("" if self._kept else " -XX:TieredStopAtLevel=1")

    def _folders(self) -> list[Path]:
        return sorted(self._folder.glob("n?"))

    def _own(self) -> None:
        """Hold a lock on the folder as long as this process lives, unless the nodes are to outlive it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._kept and self._owned is None:
            self._owned = (self._folder / "owner.lock").open("w")
            fcntl.flock(self._owned, fcntl.LOCK_EX)

    def _settings(self, number: int) -> dict[str, Any]:
        ports = [self._port + TRANSPORT_OFFSET + each for each in range(len(self.nodes))]
        together: dict[str, Any] = {
            "discovery.seed_hosts": [f"127.0.0.1:{port}" for port in ports],
            "cluster.initial_master_nodes": [node.name for node in self.nodes],
        }
        return {
            "cluster.name": f"searchsvc-test-{self._port}",
            "node.name": self.nodes[number].name,
            "network.host": "127.0.0.1",
            "http.port": self._port + number,
            "transport.port": ports[number],
            "xpack.security.enabled": bool(self._users),
            "xpack.security.http.ssl.enabled": False,
            "xpack.security.transport.ssl.enabled": False,
            # the disk of a developer's machine may be nearly full: that must not stop the tests
            "cluster.routing.allocation.disk.threshold_enabled": False,
            **({"discovery.type": "single-node"} if len(self.nodes) == 1 else together),
        }


@contextmanager
def one_node() -> Iterator[str]:
    """The address of one real node: SEARCHSVC_TEST_ES_URL, else a container, else a local node. Raises Unavailable."""
    given = os.environ.get("SEARCHSVC_TEST_ES_URL")
    if given:
        if not answers(given):
            raise Unavailable(f"nothing answers at SEARCHSVC_TEST_ES_URL={given}")
        yield given
        return
    with ExitStack() as stack:
        yield _container_or_local_node(stack)


def _container_or_local_node(stack: ExitStack) -> str:
    """The address of a node that `stack` will end."""
    no_container = ""
    if docker_answers():
        try:
            return stack.enter_context(container())
        except Unavailable as why:
            no_container = f"{why}; "
    cluster = LocalCluster()
    stack.callback(cluster.stop)
    try:
        cluster.start()
    except Unavailable as why:
        raise Unavailable(f"{no_container}{why}") from why
    return cluster.urls[0]


def _free_port(nodes: int) -> int:
    """A port such that all those of a cluster on it are free; below the ones that systems hand out by themselves."""
    for port in random.sample(range(20_000, 30_000, 10), 50):
        if all(_is_free(port + offset + number) for offset in (0, TRANSPORT_OFFSET) for number in range(nodes)):
            return port
    raise Unavailable("no free ports between 20000 and 30000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _stop_abandoned() -> None:
    for lock in (cache_dir() / "nodes").glob("*/owner.lock"):
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its owner lives
            for folder in lock.parent.glob("n?"):
                Node(folder=folder).stop()
            shutil.rmtree(lock.parent, ignore_errors=True)


def main() -> int:
    """The command line; the exit status is 1 unless all nodes run (start, status)."""
    parser = argparse.ArgumentParser(description="A real Elasticsearch on this machine, for tests.")
    parser.add_argument("command", choices=["start", "stop", "status"])
    parser.add_argument("--port", type=int, default=9200)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--users", nargs="*", default=(), metavar="NAME:PASSWORD:ROLE")
    parser.add_argument("--roles", type=Path)
    options = parser.parse_args()
    cluster = LocalCluster(nodes=options.nodes, port=options.port, users=options.users, roles=options.roles)
    if options.command == "stop":
        cluster.stop()
        return 0
    if options.command == "start":
        try:
            cluster.start()
        except Unavailable as why:
            sys.stderr.write(f"No Elasticsearch: {why}.\n")
            return 1
    running = [url for url, node in zip(cluster.urls, cluster.nodes, strict=True) if node.pid() is not None]
    sys.stdout.write(",".join(running) + "\n")
    return 0 if len(running) == len(cluster.nodes) else 1


if __name__ == "__main__":
    sys.exit(main())
