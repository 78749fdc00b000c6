"""The label ``ve`` is the name that people use, and the info metric says the rest; asked once, and never alike."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl.cgroupfs.tree import Tree
from rctl.names import docker, identify, podman, users
from rctl_exporter.ve_names import VeNames
from tests.unit import host_tree
from tests.unit.host_tree import DB, MANAGER, NGINX, PATHS, POD, SHOP, WEB


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    bob = users.User(1001, "bob", "/home/bob")
    monkeypatch.setattr(users, "by_uid", lambda uid: bob if uid == 1001 else users.User(uid, str(uid)))
    host_tree.make(tmp_path / "cgroups", tmp_path / "root")
    with host_tree.opened(tmp_path / "cgroups") as tree:
        yield tree


@pytest.fixture
def names(tree: Tree, tmp_path: Path) -> VeNames:
    return VeNames(tree, host_tree.identities(tree, tmp_path / "root"))


@pytest.mark.parametrize(
    ("path", "name", "info"),
    [
        ("/rctl-own", "own", {"backend": "rctl", "owner": "rctl"}),
        (
            "/system.slice/nginx.service",
            "nginx.service",
            {"backend": "systemd", "owner": "systemd", "unit": "nginx.service"},
        ),
        (
            f"/system.slice/docker-{WEB}.scope",
            "docker:web",
            {"backend": "docker", "owner": "docker", "container": "web", "image": "img", "unit": f"docker-{WEB}.scope"},
        ),
        (
            f"/machine.slice/libpod-{SHOP}.scope/container",
            "podman:shop",
            {"backend": "podman", "owner": "podman", "container": "shop", "unit": f"libpod-{SHOP}.scope"},
        ),
        (
            f"{MANAGER}/app.slice/worker.service",
            "unit:bob/worker.service",
            {"backend": "systemd", "owner": "systemd", "unit": "worker.service"},
        ),
        (
            f"{POD}/cri-containerd-{NGINX}.scope",
            "pod:prod/front/nginx",
            {"backend": "kubernetes", "owner": "kubernetes", "container": "nginx", "pod": "front"}
            | {"namespace": "prod", "unit": f"cri-containerd-{NGINX}.scope"},
        ),
        ("/gone", "/gone", {"backend": "other", "owner": "nobody"}),
    ],
)
def test_a_ve_has_its_name_and_what_is_known_of_it(names: VeNames, path: str, name: str, info: dict[str, str]) -> None:
    assert names.name(path) == (name, info | {"cgroup": path})


def test_no_two_cgroups_have_the_same_name(names: VeNames, tree: Tree) -> None:
    from rctl.cgroupfs.paths import paths

    every = list(paths(tree))
    found = [names.name(path)[0] for path in every]
    assert len(set(found)) == len(found) > len(PATHS)


def test_the_later_of_two_with_the_same_name_has_its_path_until_the_first_is_gone(
    names: VeNames, tmp_path: Path
) -> None:
    file = tmp_path / f"root/var/lib/docker/containers/{DB}/config.v2.json"
    file.write_text(json.dumps({"Name": "/web"}))
    first, second = f"/system.slice/docker-{WEB}.scope", f"/system.slice/docker-{DB}.scope"
    assert names.name(first)[0] == "docker:web"
    assert names.name(second)[0] == second
    for inner in ("init.scope", "system.slice/nginx.service", "system.slice", ""):
        os.rmdir(f"{tmp_path}/cgroups{first}/{inner}")
    assert names.name(second)[0] == "docker:web"


def test_a_container_that_is_made_again_keeps_its_name(names: VeNames) -> None:
    path = f"/system.slice/docker-{DB}.scope"
    assert [names.name(path)[0] for _ in range(2)] == ["docker:db"] * 2


def test_names_of_the_gone_are_not_kept_for_ever(names: VeNames, tmp_path: Path) -> None:
    for number in range(1000):
        unit = tmp_path / f"cgroups/system.slice/job{number}.service"
        unit.mkdir()
        assert names.name(f"/system.slice/job{number}.service")[0] == f"job{number}.service"
        unit.rmdir()
    assert len(names._holders) <= 130


def test_files_are_read_once_in_the_life_of_a_cgroup(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rctl.adjust.site import Site
    from rctl_exporter.scrape import Scraper
    from rctl_exporter.settings import Settings
    from tests.unit.fake_kernel import FakeKernel, state_folder

    top = tmp_path / "cgroups"
    for folder in [top, *(path for path in top.rglob("*") if path.is_dir())]:
        for file in ("cgroup.procs", "pids.current"):
            (folder / file).write_text("3\n")
    read: list[str] = []
    for module in (docker, podman):
        real = module.content
        monkeypatch.setattr(module, "content", lambda path, *most, real=real: read.append(path) or real(path, *most))
    monkeypatch.setattr(identify, "_identities", lambda tree: host_tree.identities(tree, tmp_path / "root"))
    with state_folder() as state, Scraper(Site(tree, FakeKernel().host, state), Settings(), watch=False) as scraper:
        pages = [b"".join(scraper.scrape())]
        first = list(read)
        pages += [b"".join(scraper.scrape()) for _ in range(2)]
        assert all(b'owner="docker"' in page and b've="docker:web"} 1' in page for page in pages)
        assert [path for path in first if WEB in path]
        assert read == first
