"""Whose VE a cgroup is, by its path. Pure."""

from __future__ import annotations

import re

_BACKENDS = (
    ("podman", re.compile(r"libpod-|/libpod_parent|/podman-")),
    ("kubernetes", re.compile(r"/kubepods|kubepods-|kubepods\.slice")),
    ("docker", re.compile(r"/docker/|/docker-[0-9a-f]{12,}\.scope|/docker$")),
    ("containerd", re.compile(r"/cri-containerd-|/containerd|/nerdctl")),
    ("crio", re.compile(r"/crio-")),
    ("lxc", re.compile(r"/lxc\.payload|/lxc/|/lxc\.monitor")),
    ("machined", re.compile(r"/machine\.slice/|/machine-")),
    ("systemd", re.compile(r"\.(slice|service|scope|socket|mount|swap)$|^/init\.scope")),
)


def readable(text: str) -> str:
    """A cgroup's name as UTF-8, which labels must be: a byte that is none is spelled ``\\xff``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def backend(name: str, path: str) -> str:
    """``rctl`` for its own VEs; else who keeps a cgroup of this path, as its name tells; ``other`` when it does not."""
    if name != path:
        return "rctl"
    return next((who for who, pattern in _BACKENDS if pattern.search(path)), "other")
