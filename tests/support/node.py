"""One Elasticsearch node on 127.0.0.1: its folder, its settings, its process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.distribution import Unavailable, run_as

STOP_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node that lives in a folder of its own; whoever has the folder finds its process again."""

    folder: Path

    @property
    def name(self) -> str:
        """Its name in the cluster."""
        return self.folder.name

    def configure(
        self, home: Path, java: Path, settings: Mapping[str, Any], *, users: Sequence[str], roles: Path | None
    ) -> None:
        """Write its configuration; `users` (`name:password:role`) are made the first time only."""
        config = self.folder / "config"
        fresh = not (config / "elasticsearch.yml").exists()
        for name in ("config/jvm.options.d", "data", "logs", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for file in (home / "config").iterdir():
            if file.is_file() and not (config / file.name).exists():
                shutil.copyfile(file, config / file.name)
        places = {"path.data": str(self.folder / "data"), "path.logs": str(self.folder / "logs")}
        (config / "elasticsearch.yml").write_text(json.dumps({**settings, **places}))  # JSON is YAML
        if roles is not None:
            shutil.copyfile(roles, config / "roles.yml")
        for user in users if fresh else ():
            name, password, role = user.split(":")
            tool = [str(home / "bin" / "elasticsearch-users"), "useradd", name, "-p", password, "-r", role]
            subprocess.run(tool, env=self._environment(java, ""), check=True, capture_output=True)
        self._give_to_its_user()

    def launch(self, home: Path, java: Path, java_options: str) -> subprocess.Popen[bytes]:
        """Start it; the process that comes back ends once the node is up, with a status if it cannot."""
        user = run_as()
        other: dict[str, Any] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        for name in ("pid", "pid.copy"):
            (self.folder / name).unlink(missing_ok=True)
        with (self.folder / "console.log").open("wb") as console:
            return subprocess.Popen(
                [home / "bin" / "elasticsearch", "-d", "-p", self.folder / "pid"],
                cwd=self.folder,
                env=self._environment(java, java_options),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **other,
            )

    def pid(self) -> int | None:
        """Its process, if it runs; a node deletes its pid file long before it has ended, so a copy is kept."""
        for file in (self.folder / "pid", self.folder / "pid.copy"):
            try:
                number = int(file.read_text())
            except (OSError, ValueError):
                continue
            ps = ["ps", "-ww", "-o", "args=", "-p", str(number)]
            process = subprocess.run(ps, capture_output=True, text=True, check=False)
            if f"-Djava.io.tmpdir={self.folder}/tmp" in process.stdout:
                (self.folder / "pid.copy").write_text(str(number))
                return number
        return None

    def send(self, number: signal.Signals) -> None:
        """Send a signal; after SIGKILL return when the process is gone. Raises Unavailable if it does not run."""
        pid = self.pid()
        if pid is None:
            raise Unavailable(f"the node {self.name} does not run")
        os.kill(pid, number)
        if number is signal.SIGKILL:
            _wait_for_end(pid)

    def stop(self) -> None:
        """End it, if it runs."""
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGTERM)
        if not _wait_for_end(pid):
            os.kill(pid, signal.SIGKILL)

    def last_words(self) -> str:
        """What its logs say of errors."""
        logs = [self.folder / "console.log", *self.folder.glob("logs/searchsvc-test-*[0-9].log")]
        lines = [line for log in logs if log.exists() for line in log.read_text(errors="replace").splitlines()]
        telling = [line for line in lines if "ERROR" in line or "xception" in line]
        return " | ".join((telling or lines)[-3:]) or "it said nothing"

    def _environment(self, java: Path, java_options: str) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder / "tmp"),
            "ES_JAVA_HOME": str(java),
            "ES_PATH_CONF": str(self.folder / "config"),
            "ES_TMPDIR": str(self.folder / "tmp"),
            "ES_JAVA_OPTS": java_options,
        }

    def _give_to_its_user(self) -> None:
        user = run_as()
        if user is None:
            return
        for place in (self.folder, *self.folder.rglob("*")):
            os.chown(place, user.pw_uid, user.pw_gid)


def _wait_for_end(pid: int) -> bool:
    until = time.monotonic() + STOP_TIMEOUT_S
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
