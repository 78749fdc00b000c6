"""The owner of a cgroup: who made it, and who sets its limits again if someone else changes them.

It is found from the cgroup's path and the marks of delegation alone. Pure. https://systemd.io/CGROUP_DELEGATION/
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from ..cgroupfs.ve_cgroups import is_unit
from ..late_regex import regex
from . import users
from .container_cgroups import INNER, Container, MadeBy, Pod, container_at, is_kubepods, made_by, pod_at

OwnerKind = Literal["rctl", "systemd", "kubernetes", "nobody"] | MadeBy
Marks = Callable[[str], bool]
"""True if systemd has marked the cgroup with this path as delegated (``cgroupfs.marks.reader``)."""

_KINDS = frozenset(("service", "scope", "slice", "socket", "mount", "swap"))
_ESCAPES = regex(r"(?:\\x[0-9a-f]{2})+")


class Manager(msgspec.Struct, frozen=True):
    """A systemd. ``system`` is this host's, ``user`` a user's. ``other`` runs in a container, or elsewhere in what was
    given away.

    ``at``: the cgroup that is the root of its tree. ``uid``: the user's; -1 for the others.
    """

    kind: Literal["system", "user", "other"]
    at: str = "/"
    uid: int = -1


SYSTEM = Manager("system")


class Owner(msgspec.Struct, frozen=True):
    """The owner of the cgroup ``path``, if systemd runs the host.

    ``kind``: who made it and gave it its limits. A container belongs to its container manager, although systemd runs
    its scope. ``nobody``: no known manager made it, and it lies in no unit or in a part that systemd gave away.

    ``manager``: the systemd in whose part of the tree it lies. ``unit``: the unit that it is or lies in, and
    ``unit_path`` the cgroup of that unit; both are empty outside all units.

    ``delegated``: the deepest delegated unit that it is or lies below; empty if there is none. ``free``: it lies below
    that unit, and in no unit of another systemd there: no systemd undoes what is written to it.

    ``container``: the outermost container that it is or lies in. ``pod``: the pod of Kubernetes.
    """

    kind: OwnerKind
    path: str
    manager: Manager = SYSTEM
    unit: str = ""
    unit_path: str = ""
    delegated: str = ""
    free: bool = False
    container: Container | None = None
    pod: Pod | None = None

    @property
    def is_unit(self) -> bool:
        """True if the cgroup is that of the unit itself, which its manager sets."""
        return self.unit_path == self.path


def owner_of(path: str, marks: Marks, *, managed: bool = False) -> Owner:
    """The owner of the cgroup ``path``.

    ``marks`` is asked about services, scopes and the like, not about slices. ``managed``: it is one of rctl's own VEs;
    the unit of such a VE is known by its name, also if the VE is another user's.
    """
    parts = path.split("/")[1:] if path != "/" else []
    place = _in_units(path, parts, marks, managed)
    kind, container, pod = _in_containers(parts)
    if managed or is_unit(path):
        kind = "rctl"
    elif place.manager.kind == "other" or (kind == "nobody" and _is_systemds(place)):
        kind = "systemd"
    return msgspec.structs.replace(place, kind=kind, container=container, pod=pod)


def _is_systemds(place: Owner) -> bool:
    return not place.free and (place.unit != "" or place.manager.kind == "user")


def _in_containers(parts: list[str]) -> tuple[OwnerKind, Container | None, Pod | None]:
    """The manager that the path names (``nobody`` if it names none), the container and the pod."""
    kind: OwnerKind = "nobody"
    container: Container | None = None
    pod: Pod | None = None
    here = above = ""
    for component in parts:
        here = f"{here}/{component}"
        if container and here == f"{container.path}/{INNER}":
            container = msgspec.structs.replace(container, inner=here)
        if is_kubepods(component):
            kind = "kubernetes"
        if kind == "kubernetes":
            pod = pod or pod_at(component, above, here)
        else:
            kind = made_by(component, above) or kind
        container = container or container_at(component, above, here, pod)
        above = component
    return kind, container, pod


def _in_units(path: str, parts: list[str], marks: Marks, managed: bool) -> Owner:
    """The unit, its manager, and what that manager gave away: slices, then at most one other unit for each manager."""
    manager, unit, unit_path, delegated = SYSTEM, "", "", ""
    done, end = 0, len(parts)
    while True:
        while done < end and (name := unescaped(parts[done])).endswith(".slice"):
            done += 1
            unit, unit_path = name, _joined(parts, done)
        if done < end and _is_unit_name(name := unescaped(parts[done])):
            done += 1
            unit, unit_path = name, _joined(parts, done)
            if (uid := users.of_manager(unit)) is not None:
                delegated = unit_path
                if done < len(parts):
                    manager, unit, unit_path = Manager("user", unit_path, uid), "", ""
                    continue
            elif not marks(unit_path):
                break
            delegated = unit_path
        others = range(done, end - managed)  # a VE of rctl's own is no unit there, whatever its name
        below = next((n for n in others if _is_unit_name(unescaped(parts[n]))), None)
        if below is None:
            break
        manager, unit, unit_path, done = Manager("other", _joined(parts, below)), "", "", below
    free = delegated not in ("", path) and unit_path == delegated
    return Owner("nobody", path, manager, unit, unit_path, delegated, free)


def _is_unit_name(component: str) -> bool:
    name, _, kind = component.rpartition(".")
    return kind in _KINDS and name != "" and "\n" not in name


def _joined(parts: list[str], number: int) -> str:
    return "/" + "/".join(parts[:number])


def unescaped(component: str) -> str:
    """The unit's name of a cgroup's: systemd puts ``_`` before names that could be the kernel's files."""
    return component.removeprefix("_")


def readable(unit: str) -> str:
    r"""A unit's name for people: ``\x2d`` and the like become the characters that they stand for, if those can be
    printed.

    The result is no unit's name, and may not be unique.
    """
    if "\\x" not in unit:
        return unit
    text = _ESCAPES.sub(lambda found: bytes.fromhex(found[0].replace(r"\x", "")).decode("utf-8", "replace"), unit)
    return text if text.isprintable() and "\ufffd" not in text else unit
