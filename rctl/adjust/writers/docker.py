"""The writer ``docker``: the limits of a container are set through dockerd, which stores them for the next start.

It asks the Docker Engine API on its socket, and starts no process. A *form* is the fields of the entry in the
container's ``HostConfig``, as a JSON object (``containers.docker_fields``).

docker stores that a limit of swap is taken away, and does not do it while the container runs. So the writer does it at
the container's unit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.files import Texts
from ...cgroupfs.tree import Tree
from ...containers import docker_fields
from ...containers.docker_fields import NO_LIMIT, Form, entries, is_set, stored
from ...containers.docker_socket import of_docker
from ...containers.engine_api import Engine, EngineContainer
from ...controllers import cpu, cpuset, memory
from ...errors import NotAvailableError, NotFoundError, RctlError
from ...formats import File, Write
from ...limits import file_named
from ..steps import Set, SetThrough
from . import engine_forms, files, systemd
from .base import PutBack
from .engine_forms import check_set, checked, entry_of, fields, has, is_new, is_old, text, weigh

NAME = "docker"
STORES_ONLY = True
missing = systemd.missing
resets, outlives, for_good = engine_forms.resets, engine_forms.outlives, engine_forms.for_good
_ENGINE = Engine(
    NAME, "", 200, "Run it as root, or as a member of the group docker",
    "See systemctl status docker. Until docker is there, --runtime sets limits without it",
)  # fmt: skip


def present() -> bool:
    """True if dockerd has a socket here."""
    return os.access(of_docker(), os.F_OK)


def check(tree: Tree, path: str) -> None:
    """Check that the cgroup is that of a container of docker's. Raises NotAvailableError if not."""
    if _container(path) is None:
        raise NotAvailableError(f"{path}: is no container of docker")


def _container(path: str) -> EngineContainer | None:
    if NAME not in path:
        return None
    from ...names.owners import owner_of

    found = owner_of(path, lambda _: False)
    box = found.container
    if found.kind != NAME or box is None or path not in (box.path, box.inner):
        return None
    uid = found.manager.uid if found.manager.uid >= 0 else None
    return EngineContainer(box.id, of_docker(uid), _ENGINE, uid)


def _at(path: str) -> EngineContainer:
    """The container of a cgroup that ``check`` let pass."""
    found = _container(path)
    assert found is not None
    return found


def expressible(cgroup: Cgroup, writes: Sequence[Write]) -> Sequence[Write]:
    """Those of the entries that an update sets, and that another update can take back."""
    found = [write for write in writes if write.file.docker]
    if not found:
        return ()
    config = _config(_at(cgroup.path))
    wanted = {write.file: write.file.merge(entry_of(cgroup, write.file), write.wanted) for write in found}
    forms = {file: _form(file, entry, stored(file, config)) for file, entry in wanted.items()}
    refused = {file for file, own in forms.items() if own is None}
    if entry_of(cgroup, cpu.IDLE) == "1" or any(write.file is cpu.IDLE and write.wanted == "1" for write in writes):
        refused.add(cpu.WEIGHT)
    if _uneven(cgroup, wanted, config):
        refused |= {memory.MAX, memory.SWAP_MAX, memory.LOW}
    return [write for write in found if write.file not in refused]


def _uneven(cgroup: Cgroup, wanted: Mapping[File, str], config: Mapping[str, Any]) -> bool:
    """True if docker would not start a container with these limits of memory and swap.

    It wants a limit of memory for one of swap, and none below the reservation.
    """
    if not {memory.MAX, memory.SWAP_MAX, memory.LOW}.intersection(wanted):
        return False
    limit, swap, low = (wanted.get(file, entry_of(cgroup, file)) for file in (memory.MAX, memory.SWAP_MAX, memory.LOW))
    if limit == "max":
        return swap != "max"
    if memory.MAX not in wanted and limit not in entries(memory.MAX, stored(memory.MAX, config)):
        return True
    return memory.LOW in wanted and int(low) > int(limit)


def _config(container: EngineContainer) -> dict[str, Any]:
    return checked(container, container.config(), (cpu.MAX, memory.MAX, memory.SWAP_MAX, memory.LOW), stored)


def _form(file: File, entry: str, kept: Form) -> Form | None:
    return docker_fields.form(file, entry, kept, os.cpu_count() or 1)


def kept(cgroup: Cgroup, writes: Sequence[Write], runtime: bool, texts: Texts, notes: list[str]) -> Sequence[str]:
    """The present fields of these entries."""
    config = _config(_at(cgroup.path))
    return [text(stored(write.file, config)) for write in writes]


def form(file: File, key: str, entry: str, runtime: bool, kept: str) -> str:
    """The fields with which an update sets the entry."""
    before = fields(kept)
    return text(_form(file, entry, before) or before)


def write(cgroup: Cgroup, steps: Sequence[Set]) -> list[str]:
    """Set all entries in one update, and read the files back.

    Returns a note about fields that docker cannot unset, and about a value that will be rounded.
    """
    container = _at(cgroup.path)
    config = _config(container)
    forms: dict[File, Form] = {}
    instead: Form = {}
    for step in steps:
        assert isinstance(step, SetThrough)
        file, own = file_named(step.file), fields(step.own)
        now = stored(file, config)
        if not is_set(own) and is_set(now):
            own = _unset(cgroup, step, now)
            instead |= own
        if is_set(own) and (own != now or entry_of(cgroup, file) != step.new):
            forms[file] = own
    if forms:
        swap = _swap(cgroup, config)
        container.update(docker_fields.request(forms, config, swap))
        if cpu.WEIGHT in forms:
            weigh(container, cgroup, steps, lambda shares: {"CpuShares": shares})
    _complete(cgroup, steps)
    return _stay(cgroup, instead) + [note for step in steps for note in _rounded(cgroup, step)]


def put_back(path: str, step: SetThrough) -> PutBack:
    """Store the old fields of a container that has stopped, or was started anew, if it still has the new ones."""
    container, file = _at(path), file_named(step.file)
    try:
        config = container.inspected().config
    except NotFoundError:
        return "removed"  # the container, too
    now, old = stored(file, config), fields(step.kept)
    if not is_new(step, file, now):
        return "put back" if is_old(step, file, now) else "changed"
    if not is_set(old):
        old = _form(file, step.old, now) or now
    swap = stored(memory.SWAP_MAX, config)[docker_fields.SWAP]
    container.update(docker_fields.request({file: old}, config, swap if isinstance(swap, int) else NO_LIMIT))
    return "put back"


def _unset(cgroup: Cgroup, step: SetThrough, now: Form) -> Form:
    """The fields with the effect of fields that are not set. Raises RctlError if there are none."""
    file, entry = file_named(step.file), step.new
    if file in (cpuset.CPUS, cpuset.MEMS) and not entry:
        entry = _all_of_parent(cgroup, file)
    found = _form(file, entry, now)
    if found is None:
        raise RctlError(f"{step.file}: docker cannot unset it on {cgroup.path}. Set a value with docker update")
    return found


def _stay(cgroup: Cgroup, instead: Form) -> list[str]:
    if not instead:
        return []
    kept = ", ".join(f"{name}={value}" for name, value in instead.items() if value)
    return [f"{cgroup.path}: docker cannot unset a limit. It stores what has the same effect: {kept}"]


def _all_of_parent(cgroup: Cgroup, file: File) -> str:
    with cgroup.above() as parent:
        return (parent.read_if_there(f"{file.name}.effective") or "").strip()


def _swap(cgroup: Cgroup, config: Mapping[str, Any]) -> int:
    """The present limit of swap in bytes, as docker has it if that is the same; -1: none."""
    now, own = entry_of(cgroup, memory.SWAP_MAX), stored(memory.SWAP_MAX, config)
    if now in entries(memory.SWAP_MAX, own) and isinstance(found := own[docker_fields.SWAP], int):
        return found
    return NO_LIMIT if now == "max" else int(now)


def _complete(cgroup: Cgroup, steps: Sequence[Set]) -> None:
    """Set what docker stores and does not set in a running container, and read all entries back."""
    if rest := [step for step in steps if not has(cgroup, step)]:
        if cgroup.path.endswith(".scope"):
            systemd.set_besides(cgroup, rest)
        else:
            for step in rest:
                files.write_at_once(cgroup, step)
    check_set(NAME, cgroup, steps)


def _rounded(cgroup: Cgroup, step: Set) -> list[str]:
    """A note if a daemon-reload will change the value: systemd has a whole per cent of a CPU, rounded up by docker."""
    if step.file != cpu.MAX.name or step.new.startswith("max") or not cgroup.path.endswith(".scope"):
        return []
    quota, period = map(int, step.new.split())
    if quota * 100 % period == 0:
        return []
    per_cent = -(-quota * 100 // period)
    return [f"{cgroup.path}: cpu.max: systemd rounds it up to {per_cent} % of a CPU at the next daemon-reload"]
