"""One adjustment: many limits of many VEs, all or nothing.

Lock, read, plan, journal, then step by step write and read back; roll back on any failure; close the journal. The lock
comes before the read, so what was planned is still true when it is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack

import msgspec

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.files import Texts, raise_file_limit
from ..cgroupfs.tree import Tree
from ..controllers import core
from ..errors import GoneError, NotAvailableError, RctlError, RollbackError, UsageError, naming
from ..formats import Write
from ..host import Host
from ..limits import Limits, file_named, writes
from . import expand, failures, plan, single_writer, widen
from .account import Account, failed, outcomes
from .apply import run
from .caveats import caveats
from .enable import merged, missing
from .history import Record
from .journal import Journal, new_id
from .lock import MANY, Locks
from .progress import Event, Progress, quiet
from .recover import recover_for
from .release import unneeded
from .rollback import undisturbed
from .state import State, default_state, make

_UNKNOWN = 16
"""How many files a wish touches that is yet to be prepared, at most or so."""
_ALLOCATION = 0
"""No inode has this number: the lock of whoever chooses CPUs."""


class Options(msgspec.Struct, frozen=True):
    """How to adjust. ``deadline``: seconds for shrinking memory. ``wait``: seconds to wait for other adjustments.

    ``force``: let the kernel kill when memory is lowered below what is in use, let ``memory.min`` and ``memory.low`` be
    ``max``, and let an undo overwrite later changes.
    ``command``: what the history calls it. ``undoes``: the id of the adjustment that this one takes back.
    """

    deadline: float = 10.0
    wait: float = 30.0
    force: bool = False
    dry_run: bool = False
    command: str = ""
    undoes: str | None = None


class Wish(msgspec.Struct, frozen=True):
    """Entries wished for one VE. ``expected``: entries by (file, key) that must still be there, or the wish is void."""

    name: str
    writes: tuple[Write, ...]
    expected: dict[tuple[str, str], str] = {}
    ino: int | None = None


def adjust(
    tree: Tree,
    limits: Mapping[str, Limits],
    host: Host,
    options: Options = Options(),  # noqa: B008 (frozen)
    progress: Progress = quiet,
    state: State | None = None,
    inodes: Mapping[str, int] | None = None,
) -> Account:
    """Set limits of VEs, by name, as one transaction. Returns the account of every VE.

    ``inodes``: which cgroups are meant, by name; unset: whichever have the names now.

    Raises RctlError; nothing is changed then, and ``error.account`` tells how far each VE came. RollbackError alone
    means that something could not be put back.
    """
    inodes = inodes or {}
    if any(asked.vcpus is not msgspec.UNSET for asked in limits.values()):
        plain = [Wish(name, (), ino=inodes.get(name)) for name in limits]

        def prepare(opened: Sequence[Cgroup]) -> list[Wish]:
            promises = expand.Promises(tree)
            wishes = []
            for (name, asked), ve in zip(limits.items(), opened, strict=True):
                with naming(name):
                    found = _asked(expand.disks(expand.vcpus(asked, ve, host, promises)), host, options)
                wishes.append(Wish(name, found, ino=inodes.get(name)))
            return wishes

        return transact(tree, plain, host.boot_id, options, progress, state, prepare)
    same: dict[int, tuple[Write, ...]] = {}  # by identity: one Limits for many VEs is the usual case
    for asked in limits.values():
        if id(asked) not in same:
            same[id(asked)] = _asked(expand.disks(asked), host, options)
    wishes = [Wish(name, same[id(asked)], ino=inodes.get(name)) for name, asked in limits.items()]
    return transact(tree, wishes, host.boot_id, options, progress, state)


def _asked(limits: Limits, host: Host, options: Options) -> tuple[Write, ...]:
    """The entries that the limits ask for. Raises UsageError for what needs ``options.force``."""
    found = writes(limits, host)
    for write in found:
        if write.file.protects and write.wanted == "max" and not options.force:
            raise UsageError(
                f"{write.file.name}: max protects all memory of the VE, and others are reclaimed or killed instead. "
                "Write 0 to take the protection away, or use --force"
            )
    return found


def transact(
    tree: Tree,
    wishes: Sequence[Wish],
    boot_id: str,
    options: Options,
    progress: Progress = quiet,
    state: State | None = None,
    prepare: Callable[[Sequence[Cgroup]], Sequence[Wish]] | None = None,
    given: Sequence[plan.Enable] = (),
) -> Account:
    """The engine's core: make these entries so, or change nothing. See ``adjust``.

    ``given``: controllers that were enabled for what is taken back now; they go where nobody needs them.

    ``prepare``: makes the wishes' final form when the VEs are open and locked, for what depends on what is there.
    """
    files = _UNKNOWN if prepare else max((len(wish.writes) for wish in wishes), default=0)
    raise_file_limit(len(wishes) * (1 + files))
    with ExitStack() as stack:
        state = state or stack.enter_context(default_state())
        opened: list[Cgroup] = []
        stack.callback(_close, opened)
        notes: list[str] = []
        tree.open_ves([wish.name for wish in wishes], opened)
        _check(tree, wishes, opened)
        if not options.dry_run:
            locks = stack.enter_context(Locks(make(state), options.wait))
            notes += _lock(tree, boot_id, state, opened, locks, options, bool(prepare))

        def look() -> tuple[list[plan.Change], list[plan.Enable | plan.Disable], list[str]]:
            changes, enables, said = _look(tree, prepare(opened) if prepare else wishes, opened, options)
            return changes, [*enables, *unneeded(tree, given, changes)], said

        cgroups = {ve.path: ve for ve in opened}
        changes, switches, said = look()
        while not options.dry_run and (new := [step.path for step in switches if step.path not in cgroups]):
            # Whoever switches controllers has that cgroup alone, for rolling back would take others' limits away.
            cgroups |= {path: stack.enter_context(tree.walk(path)) for path in new}
            notes += _lock(tree, boot_id, state, cgroups.values(), locks, options, bool(prepare))
            _close_edits(opened)
            changes, switches, said = look()
        notes += said
        try:
            steps = plan.steps(changes, switches, options.force)
        except ValueError as error:
            raise UsageError(str(error)) from None
        names = {ve.path: wish.name for wish, ve in zip(wishes, opened, strict=True)}
        if options.dry_run or not steps:
            return Account(None, outcomes(names, steps, "planned"), tuple(notes))
        inodes = {step.path: cgroups[step.path].ino for step in steps}
        record = Record(new_id(), time.time(), boot_id, options.command, inodes, steps, options.undoes)
        notes += _run(tree, Journal(state, record), cgroups, names, options, progress)
        return Account(record.id, outcomes(names, steps, "changed"), tuple(notes))


def _run(
    tree: Tree,
    journal: Journal,
    cgroups: Mapping[str, Cgroup],
    names: Mapping[str, str],
    options: Options,
    progress: Progress,
) -> list[str]:
    """Run the journal's steps and close it, whatever comes; a failed rolling back alone leaves it open."""
    steps = journal.record.steps
    try:
        progress(Event("journal", 0, len(steps)))
        notes = run(steps, cgroups, options.deadline, progress, journal.decide_back)
    except BaseException as error:
        in_doubt = isinstance(error, RollbackError)
        if isinstance(error, RctlError):
            error.account = Account(
                None, failed(names, steps, error.reached, "in doubt" if in_doubt else "rolled back")
            )
        if in_doubt:
            journal.abandon()
        else:
            journal.close(done=False)
        if isinstance(error, RctlError) and error.reached:
            failures.note(journal.state, steps[error.reached - 1], error)
        raise
    with undisturbed():
        notes += journal.close(done=True)
    notes += caveats(tree, steps, cgroups)
    progress(Event("close", len(steps), len(steps)))
    return notes


def _lock(
    tree: Tree,
    boot_id: str,
    state: State,
    ours: Collection[Cgroup],
    locks: Locks,
    options: Options,
    chooses: bool,
) -> list[str]:
    """Have cgroups alone and their parents shared, and settle what a crash left of them. Returns notes for people."""
    alone = [(ve.ino, ve.path) for ve in ours]
    shared = _parents(tree, ours) if len(ours) < MANY else set()
    locks.take([*alone, (_ALLOCATION, "vcpus")] if chooses else alone, shared)
    return recover_for(tree, boot_id, state, options.deadline, locks, dict(alone), time.monotonic() + options.wait)


def _close(opened: Iterable[Cgroup]) -> None:
    for ve in opened:
        ve.close()


def _close_edits(opened: Iterable[Cgroup]) -> None:
    for ve in opened:
        ve.close_edits()


def _parents(tree: Tree, opened: Iterable[Cgroup]) -> set[tuple[int, str]]:
    """The cgroups right above, as (inode, path), without those that are among ``opened`` themselves."""
    found: dict[str, int] = {"/": tree.root.ino}
    own = {ve.path for ve in opened}
    for ve in opened:
        above = ve.path.rpartition("/")[0] or "/"
        if above not in found:
            with tree.walk(above) as parent:
                found[above] = parent.ino
    return {(ino, path) for path, ino in found.items() if path not in own}


def _check(tree: Tree, wishes: Sequence[Wish], opened: Sequence[Cgroup]) -> None:
    """Every VE is the one that is meant, and rctl's to write."""
    systemd = single_writer.applies()
    seen: dict[int, str] = {}
    for wish, ve in zip(wishes, opened, strict=True):
        if (twin := seen.setdefault(ve.ino, wish.name)) != wish.name:
            raise UsageError(f"{wish.name}: is the same VE as {twin}. Name it once")
        if wish.ino is not None and ve.ino != wish.ino:
            raise GoneError(f"{ve.path}: is another VE of the same name by now (the old one was removed). See rctl ls")
        if systemd:
            single_writer.check(tree, ve)


def _look(
    tree: Tree, wishes: Sequence[Wish], opened: Sequence[Cgroup], options: Options
) -> tuple[list[plan.Change], tuple[plan.Enable, ...], list[str]]:
    """Read what is there, and find the controllers that must be enabled first. Returns notes for people too.

    Files are opened for writing here, so that a missing privilege shows before anything is changed.
    """
    changes: list[plan.Change] = []
    enables: list[plan.Enable] = []
    notes: list[str] = []
    for wish, ve in zip(wishes, opened, strict=True):
        texts = Texts(ve)
        wanted, clears = wish.writes, False
        for write in wanted:
            name = write.file.name
            if write.if_there and not ve.has(name):
                texts[name] = None
                continue
            try:
                texts[name] = ve.edit(name)
            except NotAvailableError:
                texts[name] = None
                enables += missing(tree, ve.path, write.file)
            clears = clears or not write.wanted
        if wish.expected and not options.force:
            _check_unchanged(ve, wish, texts)
        if clears:
            wanted = tuple(write if write.wanted else _with_tasks(write, ve, texts, notes) for write in wanted)
        changes.append(plan.Change(ve.path, wanted, texts))
    return changes, merged(enables), notes


def _with_tasks(write: Write, ve: Cgroup, texts: Texts, notes: list[str]) -> Write:
    """A list that cannot be emptied under tasks is widened instead (``widen``).

    Planned here and not left to the write, so that journal, undo and recover know what the file will hold.
    """
    now = (texts[write.file.name] or "").strip() if widen.applies(write.file) else ""
    if not now or not core.parse({core.EVENTS: texts[core.EVENTS] or ""}).populated:
        return write
    everything = widen.everything(write.file)
    if now != everything:
        widen.check(ve, write.file)
        notes.append(widen.note(ve, write.file))
    return msgspec.structs.replace(write, wanted=everything)


def _check_unchanged(ve: Cgroup, wish: Wish, texts: Texts) -> None:
    for (name, key), entry in wish.expected.items():
        now = file_named(name).entry(texts[name], key)
        if now != entry:
            raise RctlError(
                f"{name}: on {ve.path} is {now or 'empty'} by now, and was {entry or 'empty'} after that adjustment. "
                "Look at it with rctl show, or overwrite it with --force"
            )
