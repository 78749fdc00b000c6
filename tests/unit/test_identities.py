"""Names of containers, pods and users, from the files that their managers keep. What cannot be read has its id."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rctl import bounded
from rctl.names import users
from rctl.names.called import Called
from rctl.names.docker import Docker
from rctl.names.identities import Identities, Identity
from rctl.names.kubelet import Kubelet, PodName
from rctl.names.owners import owner_of
from rctl.names.podman import Podman

WEB = "4f1c0a2e5b7d8c9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70"
DB = WEB[::-1]
UID = "3f5e1a2b-4c6d-7e8f-9a0b-1c2d3e4f5a6b"
POD = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + UID.replace("-", "_") + ".slice"
STORAGE = "var/lib/containers/storage"
SCOPE = f"/machine.slice/libpod-{WEB}.scope"


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def docker_file(root: Path, id_: str = WEB, name: str = "/web", image: str = "nginx:1.27") -> Path:
    """As dockerd writes it, with a few of its other keys."""
    config = {"StreamConfig": {}, "State": {"Running": True, "Pid": 812}, "ID": id_, "Created": "2026-01-02T03:04:05Z"}
    config |= {"Image": "sha256:aa", "Config": {"Hostname": id_[:12], "Image": image, "Labels": {}}, "Name": name}
    return write(root / f"var/lib/docker/containers/{id_}/config.v2.json", json.dumps(config))


def podman_entry(id_: str = WEB, name: str = "web", image: str = "docker.io/library/nginx:1.27") -> dict[str, Any]:
    """As containers/storage writes it; the metadata is podman's."""
    metadata = {"image-name": image, "image-id": "ab" * 32, "name": name, "created-at": 1767326645}
    return {"id": id_, "names": [name], "image": "ab" * 32, "layer": "cd" * 32, "metadata": json.dumps(metadata)}


def podman_file(root: Path, *entries: dict[str, Any], file: str = "overlay-containers/containers.json") -> Path:
    return write(root / STORAGE / file, json.dumps(list(entries)))


def identity(root: Path, path: str, inner: bool = False, home: str = "/home/bob") -> Identity:
    return Identities(root=str(root), home=lambda uid: home).of(owner_of(path, lambda _: False), inner)


@pytest.fixture(autouse=True)
def bob(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {1001: users.User(1001, "bob", "/home/bob")}
    monkeypatch.setattr(users, "by_uid", lambda uid: known.get(uid, users.User(uid, str(uid))))


def test_a_container_of_docker_has_its_name_and_image(tmp_path: Path) -> None:
    docker_file(tmp_path)
    expected = Identity("docker:web", "docker", f"docker-{WEB}.scope", "web", "nginx:1.27")
    assert identity(tmp_path, f"/system.slice/docker-{WEB}.scope") == expected
    assert identity(tmp_path, f"/docker/{WEB}") == msgspec.structs.replace(expected, unit="")


def test_dockerd_may_keep_its_data_elsewhere(tmp_path: Path) -> None:
    docker_file(tmp_path / "srv")
    write(tmp_path / "etc/docker/daemon.json", '{"data-root": "/srv/var/lib/docker", "log-driver": "local"}')
    assert Docker(root=str(tmp_path)).called(WEB) == Called("web", "nginx:1.27")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"Name": 5}', '{"Name": "/"}', '{"Name": "/../etc"}', '{"Name": "/a\\nb"}', b"\xff\xfe", "9" * 20],
)
def test_what_is_broken_leaves_the_id(tmp_path: Path, text: str | bytes) -> None:
    write(docker_file(tmp_path), text)
    assert identity(tmp_path, f"/system.slice/docker-{WEB}.scope").name == f"docker:{WEB[:12]}"
    write(podman_file(tmp_path), text)
    assert identity(tmp_path, SCOPE).name == f"podman:{WEB[:12]}"


def test_what_is_missing_leaves_the_id(tmp_path: Path) -> None:
    shown = identity(tmp_path, f"/system.slice/docker-{WEB}.scope")
    assert (shown.name, shown.container, shown.image) == (f"docker:{WEB[:12]}", WEB[:12], "")
    assert identity(tmp_path, SCOPE).name == f"podman:{WEB[:12]}"
    assert identity(tmp_path, POD).name == f"pod:{UID}"
    assert identity(tmp_path, f"{POD}/cri-containerd-{WEB}.scope").name == f"pod:{UID}/{WEB[:12]}"


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "huge"])
def test_no_file_of_another_kind_is_read(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = podman_file(tmp_path, podman_entry())
    if kind == "huge":
        monkeypatch.setattr(bounded.content, "__defaults__", (16,))
    else:
        kept = file.rename(file.with_name("kept"))
        {"fifo": lambda: os.mkfifo(file), "folder": file.mkdir, "link": lambda: file.symlink_to(kept)}[kind]()
    assert identity(tmp_path, SCOPE).name == f"podman:{WEB[:12]}"


def test_a_container_of_podman_has_its_name_and_image(tmp_path: Path) -> None:
    podman_file(tmp_path, podman_entry(DB, "db", "postgres:17"), podman_entry())
    expected = Identity("podman:web", "podman", f"libpod-{WEB}.scope", "web", "docker.io/library/nginx:1.27")
    assert identity(tmp_path, SCOPE) == expected
    assert identity(tmp_path, f"/libpod_parent/libpod-{WEB}") == msgspec.structs.replace(expected, unit="")


@pytest.mark.parametrize(
    "file",
    [
        "overlay-containers/volatile-containers.json",
        "vfs-containers/containers.json",
        "btrfs-containers/containers.json",
    ],
)
def test_podman_has_other_lists_and_other_drivers(tmp_path: Path, file: str) -> None:
    podman_file(tmp_path, podman_entry(DB, "db"))
    podman_file(tmp_path, podman_entry(), file=file)
    assert identity(tmp_path, SCOPE).name == "podman:web"


def test_podmans_storage_may_lie_elsewhere(tmp_path: Path) -> None:
    podman_file(tmp_path / "srv", podman_entry())
    write(tmp_path / "etc/containers/storage.conf", f'[storage]\ndriver = "overlay"\n  graphroot = "/srv/{STORAGE}"\n')
    assert identity(tmp_path, SCOPE).name == "podman:web"


def test_cruns_inner_cgroup_has_the_containers_name_and_its_scope_the_path(tmp_path: Path) -> None:
    podman_file(tmp_path, podman_entry())
    assert identity(tmp_path, f"{SCOPE}/container").name == "podman:web"
    assert identity(tmp_path, SCOPE, inner=True).name == SCOPE
    assert identity(tmp_path, f"{SCOPE}/container/sub").name == f"{SCOPE}/container/sub"


def test_a_users_own_container_has_the_user_before_its_name(tmp_path: Path) -> None:
    write(
        tmp_path / "home/bob/.local/share/containers/storage/overlay-containers/containers.json",
        json.dumps([podman_entry()]),
    )
    podman_file(tmp_path, podman_entry(name="of-root"))
    path = f"/user.slice/user-1001.slice/user@1001.service/user.slice/libpod-{WEB}.scope/container"
    assert identity(tmp_path, path).name == "podman:bob/web"
    write(tmp_path / f"home/bob/.local/share/docker/containers/{DB}/config.v2.json", '{"Name": "/db"}')
    assert identity(tmp_path, path.replace("libpod", "docker").replace(WEB, DB)).name == "docker:bob/db"


def test_a_list_is_read_again_when_an_unknown_id_turns_up(tmp_path: Path) -> None:
    podman_file(tmp_path, podman_entry())
    storage = Podman(root=str(tmp_path))
    assert storage.called(WEB).name == "web"
    assert storage.called(DB).name == ""
    podman_file(tmp_path, podman_entry(), podman_entry(DB, "db"))
    assert storage.called(DB).name == "db"


def test_pods_and_their_containers_have_kubelets_names(tmp_path: Path) -> None:
    (tmp_path / f"var/log/pods/prod_web-0_{UID}/nginx").mkdir(parents=True)
    (tmp_path / "var/log/containers").mkdir()
    (tmp_path / f"var/log/containers/web-0_prod_nginx-{WEB}.log").symlink_to("/var/log/pods/somewhere")
    assert identity(tmp_path, POD) == Identity(
        "pod:prod/web-0", "kubernetes", POD.rpartition("/")[2], pod="web-0", namespace="prod"
    )
    container = identity(tmp_path, f"{POD}/cri-containerd-{WEB}.scope")
    assert (container.name, container.container) == ("pod:prod/web-0/nginx", "nginx")
    sandbox = identity(tmp_path, f"{POD}/cri-containerd-{DB}.scope")
    assert (sandbox.name, sandbox.pod, sandbox.namespace) == (f"pod:prod/web-0/{DB[:12]}", "web-0", "prod")


def test_other_entries_beside_the_pods_are_no_pods(tmp_path: Path) -> None:
    for name in ("lost+found", "prod_web", "PROD_web_1", "prod_web_1_2", "_x_1", "prod_web-0_ok-1"):
        (tmp_path / "var/log/pods" / name).mkdir(parents=True)
    kubelet = Kubelet(str(tmp_path))
    assert kubelet.pod("ok-1") == PodName("prod", "web-0")
    assert [kubelet.pod(uid) for uid in ("1", "2", "web")] == [PodName()] * 3


def test_crio_keeps_the_image_in_podmans_storage(tmp_path: Path) -> None:
    podman_file(tmp_path, podman_entry(name="k8s_nginx_web-0_prod_uid_0", image="quay.io/nginx:1"))
    assert identity(tmp_path, f"{POD}/crio-{WEB}.scope").image == "quay.io/nginx:1"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/system.slice/nginx.service", "nginx.service"),
        ("/system.slice", "system.slice"),
        ("/user.slice/user-1001.slice", "user:bob"),
        ("/user.slice/user-1002.slice", "user:1002"),
        ("/user.slice/user-1001.slice/session-3.scope", "session-3.scope"),
        ("/user.slice/user-1001.slice/user@1001.service", "user@1001.service"),
        ("/user.slice/user-1001.slice/user@1001.service/app.slice/w.service", "unit:bob/w.service"),
        ("/user.slice/user-1002.slice/user@1002.service/app.slice/w.service", "unit:1002/w.service"),
        ("/system.slice/nginx.service/sub", "/system.slice/nginx.service/sub"),
        ("/batch", "/batch"),
        ("/machine.slice/machine-deb.scope/payload/system.slice/cron.service", None),
    ],
)
def test_units_and_users_have_names_and_the_rest_has_its_path(tmp_path: Path, path: str, name: str | None) -> None:
    assert identity(tmp_path, path).name == (name or path)


def test_a_unit_with_the_name_of_a_ve_gets_a_longer_one() -> None:
    owner = owner_of("/system.slice/web.service", lambda _: False)
    assert Identities({"web.service"}.__contains__).of(owner).name == "unit:web.service"


def test_labels_are_the_parts_that_are_known(tmp_path: Path) -> None:
    docker_file(tmp_path, image="bad\nimage")
    assert identity(tmp_path, f"/docker/{WEB}").labels == {"owner": "docker", "container": "web"}


ANSWER = json.dumps([{"Id": WEB, "Names": ["/app/db", "/web"], "Image": "nginx:1.27", "State": "running"}]).encode()


@pytest.fixture
def daemon(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A socket that gives the answer of the test's parameter to each who connects."""
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            line, _ = server.accept()
            with line:
                request_ = line.recv(1 << 16)
                assert request_.startswith(b"GET /containers/json HTTP/1.0\r\n")
                for part in request.param:
                    line.sendall(part)
                if request.param == SILENT:
                    line.recv(1)  # until the client has had enough

        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join(10)


SILENT = [b"HTTP/1.0 200 OK\r\n"]


@pytest.mark.parametrize(
    ("daemon", "expected"),
    [
        (
            [b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n", ANSWER[:9], ANSWER[9:]],
            Called("web", "nginx:1.27"),
        ),
        ([b"HTTP/1.0 500 Internal Server Error\r\n\r\n", ANSWER], Called()),
        ([b"HTTP/1.0 200 OK\r\n\r\n", ANSWER[:-1]], Called()),
        ([b"HTTP/1.0 200 OK\r\nContent-Length: 9999\r\n\r\n", ANSWER], Called()),
        ([], Called()),
        (SILENT, Called()),
    ],
    indirect=["daemon"],
)
def test_without_rights_to_the_files_the_daemon_is_asked_and_not_for_long(
    daemon: Path, expected: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rctl.names.docker._PATIENCE", 0.2)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{daemon}")
    assert Docker(str(tmp_path / "unreadable")).called(WEB) == expected


def test_root_never_asks_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    (tmp_path / "var/lib/docker/containers").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "docker.sock"))
        server.listen()
        server.settimeout(0)
        assert Docker(str(tmp_path / "var/lib/docker")).called(WEB) == Called()
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_daemon_is_asked_once_for_many_unknown_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr("rctl.names.docker._ask", lambda root, uid: asked.append((root, uid)))
    others = Docker(str(tmp_path / "unreadable"), 7)
    assert {others.called(f"{number:064x}") for number in range(100)} == {Called()}
    assert asked == [("", 7)]
