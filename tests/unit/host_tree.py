"""A tree of cgroups as a host with systemd, docker, podman and Kubernetes has it, made of plain folders."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.names.identities import Identities
from rctl.names.look_up import Elsewhere

WEB, DB, SHOP, NGINX, PAUSE = (f"{digit}{'0123456789abcdef' * 3}{'f' * 15}" for digit in "12345")
UID = "3f5e1a2b-4c6d-7e8f-9a0b-1c2d3e4f5a6b"
MANAGER = "/user.slice/user-1001.slice/user@1001.service"
CONMON = f"libpod-conmon-{SHOP}.scope"
POD = f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice"
PATHS = (
    "/init.scope",
    "/rctl-own",
    "/rctl-sshd.service/workers",
    "/system.slice/nginx.service",
    "/system.slice/sshd.service",
    "/system.slice/web.service",
    r"/system.slice/dev-disk-by\x2duuid-1.swap",
    f"/system.slice/docker-{WEB}.scope/init.scope",
    f"/system.slice/docker-{WEB}.scope/system.slice/nginx.service",
    f"/system.slice/docker-{DB}.scope",
    f"/machine.slice/libpod-{SHOP}.scope/container",
    f"/machine.slice/{CONMON}",
    f"{MANAGER}/app.slice/worker.service",
    f"{MANAGER}/user.slice/libpod-{DB}.scope/container",
    f"{POD}/cri-containerd-{NGINX}.scope",
    f"{POD}/cri-containerd-{PAUSE}.scope",
)


def make(cgroups: Path, root: Path) -> None:
    """The cgroups, and the files of their managers below ``root``."""
    for path in PATHS:
        (cgroups / path[1:]).mkdir(parents=True)
    for id_, name in ((WEB, "web"), (DB, "db")):
        put(root / f"var/lib/docker/containers/{id_}/config.v2.json", {"Name": f"/{name}", "Config": {"Image": "img"}})
    put(root / "var/lib/containers/storage/overlay-containers/containers.json", [{"id": SHOP, "names": ["shop"]}])
    bobs = root / "home/bob/.local/share/containers/storage/overlay-containers/containers.json"
    put(bobs, [{"id": DB, "names": ["shop"]}])
    (root / f"var/log/pods/prod_front_{UID}").mkdir(parents=True)
    (root / "var/log/containers").mkdir()
    (root / f"var/log/containers/front_prod_nginx-{NGINX}.log").touch()


def put(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def opened(cgroups: Path) -> Tree:
    """The tree; close it."""
    return Tree(Cgroup("/", os.open(cgroups, os.O_RDONLY)))


def elsewhere(tree: Tree, root: Path) -> Elsewhere:
    """What is found there by name."""
    return Elsewhere(tree, identities(tree, root))


def identities(tree: Tree, root: Path) -> Identities:
    """Reads the files of that host's managers."""
    return Identities(tree.has, str(root), lambda uid: "/home/bob")
