"""The stable names of containers: for limits that are to come back when a container of the same name is made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl.cgroupfs.tree import Tree
from rctl.names import identify, patterns, users
from rctl.names.stable import ContainerNames
from tests.unit import host_tree
from tests.unit.host_tree import DB, MANAGER, SHOP, WEB


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the files of container managers are."""
    host_tree.make(tmp_path / "cgroups", tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def tree(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    """A host with systemd, docker and podman; bob has a podman of his own."""
    bob = users.User(1001, "bob", "/home/bob")
    monkeypatch.setattr(users, "by_uid", lambda uid: bob if uid == 1001 else users.User(uid, str(uid)))
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(patterns, "_elsewhere", lambda tree: host_tree.elsewhere(tree, root))
    monkeypatch.setattr(identify, "_identities", lambda tree: host_tree.identities(tree, root))
    with host_tree.opened(tmp_path / "cgroups") as found:
        yield found


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("docker:web", f"/system.slice/docker-{WEB}.scope"),
        ("podman:shop", f"/machine.slice/libpod-{SHOP}.scope/container"),
        ("podman:bob/shop", f"{MANAGER}/user.slice/libpod-{DB}.scope/container"),
    ],
)
def test_a_container_has_one_stable_name(tree: Tree, name: str, path: str) -> None:
    names = ContainerNames(tree)
    assert (names(path), names.path(name)) == (name, path)


def test_a_container_is_found_by_the_name_that_it_was_given_since(tree: Tree, root: Path) -> None:
    names = ContainerNames(tree)
    path = f"/machine.slice/libpod-{SHOP}.scope/container"
    assert names(path) == "podman:shop"
    storage = root / "var/lib/containers/storage/overlay-containers/containers.json"
    host_tree.put(storage, [{"id": SHOP, "names": ["store"]}])
    assert names.path("podman:store") == path


def test_a_container_that_was_removed_is_not_taken_for_one_of_a_user(tree: Tree, root: Path) -> None:
    bobs = root / "home/bob/.local/share/containers/storage/overlay-containers/containers.json"
    host_tree.put(bobs, [{"id": DB, "names": ["cache"]}])
    assert patterns.one(tree, "podman:cache") == "podman:bob/cache"  # a word for it, as people may use it
    assert ContainerNames(tree).path("podman:cache") is None


def test_a_name_that_looks_like_an_id_is_not_taken_for_one(tree: Tree) -> None:
    assert patterns.one(tree, f"docker:{WEB[:4]}") == "docker:web"
    assert ContainerNames(tree).path(f"docker:{WEB[:4]}") is None
