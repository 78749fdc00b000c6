"""The writer ``podman``: the limits of a container are set through podman, which stores them for the next start.

It asks podman's API on the socket of root's or the user's podman, and starts no process. A *form* is the fields of the
entry, as a JSON object (``containers.podman_fields``). podman's runtime sets most limits on the container's scope and
on the cgroup inside. Where it sets one of them only, or wrongly, the writer sets it, as the writer ``scope`` does.

Without the socket, or with a podman that does not store updates, the writer ``scope`` and the files are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.files import Texts
from ...cgroupfs.tree import Tree
from ...containers import podman_fields, unix_http
from ...containers.docker_fields import NO_LIMIT, SWAP, Form
from ...containers.engine_api import Engine, EngineContainer
from ...containers.podman_fields import entries, known, stored
from ...controllers import cpu, cpuset, memory
from ...errors import KernelError, NotAvailableError, NotFoundError, RctlError
from ...formats import File, Write
from ...limits import FILES, file_named
from .. import cpuset_lists
from ..enabling import enable
from ..steps import Set, SetThrough
from . import engine_forms, files, scope
from .base import PutBack
from .engine_forms import check_set, checked, entry_of, fields, has, is_new, is_old, text, weigh

NAME = "podman"
STORES_ONLY = True
SOCKET = "/run/podman/podman.sock"
OF_USER = "/run/user/{uid}/podman/podman.sock"
SINCE = (5, 4)
"""Earlier versions do not store an update, or forget all other limits with it."""
missing = enable.missing
resets, outlives, for_good = engine_forms.resets, engine_forms.outlives, engine_forms.for_good


def check(tree: Tree, path: str) -> None:
    """Check that the cgroup is a container's, and that its podman listens. Raises NotAvailableError if not."""
    scope.check(tree, path)
    container = _at(path)
    if not unix_http.listens(container.socket):
        raise NotAvailableError(
            f"{path}: podman does not listen at {container.socket}. Start it: {_start(container, now=False)}"
        )


def _at(path: str) -> EngineContainer:
    """The container whose inner cgroup this is. Raises NotAvailableError if it is none of podman's."""
    from ...names.owners import owner_of

    found = owner_of(path, lambda _: False)
    if found.kind != NAME or found.container is None:
        raise NotAvailableError(f"{path}: is no container of podman")
    uid = found.manager.uid
    user = "--user " if uid >= 0 else ""
    engine = Engine(
        NAME,
        "/v5.0.0/libpod",
        201,
        "Run it as root" if uid < 0 else "Run it as root or as that user",
        f"See systemctl {user}status podman.socket. Until podman is there, --runtime sets limits without it",
    )
    if uid >= 0:
        return EngineContainer(found.container.id, OF_USER.format(uid=uid), engine, uid)
    return EngineContainer(found.container.id, SOCKET, engine, 0)


def _start(container: EngineContainer, *, now: bool) -> str:
    """The command with which podman listens from now on, or until the next boot."""
    user = "" if container.socket == SOCKET else "--user "
    return f"systemctl {user}{'enable --now' if now else 'start'} podman.socket"


def to_store(path: str, names: Iterable[str]) -> str:
    """What to do so that podman stores limits of a container: for a note. Empty if it can store none of these files."""
    if not any(known(file_named(name)) for name in names):
        return ""
    container = _at(path)
    if unix_http.listens(container.socket):
        return ""
    whose = ""
    if container.socket != SOCKET and container.uid is not None:
        from ...names.users import by_uid

        whose = f", as user {by_uid(container.uid).name}"
    return f". podman 5.4 and later stores most limits if it listens{whose}: {_start(container, now=True)}"


def expressible(cgroup: Cgroup, writes: Sequence[Write]) -> Sequence[Write]:
    """Those of the entries with which podman can start the container again."""
    found = [write for write in writes if known(write.file) and cgroup.has(write.file.name)]
    if not found:
        return ()
    container = _at(cgroup.path)
    try:
        seen = container.inspected()
    except NotFoundError:
        return ()  # it is in another storage
    if _version(seen.version) < SINCE:
        return ()
    config = _checked(container, seen.config)
    wanted = {write.file: write.file.merge(entry_of(cgroup, write.file), write.wanted) for write in found}
    refused = {file for file, entry in wanted.items() if podman_fields.form(file, entry, stored(file, config)) is None}
    if entry_of(cgroup, cpu.IDLE) == "1" or any(write.file is cpu.IDLE and write.wanted == "1" for write in writes):
        refused.add(cpu.WEIGHT)
    if _uneven(cgroup, wanted, config):
        refused |= {memory.MAX, memory.SWAP_MAX}
    return [write for write in found if write.file not in refused]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text[:20].split(".")[:2] if part.isdecimal())


def _uneven(cgroup: Cgroup, wanted: Mapping[File, str], config: Mapping[str, Any]) -> bool:
    """True if the limits of memory and swap cannot be stored: podman counts both together."""
    if not {memory.MAX, memory.SWAP_MAX}.intersection(wanted):
        return False
    limit, swap = (wanted.get(file, entry_of(cgroup, file)) for file in (memory.MAX, memory.SWAP_MAX))
    if limit == "max":
        return swap != "max"
    return memory.MAX not in wanted and limit not in entries(memory.MAX, stored(memory.MAX, config))


def _checked(container: EngineContainer, config: dict[str, Any]) -> dict[str, Any]:
    return checked(container, config, filter(known, FILES), stored)


def _config(container: EngineContainer) -> dict[str, Any]:
    return _checked(container, container.config())


def kept(cgroup: Cgroup, writes: Sequence[Write], runtime: bool, texts: Texts, notes: list[str]) -> Sequence[str]:
    """The present fields of these entries."""
    config = _config(_at(cgroup.path))
    return [text(stored(write.file, config)) for write in writes]


def form(file: File, key: str, entry: str, runtime: bool, kept: str) -> str:
    """The fields with which an update sets the entry."""
    before = fields(kept)
    return text(podman_fields.form(file, entry, before) or before)


def write(cgroup: Cgroup, steps: Sequence[Set]) -> list[str]:
    """Set all entries in one update, complete what podman's runtime leaves, and read the files back.

    Returns a note about CPUs and memory nodes that podman cannot unset.
    """
    container = _at(cgroup.path)
    config = _config(container)
    forms: dict[File, Form] = {}
    instead: Form = {}
    for step in steps:
        assert isinstance(step, SetThrough)
        file, own = file_named(step.file), fields(step.own)
        now = stored(file, config)
        if lists := _lists(file, own, now):
            instead |= lists
        own = _kept_set(file, {**own, **lists}, now)
        if own != now or entry_of(cgroup, file) != step.new:
            forms[file] = own
        if number := cpuset_lists.no_such(step.file, step.new):
            raise KernelError(cgroup.path, step.file, step.new, number)
    notes = _stay(cgroup, instead)
    if forms:
        swap = entry_of(cgroup, memory.SWAP_MAX)
        body = podman_fields.request(forms, config, NO_LIMIT if swap == "max" else int(swap))
        if refused := _refused(container, cgroup, body, forms):
            notes.append(refused)
        elif forms.get(cpu.WEIGHT, {}).get("CpuShares"):
            weigh(container, cgroup, steps, lambda shares: {"cpu": {"shares": shares}})
    return [*notes, *_complete(cgroup, steps)]


def _refused(container: EngineContainer, cgroup: Cgroup, body: Mapping[str, Any], forms: Mapping[File, Form]) -> str:
    """Update the container. A note if podman has stored all, and its runtime refused it; else empty.

    Then the reason may be something else that podman has stored. The writer sets the files itself, and fails if the
    reason is one of these values.
    """
    try:
        container.update(body)
    except (NotAvailableError, NotFoundError):
        raise
    except RctlError as error:
        config = _config(container)
        if any(not _agree(stored(file, config), own) for file, own in forms.items()):
            raise
        return f"{cgroup.path}: {error}. All is stored and set, but the container may not start again: podman inspect"
    return ""


def _agree(now: Form, own: Form) -> bool:
    return all(now.get(name) == value for name, value in own.items() if value is not None)


def _lists(file: File, own: Form, now: Form) -> Form:
    """All CPUs or memory nodes, where a list is to be unset: podman cannot do that. Else nothing."""
    if file not in (cpuset.CPUS, cpuset.MEMS) or any(own.values()) or not any(now.values()):
        return {}
    return dict.fromkeys(own, cpuset_lists.everything(file))


def _kept_set(file: File, own: Form, now: Form) -> Form:
    """The fields, with the default of an entry that podman has by its name, and cannot unset."""
    gone = own.get(file.name) is None and now.get(file.name) is not None
    return {**own, file.name: file.default} if gone else own


def _stay(cgroup: Cgroup, instead: Form) -> list[str]:
    if not instead:
        return []
    kept = ", ".join(f"{name}={value}" for name, value in instead.items())
    return [f"{cgroup.path}: podman cannot unset a list. It stores what has the same effect: {kept}"]


def _complete(cgroup: Cgroup, steps: Sequence[Set]) -> list[str]:
    """Set what podman has not set as wished, on the scope or inside."""
    scope.set_above(cgroup, [step for step in steps if step.new])
    notes = [note for step in steps if not has(cgroup, step) for note in files.write_at_once(cgroup, step)]
    check_set(NAME, cgroup, steps)
    return notes


def put_back(path: str, step: SetThrough) -> PutBack:
    """Store the old fields of a container that has stopped, or was started anew, if it still has the new ones."""
    container, file = _at(path), file_named(step.file)
    try:
        config = _checked(container, container.inspected().config)
    except NotFoundError:
        return "removed"  # the container, too
    now, old = stored(file, config), fields(step.kept)
    if not is_new(step, file, now, entries):
        return "put back" if is_old(step, file, now, entries) else "changed"
    own = _kept_set(file, {**old, **_lists(file, old, now)}, now)
    swap = stored(memory.SWAP_MAX, config)[SWAP]
    container.update(podman_fields.request({file: own}, config, swap if isinstance(swap, int) else NO_LIMIT))
    return "put back"
