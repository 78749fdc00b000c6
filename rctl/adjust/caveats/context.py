"""What lies around a limit that is set: other files of the VE, cgroups above and beside it, the host.

What the same adjustment sets is seen as it will be, so that a dry run says what the adjustment would say.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.files import Texts
from ...cgroupfs.tree import Tree
from ...errors import OUT_OF, RctlError
from ...host import Host
from ...limits import file_named
from ..locks import MANY
from ..steps import Renew, Set, Step

_FRESH = 0.05


def moment() -> int:
    """A counter that rises every ``_FRESH`` seconds. Things that hardly change are read again when it does."""
    return int(time.monotonic() / _FRESH)


@lru_cache(1)
def _iocost(root: Cgroup, _moment: int) -> frozenset[str]:
    lines = (root.read_if_there("io.cost.qos") or "").splitlines()
    return frozenset(line.split()[0] for line in lines if "enable=1" in line)


class Surroundings:
    """Reads each file at most once. Its methods raise RctlError where a cgroup went or may not be read."""

    def __init__(self, tree: Tree, host: Host, steps: Sequence[Step], cgroups: Mapping[str, Cgroup]) -> None:
        """``cgroups``: open ones by path, those of the steps among them."""
        self.host = host
        self._tree = tree
        self._steps = steps
        self._cgroups = cgroups
        self._many = len(cgroups) > MANY
        self._texts: dict[str, Texts] = {}
        self._new: dict[tuple[str, str, str], str] | None = None
        self._beside: dict[tuple[str, str], list[tuple[str, str]]] = {}

    @cached_property
    def tasks(self) -> float:
        """How many processes and threads a cgroup has at most: those of the host, if that saves many reads."""
        return self.host.tasks() if self._many else math.inf

    @cached_property
    def swap_used(self) -> float:
        """Bytes of swap that a cgroup uses at most, likewise."""
        return self.host.swap_used() if self._many else math.inf

    @property
    def iocost(self) -> bool:
        """Whether a disk uses iocost (``io.cost.qos``)."""
        return bool(_iocost(self._tree.root, moment()))

    def uses_iocost(self, device: str) -> bool:
        """Whether the disk ``MAJOR:MINOR`` does."""
        return device in _iocost(self._tree.root, moment())

    @cached_property
    def partitions(self) -> dict[str, bool]:
        """By path the partitions that the adjustment gives or takes CPUs of, and whether they were valid before it."""
        return {step.path: step.valid for step in self._steps if isinstance(step, Renew)}

    def entry(self, path: str, file: str) -> str:
        """The entry of a file with one: as it will be; the default where there is no file."""
        if self._new is None:
            self._new = {(step.path, step.file, step.key): step.new for step in self._steps if isinstance(step, Set)}
        planned = self._new.get((path, file, ""))
        return file_named(file).entry(self.text(path, file)) if planned is None else planned

    def text(self, path: str, file: str) -> str | None:
        """What the kernel shows; ``None``: no such file."""
        if (texts := self._texts.get(path)) is None:
            if path == "/":
                return self._tree.root.read_if_there(file)
            if path not in self._cgroups:
                with self._tree.walk(path) as cgroup:
                    return cgroup.read_if_there(file)
            texts = self._texts[path] = Texts(self._cgroups[path])
        return texts[file]

    def has(self, path: str, file: str) -> bool:
        """Whether one of the adjustment's cgroups has this file."""
        return self._cgroups[path].has(file)

    def above(self, path: str) -> Iterator[str]:
        """The cgroups above, the nearest first, without the root."""
        while path := path.rpartition("/")[0]:
            yield path

    def children(self, path: str, file: str) -> list[tuple[str, str]]:
        """Path and text of this file of the cgroups directly below, those that have it."""
        found = self._beside.get((path, file))
        if found is None:
            found = self._beside[path, file] = list(self._read_below(path or "/", file))
        return found

    def _read_below(self, above: str, file: str) -> Iterator[tuple[str, str]]:
        with self._tree.walk(above) as parent:
            for name in parent.children():
                try:
                    with parent.child(name) as child:
                        if (text := child.read_if_there(file)) is not None:
                            yield child.path, text
                except RctlError as error:
                    if getattr(error, "errno", 0) in OUT_OF:
                        raise
