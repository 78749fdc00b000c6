"""The writer of docker's limits against a dockerd that answers wrongly: one clear line each time."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rctl.adjust.planning import current
from rctl.adjust.request import Wish
from rctl.adjust.steps import SetThrough
from rctl.adjust.writers import docker, systemd
from rctl.containers.docker_fields import ENDLESS
from rctl.containers.engine_api import Inspected
from rctl.errors import GoneError, NotAvailableError, NotFoundError, RctlError
from tests.unit.test_unix_http import server

ID = "4c01db0b339c" + "0" * 52
PATH = f"/system.slice/docker-{ID}.scope"


@contextmanager
def dockerd(folder: Path, status: int, body: Any, patch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A dockerd that gives this answer to each request; the requests that it got."""
    got: list[bytes] = []
    text = body if isinstance(body, bytes) else json.dumps(body).encode()

    def serve(wire: socket.socket) -> None:
        got.append(wire.recv(65536))
        wire.sendall(b"HTTP/1.0 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(text), text))

    with server(folder, serve) as place:
        patch.setenv("DOCKER_HOST", f"unix://{place}")
        yield got


def config(folder: Path, status: int, body: Any, patch: pytest.MonkeyPatch) -> Any:
    with dockerd(folder, status, body, patch):
        container = docker._container(PATH)
        assert container is not None
        return container.config()


def where(path: str) -> tuple[str, str, int | None]:
    """The container of a cgroup, the socket of its engine, and the user who must have opened that."""
    container = docker._container(path)
    assert container is not None
    return container.id, container.socket, container.uid


def test_the_configuration_of_a_running_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"State": {"Running": True}, "HostConfig": {"Memory": 7}}
    assert config(tmp_path, 200, body, monkeypatch) == {"Memory": 7}


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (200, {"State": {"Running": False}, "HostConfig": {}}, GoneError, "docker start 4c01db0b339c"),
        (200, {"State": {}}, NotAvailableError, "is not docker's"),
        (200, [1], NotAvailableError, "is not docker's"),
        (200, {"State": {"Running": True}, "HostConfig": 3}, NotAvailableError, "is not docker's"),
        (200, b"{", NotAvailableError, "no answer"),
        (404, {"message": f"No such container: {ID}"}, NotFoundError, "docker ps"),
        (409, {"message": f"Cannot update container {ID}: Conflicting\n options"}, RctlError, "Conflicting options"),
        (500, b"", RctlError, "500"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: Any, error: type[RctlError], says: str
) -> None:
    with pytest.raises(error) as failure:
        config(tmp_path, status, body, monkeypatch)
    assert says in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_socket_without_a_server_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    container = docker._container(PATH)
    assert container is not None
    with pytest.raises(NotAvailableError, match=r"none: No such file or directory.*systemctl status docker"):
        container.config()


@pytest.mark.parametrize("host", ["", "tcp://10.0.0.1:2375", "ssh://root@host", "unix://relative"])
def test_only_a_socket_of_this_host_replaces_dockers_own(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    assert where(PATH) == (ID, "/run/docker.sock", None)


def test_whose_container_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    assert where(f"/docker/{ID}") == (ID, "/run/other.sock", None)
    users = f"/user.slice/user-1001.slice/user@1001.service/user.slice/docker-{ID}.scope"
    assert where(users) == (ID, "/run/user/1001/docker.sock", 1001)
    for other in (f"{PATH}/below", f"/machine.slice/libpod-{ID}.scope", f"/kubepods.slice/docker-{ID}.scope"):
        assert docker._container(other) is None


def test_a_limit_that_goes_past_docker_is_named() -> None:
    """Also one that docker could store, such as ``memory.max`` with a time limit."""
    ways = {("memory.max", ""): systemd, ("memory.high", ""): systemd}
    assert current._forgotten(PATH, ways, Wish(PATH, ()), True) == [
        f"{PATH}: docker does not store these limits: memory.max, memory.high. When the container starts again, it has "
        "those that docker stores"
    ]


M = 1 << 20
UPDATED = SetThrough(
    PATH, "memory.max", "max", str(128 * M), writer="docker", kept='{"Memory":0}', own=f'{{"Memory":{128 * M}}}'
)
"""A limit that was set to 128M, where none had been stored."""


class Stopped:
    """A container that does not run, and what dockerd is asked to store for it."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.updates: list[Any] = []

    def inspected(self) -> Inspected:
        return Inspected({"Memory": self.memory}, running=False, version="")

    def update(self, body: Any) -> None:
        self.updates.append(body)


@pytest.mark.parametrize(
    ("memory", "became"),
    [
        (128 * M, "put back"),
        (0, "put back"),  # already
        (ENDLESS, "put back"),  # by an undo that went no further: docker cannot store that there is none
        (256 * M, "changed"),
    ],
)
def test_what_is_stored_for_a_stopped_container_is_put_back_unless_somebody_changed_it(
    monkeypatch: pytest.MonkeyPatch, memory: int, became: str
) -> None:
    container = Stopped(memory)
    monkeypatch.setattr(docker, "_at", lambda path: container)
    assert docker.put_back(PATH, UPDATED) == became
    updates = [{"Memory": ENDLESS, "MemorySwap": -1}] if memory == 128 * M else []
    assert container.updates == updates


def test_nothing_is_put_back_for_a_container_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with dockerd(tmp_path, 404, {"message": f"No such container: {ID}"}, monkeypatch):
        assert docker.put_back(PATH, UPDATED) == "removed"
