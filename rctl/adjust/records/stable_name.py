"""The name under which desired limits of a cgroup are kept: it outlives the cgroup and a boot. Pure."""

from __future__ import annotations

from ...formats import UNITS

CONTAINERS = ("docker:", "podman:")
"""Beginnings of the stable names of containers. They do not follow from a path: records name them."""


def stable_name(path: str) -> str:
    """The path of a cgroup without the slices in front of a unit, because a unit may change its slice.

    ``nginx.service`` for ``/system.slice/nginx.service``; ``user@1000.service/job.service`` for a user's own unit. Any
    other cgroup has its path, with the leading slash.
    """
    parts = path[1:].split("/")
    if not parts[0].endswith(UNITS):
        return path
    return "/".join(part for part, below in zip(parts, [*parts[1:], ""], strict=True) if not _leads(part, below))


def _leads(part: str, below: str) -> bool:
    """True for a slice in front of a unit."""
    return part.endswith(".slice") and below.endswith(UNITS)
