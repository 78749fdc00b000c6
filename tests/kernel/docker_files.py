"""A container of docker, as its cgroup and dockerd's file show it, without docker."""

import json
from pathlib import Path

import pytest

from rctl.names import docker

FIRST, SECOND = ("4f1c0a2e5b7d" + digit * 52 for digit in "89")
"""Ids of two containers: the second one is made anew under the name of the first."""


class DockerFiles:
    """The cgroups below ``place``, and dockerd's folder below ``folder``."""

    def __init__(self, place: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(docker, "FOLDER", str(folder))
        self._place, self._folder = place, folder
        (place / "system.slice").mkdir()
        for above in (place, place / "system.slice"):
            (above / "cgroup.subtree_control").write_text("+pids")

    def start(self, number: str, name: str) -> Path:
        """Start a container; returns its cgroup."""
        own = self._folder / "containers" / number
        own.mkdir(parents=True)
        (own / "config.v2.json").write_text(json.dumps({"Name": f"/{name}", "Config": {"Image": "busybox"}}))
        cgroup = self._place / f"system.slice/docker-{number}.scope"
        cgroup.mkdir()
        return cgroup

    def remove(self, number: str) -> None:
        """As ``docker rm``."""
        (self._place / f"system.slice/docker-{number}.scope").rmdir()
        (self._folder / "containers" / number / "config.v2.json").unlink()
        (self._folder / "containers" / number).rmdir()
