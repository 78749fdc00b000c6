"""The writer ``scope``: a container's limits where its runtime sets each on two cgroups.

crun, the runtime of podman, runs a container in a cgroup ``container`` below the container's scope. Newer versions set
limits on both, so a higher limit below would have no effect. This writer sets the inner one by its file, and that of
the scope as systemd's property. A *form* is the entry of the scope.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.files import Texts
from ...cgroupfs.tree import Tree
from ...controllers import cpu, memory
from ...errors import NotAvailableError, RctlError
from ...formats import File, Write
from ...limits import file_named
from ...systemd import properties
from ...systemd.unit import Unit
from ..enabling import enable
from ..steps import Set, SetThrough
from . import files, systemd
from .base import PutBack

NAME = "scope"
STORES_ONLY = False
missing = enable.missing


def check(tree: Tree, path: str) -> None:
    """Check that the cgroup is the inner one of a container in a scope. Raises NotAvailableError if not."""
    from ...names.owners import owner_of

    found = owner_of(path, lambda _: False) if path.endswith("/container") else None
    box = found.container if found is not None else None
    if box is None or path != box.inner or not box.path.endswith(".scope"):
        raise NotAvailableError(f"{path}: is no container inside a scope")


def expressible(cgroup: Cgroup, writes: Sequence[Write]) -> Sequence[Write]:
    """Those of the entries for which the scope has a limit of its own."""
    with cgroup.above() as scope:
        own = [write for write in writes if _entry(scope, write.file, write.key) != write.file.entry(None, write.key)]
        version = Unit.at(scope.path).version
    return [write for write in own if properties.names(write.file, version)]


def _entry(scope: Cgroup, file: File, key: str) -> str:
    return file.entry(scope.read_if_there(file.name), key)


def resets(file: File, path: str) -> bool:
    """False: systemd gave the scope's inside away."""
    return False


def kept(cgroup: Cgroup, writes: Sequence[Write], runtime: bool, texts: Texts, notes: list[str]) -> Sequence[str]:
    """The scope's present entries."""
    with cgroup.above() as scope:
        return [_entry(scope, write.file, write.key) for write in writes]


def form(file: File, key: str, entry: str, runtime: bool, kept: str) -> str:
    """The same entry for the scope."""
    return entry


def write(cgroup: Cgroup, steps: Sequence[Set]) -> list[str]:
    """Set the scope's property, and the file of the cgroup inside; read both back."""
    notes: list[str] = []
    with cgroup.above() as scope:
        _set(scope, [msgspec.structs.replace(step, new=step.own) for step in steps if isinstance(step, SetThrough)])
        for step in steps:
            notes += files.write_at_once(cgroup, step)
    return notes


def set_above(cgroup: Cgroup, steps: Sequence[Set]) -> None:
    """Set the scope's property where the scope has a limit of its own that another owner should have changed.

    A looser limit of swap or of the CPU stays: runtimes round that of the scope up, and count memory with swap there.
    """
    with cgroup.above() as scope:
        if found := [step for step in steps if _in_the_way(scope, step)]:
            _set(scope, found)


def _in_the_way(scope: Cgroup, step: Set) -> bool:
    file = file_named(step.file)
    entry = _entry(scope, file, step.key)
    if entry == file.entry(None, step.key) or file.holds(entry, step.new):
        return False
    if file in (cpu.MAX, memory.SWAP_MAX) and file.lowers(entry, step.new):
        return False
    return bool(properties.names(file, Unit.at(scope.path).version))


def _set(scope: Cgroup, steps: Sequence[Set]) -> None:
    """Set properties of the scope, and read the files back. Raises RctlError if one has not the wished value."""
    systemd.set_besides(scope, steps)
    for step in steps:
        file = file_named(step.file)
        if not file.holds(got := _entry(scope, file, step.key), step.new):
            raise RctlError(
                f"{step.file}: systemd was asked for {step.new!r} on {scope.path}, and the kernel shows {got!r}. "
                "See journalctl"
            )


def outlives(path: str) -> bool:
    """False: a scope goes with its container."""
    return False


def for_good(form: str) -> bool:
    """False: a scope goes with its container."""
    return False


def put_back(path: str, step: SetThrough) -> PutBack:
    """Nothing: a scope goes with its container."""
    return "removed"
