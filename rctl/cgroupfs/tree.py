"""The place of VEs: the cgroup2 mount, rctl's place in it, and the way from a name to a cgroup.

A *managed* VE has a name, such as ``web1``. By default it lies at ``/rctl-web1``, directly below the root, because each
level of depth costs each context switch; on a host that systemd runs it is a unit (see ``ve_cgroups``).
``RCTL_TREE=/some/cgroup`` puts VEs below another cgroup (such as a delegated one), as ``/some/cgroup/web1``. A
*foreign* VE is named by its path, such as ``/system.slice/nginx.service``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Self

from ..errors import NotAvailableError, NotFoundError, RctlError, UsageError
from ..formats import NAMING, VE_NAME, as_typed
from . import mounts, ve_cgroups
from .cgroup import _DIRECTORY, Cgroup
from .ve_cgroups import Naming

_MANY = 64
_USUAL = mounts.Mount(mounts.USUAL)
_PLAIN = Naming()


class Tree:
    """The cgroup2 mount, held open, and rctl's place in it. Use as a context manager."""

    __slots__ = ("_names", "_paths", "_plain", "_stem", "base", "mount", "naming", "root")

    def __init__(self, root: Cgroup, naming: Naming = _PLAIN, mount: mounts.Mount = _USUAL) -> None:
        """``root`` is the root of the ``mount``. Tests may pass a plain directory's handle."""
        self.root = root
        self.mount = mount
        self.naming = naming
        self.base = naming.base
        self._stem = f"{self.base.rstrip('/')}/"
        self._plain = "" if naming.suffix else self._stem + naming.prefix
        self._paths: dict[str, str] = {}
        self._names: dict[str, str] = {}

    @classmethod
    def open(cls, place: str | None = None) -> Self:
        """Open this host's cgroup2 mount: ``$RCTL_MOUNT``, or the result of ``mounts.choose``.

        ``place``: rctl's cgroup path; unset: ``$RCTL_TREE``, else the usual one (``ve_cgroups.usual``). ``/`` is the
        place of root's VEs. Raises NotAvailableError if no cgroup2 is mounted, UsageError for a wrong ``RCTL_TREE`` or
        ``RCTL_MOUNT``.
        """
        place = place or os.environ.get("RCTL_TREE") or ""
        given = check_path(place, "RCTL_TREE") if place else ""
        naming = Naming(given, "") if given not in ("", "/") else ve_cgroups.system() if given else ve_cgroups.usual()
        mount = mounts.find(os.environ.get("RCTL_MOUNT"))
        return cls(Cgroup("/", os.open(mount.point, _DIRECTORY), mounts.number(mount.device)), naming, mount)

    def others(self) -> Iterator[Tree]:
        """This host's other cgroup2 mounts; each is open until the next."""
        for mount in mounts.others(self.mount):
            with suppress(OSError), Tree(Cgroup("/", os.open(mount.point, _DIRECTORY)), mount=mount) as other:
                yield other

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.root.close()

    def path(self, name: str) -> str:
        """The cgroup path of a VE's name. Raises UsageError for names that could leave the tree."""
        if self._paths and name in self._paths:
            return self._paths[name]
        if VE_NAME.fullmatch(name):
            return self._plain + name if self._plain else self._stem + self.naming.component(name)
        if name.startswith("/"):
            return check_path(name, "VE")
        raise UsageError(f"{as_typed(name)}: not a VE's name. {NAMING}, or a cgroup path with a leading /")

    def name(self, path: str) -> str:
        """The name of a cgroup path for people: the short name of a managed VE, the path itself of a foreign one.

        The name that ``learn`` was told, if it was.
        """
        if self._names and path in self._names:
            return self._names[path]
        return self.managed(path) or path

    def managed(self, path: str) -> str:
        """The short name of a managed VE; empty for a foreign one."""
        head, _, tail = path.rpartition("/")
        if (head or "/") == self.base and VE_NAME.fullmatch(name := self.naming.name(tail)):
            return name
        return ""

    def learn(self, word: str, name: str, path: str) -> None:
        """From now on, ``word`` and ``name`` stand for the cgroup ``path`` of another manager."""
        self._paths[word] = self._paths[name] = path
        self._names[path] = name

    def has(self, name: str) -> bool:
        """True if there is a VE of rctl's own with this name. What was learned of the name is forgotten then."""
        if not VE_NAME.fullmatch(name):
            return False
        path = self._stem + self.naming.component(name)
        there = self.root.has(path[1:]) if self.base == "/" else self.exists(path)
        if there and self._paths:
            self._paths.pop(name, None)
        return there

    def exists(self, path: str) -> bool:
        """True if there is a cgroup with this path, and the caller may open it."""
        try:
            self.walk(path).close()
        except RctlError:
            return False
        return True

    def open_ve(self, name: str) -> Cgroup:
        """Open a VE by name or path. Raises NotFoundError, UsageError."""
        path = self.path(name)
        try:
            return self.walk(path)
        except NotFoundError as error:
            if name.startswith(f"{self.mount.point}/"):
                below = name.removeprefix(self.mount.point)
                raise NotFoundError(
                    f"{name}: there is no such cgroup. Write its path below the mount: {below}"
                ) from None
            if name == path:
                raise
            raise NotFoundError(f"{name}: there is no such VE ({str(error).split(':')[0]}). See rctl ls") from None

    def open_ves(self, names: Sequence[str], opened: list[Cgroup]) -> None:
        """Open many VEs; append each to ``opened`` once it is open. The caller closes them. Raises as ``open_ve``."""
        base = None
        if len(names) >= _MANY and not self.mount.over:
            with suppress(RctlError):  # without rctl's place, all are cgroups of others
                base = self.walk(self.base)
        if base is None:
            opened.extend(map(self.open_ve, names))
            return
        with base:
            opened.extend(self._open_at(base, name) for name in names)
            base.learn_inodes({ve.path[len(self._stem) :]: ve for ve in opened if ve.path.startswith(self._stem)})

    def _open_at(self, base: Cgroup, name: str) -> Cgroup:
        """Open a VE; by one step if it lies directly below rctl's place, which is open."""
        path = self.path(name)
        if path.startswith(self._stem) and "/" not in (component := path[len(self._stem) :]):
            with suppress(NotFoundError):
                return base.child(component)
        return self.open_ve(name)

    def walk(self, path: str) -> Cgroup:
        """Open a cgroup path component by component, without following links or leaving the mount.

        Raises NotFoundError; NotAvailableError if another file system is mounted over it.
        """
        if self.mount.over and (why := self.covered(path)):
            raise NotAvailableError(f"{path}: {why}")
        if path.rfind("/") == 0 and len(path) > 1:
            return self.root.child(path[1:])
        here = self.root
        for part in filter(None, path.split("/")):
            try:
                below = here.child(part)
            except NotFoundError as error:
                raise NotFoundError(str(error).replace(here.path.rstrip("/") + "/" + part, path, 1)) from None
            finally:
                if here is not self.root:
                    here.close()
            here = below
        return here if here is not self.root else Cgroup("/", os.dup(self.root.fd))

    def covered(self, path: str) -> str:
        """The file system that is mounted over a cgroup, or over one above it, and the remedy; empty if none is."""
        for covered in self.mount.over:
            if path == covered or path.startswith(covered + "/"):
                where = self.mount.point.rstrip("/") + covered
                return f"another file system is mounted over {where}. Unmount it, see findmnt"
        return ""

    def check_files(self, path: str) -> None:
        """Raise NotAvailableError if something is mounted over a file of the cgroup: a write would go there."""
        for covered in self.mount.over:
            where = self.mount.point.rstrip("/") + covered
            if covered.rpartition("/")[0] == path.rstrip("/") and _is_file(where):
                raise NotAvailableError(f"{path}: something is mounted over {where}. Unmount it, see findmnt")

    def cgroup_of(self, pid: int | str) -> str | None:
        """The path of a process's cgroup (``self``: the caller's own), from /proc/PID/cgroup (cgroups(7)).

        ``None`` if it lies outside this mount, as with a process outside the caller's cgroup namespace.
        Raises FileNotFoundError or ProcessLookupError if there is no such process.
        """
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as lines:
            path = next(line.rstrip("\n")[3:] for line in lines if line.startswith("0::"))
        return mounts.inside(self.mount.part, path)

    def way(self, path: str) -> Iterator[Cgroup]:
        """The cgroups from the root down to ``path``; each is open until the next. Raises as ``walk``.

        It takes one step for each level. To walk to each cgroup separately would take the square of the depth.
        """
        here = self.walk("/")
        try:
            yield here
            for part in filter(None, path.split("/")):
                below = here.child(part)
                here.close()
                here = below
                yield here
        finally:
            here.close()

    def place(self) -> Cgroup:
        """The cgroup that holds the managed VEs. Raises NotFoundError."""
        try:
            return self.walk(self.base)
        except NotFoundError:
            raise NotFoundError(
                f"RCTL_TREE={self.base}: there is no such cgroup. Make it, or start the unit that it belongs to"
            ) from None

    def names(self) -> list[str]:
        """Names of the managed VEs, sorted; empty if rctl's place does not exist yet."""
        try:
            with self.place() as base:
                found = [self.managed(f"{self.base.rstrip('/')}/{child}") for child in base.children()]
        except NotFoundError:
            return []
        return list(filter(None, found))


def check_path(path: str, what: str) -> str:
    """A cgroup path in normal form (one leading slash). Raises UsageError for a path that could leave the tree."""
    parts = path.strip("/").split("/") if path.strip("/") else []
    bad = (
        not path.startswith("/")
        or len(path) > 4000
        or any(part in ("", ".", "..") or len(part) > 255 or not part.isprintable() for part in parts)
    )
    if bad:
        raise UsageError(f"{what} {path[:80]!r}: not a cgroup path. Write it like /system.slice/nginx.service")
    return "/" + "/".join(parts)


def cgroup2_mount() -> str:
    """The mount point of the cgroup2 that rctl works on. Raises as ``mounts.find``."""
    return mounts.find(os.environ.get("RCTL_MOUNT")).point


def enabled(cgroup: Cgroup, file: str) -> frozenset[str]:
    """Controllers named in ``cgroup.controllers`` or ``cgroup.subtree_control``."""
    return frozenset(cgroup.read(file).split())


def remove_soon(parent: Cgroup, name: str, seconds: float = 5.0) -> None:
    """rmdir(2), repeated while the kernel still tears dead processes down. Raises BusyError at the deadline."""
    import time

    from ..errors import BusyError

    deadline, pause = time.monotonic() + seconds, 0.001
    while True:
        try:
            return parent.remove(name)
        except BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(pause)
            pause = min(pause * 2, 0.1)


def _is_file(place: str) -> bool:
    """True for anything but a folder: an interface file, or another file that is mounted over it."""
    return os.path.exists(place) and not os.path.isdir(place)
