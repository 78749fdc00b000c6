"""Writers: the ways to change an entry of a cgroup. One adjustment may use several of them.

A writer is a module with the functions of ``base.Writer``. A change goes through the first writer in ``WRITERS`` that
may write to the cgroup and can express the entry, else through ``files``. The step names its writer, so the same writer
puts back the old form, also after a crash and in an undo. A writer is loaded for the cgroups that may be its own.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...cgroupfs.ve_cgroups import is_unit
from ...errors import NotAvailableError
from ...formats import File, Write
from .. import owner
from ..steps import Set, SetThrough, Step
from . import files
from .base import PutBack, Writer

EntryKey = tuple[str, str]
"""File and key."""


class Way(msgspec.Struct, frozen=True):
    """A writer that is loaded late. ``applies``: cheap; False if it may not write to a cgroup with this path."""

    name: str
    applies: Callable[[str], bool]
    load: Callable[[], Writer]


def _docker() -> Writer:
    from . import docker

    return docker


def _has_docker() -> bool:
    from . import docker

    return owner.applies() or docker.present()


def _podman() -> Writer:
    from . import podman

    return podman


def _scope() -> Writer:
    from . import scope

    return scope


def _in_scope(path: str) -> bool:
    return path.endswith("/container") and owner.applies()


def _systemd() -> Writer:
    from . import systemd

    return systemd


WRITERS: tuple[Way, ...] = (
    Way("docker", lambda path: "docker" in path and _has_docker(), _docker),
    Way("podman", _in_scope, _podman),
    Way("scope", _in_scope, _scope),
    Way("systemd", lambda _: owner.applies(), _systemd),
)
"""All writers but ``files``, in the order of preference."""


def only_files(path: str) -> bool:
    """True if the cgroup has no other writer than ``files``; cheap."""
    return not any(way.applies(path) for way in WRITERS)


def as_neighbours(path: str) -> bool:
    """True if all such cgroups beside this one have the same writers: none of them is a unit or a container; cheap."""
    name = path.rpartition("/")[2]
    return "." not in name and len(name) < owner.SHORT and not _in_scope(path)


def of(tree: Tree, path: str, runtime: bool = False, needed: Collection[str] = ()) -> Sequence[Writer]:
    """The writers that may write to the cgroup ``path``, in the order of preference. The last one is ``files``.

    ``runtime``: only those that can set a value until the next boot. ``needed``: the names of writers to which entries
    go again. Raises the NotAvailableError of ``files`` if none may, and that of a writer that is needed to take back
    what it stored.
    """
    found: list[Writer] = []
    for way in WRITERS:
        if not way.applies(path) or ((writer := way.load()).STORES_ONLY and runtime):
            continue
        try:
            writer.check(tree, path)
        except NotAvailableError:
            if writer.STORES_ONLY and writer.NAME in needed:
                raise
        else:
            found.append(writer)
    if not found:
        files.check(tree, path)
    return (*found, files)


def chosen(
    writers: Sequence[Writer], cgroup: Cgroup, writes: Sequence[Write], before: Mapping[EntryKey, str]
) -> dict[EntryKey, Writer]:
    """For each entry the first of the writers that can express it.

    ``before``: the names of the writers to which entries are to go again, if they are among these; not to ``files``
    if an owner would reset them. Raises NotAvailableError if an owner would reset one that it cannot express.
    """
    found: dict[EntryKey, Writer] = {}
    wanted = {(write.file.name, write.key): write for write in writes}
    if before:
        names = {writer.NAME: writer for writer in writers}
        found = {at: names[before[at]] for at in wanted if before.get(at) in names}
        for at in [at for at, writer in found.items() if writer is files]:
            if any(writer.resets(wanted[at].file, cgroup.path) for writer in writers):
                del found[at]
    for writer in writers:
        if len(found) == len(wanted):
            break
        left = [write for at, write in wanted.items() if at not in found]
        found |= {(write.file.name, write.key): writer for write in writer.expressible(cgroup, left)}
        for at, write in wanted.items():
            if at not in found and writer.resets(write.file, cgroup.path) and not _is_so(cgroup, write):
                raise _would_reset(writer, write.file, cgroup.path)
    return found


def _is_so(cgroup: Cgroup, write: Write) -> bool:
    """True if the entry has the wished value already."""
    now = write.file.entry(cgroup.read_if_there(write.file.name), write.key)
    return write.file.merge(now, write.wanted) == now


def _would_reset(writer: Writer, file: File, path: str) -> NotAvailableError:
    unit, setting = path.rpartition("/")[2], " and ".join(file.systemd) or "it"
    if is_unit(path):
        return NotAvailableError(
            f"{file.name}: {writer.NAME} sets it on VEs that are its units, and would undo a change. VEs elsewhere can "
            "have it: set RCTL_TREE to a cgroup below a unit with Delegate=yes"
        )
    where = (
        f"Only the program that makes the scope can set {setting} there"
        if unit.endswith(".scope")
        else f"Set {setting} in the unit's file: systemctl edit {unit}"
    )
    return NotAvailableError(
        f"{file.name}: {writer.NAME} sets it on {path} when the unit starts, and would undo a change. {where}"
    )


def named(name: str) -> Writer | None:
    """The writer with this name; ``None`` if this rctl has none."""
    if name == files.NAME:
        return files
    return next((way.load() for way in WRITERS if name == way.name), None)


def stored(step: Step) -> bool:
    """True if the step stored a value that stays when its cgroup is removed."""
    writer = named(step.writer) if isinstance(step, SetThrough) else None
    return writer is not None and writer.outlives(step.path)


def for_good(steps: Iterable[Step]) -> list[SetThrough]:
    """Those of the steps that set or replaced a value that counts after a boot, if they are ``stored``."""
    through = [(step, named(step.writer)) for step in steps if isinstance(step, SetThrough)]
    return [step for step, writer in through if writer and any(map(writer.for_good, (step.own, step.kept)))]


def put_back(step: SetThrough) -> PutBack:
    """Give the owner of a removed cgroup its old form back, for the next life of the cgroup."""
    writer = named(step.writer)
    return writer.put_back(step.path, step) if writer is not None and writer.outlives(step.path) else "removed"


def write(cgroup: Cgroup, steps: Sequence[Set], deadline: float) -> list[str]:
    """Run steps of one cgroup and one writer. Memory is lowered gently, whoever writes. Returns notes for people.

    ``deadline``: seconds for freeing memory. Raises NotAvailableError if this rctl does not know the writer.
    """
    writer: Writer | None = files
    if isinstance(step := steps[0], SetThrough) and (writer := named(step.writer)) is None:
        raise NotAvailableError(f"{step.file}: this rctl does not know {step.writer}, which has set it on {step.path}")
    assert writer is not None
    with files.gently(cgroup, steps, deadline) as notes:
        notes += writer.write(cgroup, steps)
    return notes
