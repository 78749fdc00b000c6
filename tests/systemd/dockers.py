"""A container of docker, and dockerd's answers. They come from its socket: docker's own client costs more."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from http.client import HTTPConnection
from typing import Any

from tests.systemd.helpers import done, held

UNSET = {
    "Memory": 0, "MemorySwap": 0, "MemoryReservation": 0, "NanoCpus": 0, "CpuQuota": 0, "CpuPeriod": 0, "CpuShares": 0,
    "CpusetCpus": "", "CpusetMems": "", "PidsLimit": None,
}  # fmt: skip


class _Dockerd(HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/docker.sock")


def dockerd(method: str, path: str) -> Any:
    """dockerd's answer. https://docs.docker.com/reference/api/engine/"""
    wire = _Dockerd("docker")
    try:
        wire.request(method, path)
        answer = wire.getresponse()
        text = answer.read().decode()
    finally:
        wire.close()
    assert answer.status < 400, text
    return json.loads(text) if text else None


class Web:
    """A container named web. ``path``: its cgroup."""

    def __init__(self, *options: str, command: tuple[str, ...] = ("sleep", "1000")) -> None:
        run = ("docker", "run", "-d", "--name", "web", "--network", "none")
        self.id = done(*run, *options, "box", *command).strip()
        self.path = f"/system.slice/docker-{self.id}.scope"

    def stored(self, *names: str) -> Any:
        """What docker has stored for a field, or for several."""
        config = dockerd("GET", f"/containers/{self.id}/json")["HostConfig"]
        return config[names[0]] if len(names) == 1 else {name: config[name] for name in names or UNSET}

    def restart(self) -> None:
        dockerd("POST", f"/containers/{self.id}/restart?t=0")

    def kill(self) -> None:
        dockerd("POST", f"/containers/{self.id}/kill")

    def remove(self) -> None:
        dockerd("DELETE", f"/containers/{self.id}?force=true")

    def files(self, names: Iterable[str]) -> dict[str, str]:
        return {name: held(self.path, name) for name in names}
