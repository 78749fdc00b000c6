"""The manager of a cgroup, from its path. Pure."""

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
    """A cgroup's name as UTF-8, because labels must be UTF-8. Two names never become alike.

    A byte that is no UTF-8 becomes the replacement character U+FFFD and the byte in hexadecimal; so do the bytes of
    that character itself. All other names stay as they are, also the ``\\xff`` of systemd's units.
    """
    return text if text.isascii() else "".join(map(_spelled, text))


def _spelled(letter: str) -> str:
    if letter == "\ufffd" or "\udc80" <= letter <= "\udcff":
        return "".join(f"\ufffd{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
    return letter


def backend(name: str, path: str) -> str:
    """``rctl`` for its own VEs; else the manager of this cgroup, as its name shows; ``other`` if it shows none."""
    if name != path:
        return "rctl"
    return next((who for who, pattern in _BACKENDS if pattern.search(path)), "other")
