"""The writer of podman's limits: whose podman it asks, and what it says if that does not answer well."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from msgspec import structs

from rctl.adjust.writers import podman
from rctl.errors import NotAvailableError, RctlError
from rctl.names import users
from tests.unit.test_unix_http import request, server

ID = "4c01db0b339c" + "0" * 52
PATH = f"/machine.slice/libpod-{ID}.scope/container"
USERS = f"/user.slice/user-1001.slice/user@1001.service/user.slice/libpod-{ID}.scope/container"


def test_whose_container_it_is() -> None:
    found = podman._at(PATH)
    assert (found.id, found.socket, found.uid) == (ID, "/run/podman/podman.sock", 0)
    found = podman._at(USERS)
    assert (found.id, found.socket, found.uid) == (ID, "/run/user/1001/podman/podman.sock", 1001)
    with pytest.raises(NotAvailableError, match="no container of podman"):
        podman._at("/system.slice/nginx.service")


def test_a_note_says_how_limits_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman.unix_http, "listens", lambda _: False)
    assert podman.to_store(PATH, ["memory.max"]).endswith("listens: systemctl enable --now podman.socket")
    monkeypatch.setattr(users, "by_uid", lambda uid: users.User(uid, "alice"))
    assert podman.to_store(USERS, ["memory.max"]).endswith("as user alice: systemctl --user enable --now podman.socket")
    assert podman.to_store(PATH, ["io.max"]) == ""
    monkeypatch.setattr(podman.unix_http, "listens", lambda _: True)
    assert podman.to_store(PATH, ["memory.max"]) == ""


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            b"HTTP/1.0 500 X\r\n\r\n" + b'{"message":"crun\\n failed"}',
            "podman refuses to update 4c01db0b339c: crun failed",
        ),
        (b'HTTP/1.0 404 X\r\n\r\n{"message":"no such container"}', "See podman ps"),
        (b"nonsense", "no answer at"),
        (b"HTTP/1.0 500 X\r\n\r\n" + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_one_line(answer: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(wire: socket.socket) -> None:
        request(wire, 2)
        wire.sendall(answer)

    with server(tmp_path, serve) as place:
        container = structs.replace(podman._at(PATH), socket=place, uid=os.getuid())
        with pytest.raises(RctlError) as failure:
            container.update({})
    assert says in str(failure.value)
    assert "\n" not in str(failure.value)


def test_an_update_that_succeeded_has_no_json(tmp_path: Path) -> None:
    def serve(wire: socket.socket) -> None:
        request(wire, 2)
        wire.sendall(f"HTTP/1.0 201 Created\r\n\r\n{ID}".encode())

    with server(tmp_path, serve) as place:
        structs.replace(podman._at(PATH), socket=place, uid=os.getuid()).update({})


@pytest.mark.parametrize(
    ("text", "stores"), [("5.4.2", True), ("5.10.0", True), ("6.0.0-rc1", True), ("5.3.9", False), ("4.3.1", False),
                         ("", False), ("\u00b2.1", False), ("9" * 9999, True)],
)  # fmt: skip
def test_versions_that_store_updates(text: str, stores: bool) -> None:
    assert (podman._version(text) >= podman.SINCE) is stores


@pytest.mark.parametrize("config", [{"CpusetCpus": 3}, {"PidsLimit": "x"}, {"CgroupConf": {"memory.min": 1}}])
def test_fields_of_a_wrong_type_are_not_podmans(config: dict[str, object]) -> None:
    with pytest.raises(NotAvailableError, match="is not podman's"):
        podman._checked(podman._at(PATH), config)


def test_what_podman_knows_of_a_container_and_its_version(tmp_path: Path) -> None:
    def serve(wire: socket.socket) -> None:
        got.append(request(wire))
        wire.sendall(b"HTTP/1.0 200 OK\r\nLibpod-Api-Version: 5.4.2\r\n\r\n")
        wire.sendall(b'{"State": {"Running": true}, "HostConfig": {"Memory": 7}}')

    got: list[bytes] = []
    with server(tmp_path, serve) as place:
        found = structs.replace(podman._at(PATH), socket=place, uid=os.getuid()).inspected()
    assert (found.config, found.running, found.version) == ({"Memory": 7}, True, "5.4.2")
    assert got[0].startswith(f"GET /v5.0.0/libpod/containers/{ID}/json HTTP/1.0\r\n".encode())
