"""Who else manages cgroups on this host, and whether the names of their containers are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..names.look_up import CONTAINERS, Named, kind_of
from .check import Check


def owners(found: Iterable[Named]) -> list[Check]:
    """The check of what others manage; none if there are no others. Pure."""
    kinds: Counter[str] = Counter()
    nameless: Counter[str] = Counter()
    for one in found:
        kind = kind_of(one.name) or "unit"
        kinds[kind] += 1
        nameless[kind] += bool(one.id) and one.name.endswith(one.id[:12])
    if not kinds:
        return []
    counts = [f"{kinds[kind]} of {kind}" for kind in CONTAINERS if kinds[kind]]
    units = kinds["unit"] + kinds["user"]
    text = f"{units} units of systemd" + (f"; containers and pods: {', '.join(counts)}" if counts else "")
    unknown = [kind for kind in CONTAINERS if nameless[kind] and kind != "pod"]
    if not unknown:
        return [Check("owners", "ok", f"{text}. rctl takes their names, see rctl ls --all")]
    missing = f"; without a name: {', '.join(f'{nameless[kind]} of {kind}' for kind in unknown)}"
    return [Check("owners", "warn", text + missing, _remedy(unknown))]


def _remedy(kinds: Iterable[str]) -> str:
    return (
        "Run rctl as root, or as a member of the group docker"
        if "docker" in kinds
        else "Run rctl as root, which may read the list of containers"
    )
