"""The front door: one object with every operation of rctl on one host.

    import rctl

    with rctl.session() as s:
        s.adjust({"web*": {"memory.max": "2G"}, "db": {"cpu.max": 1.5}})
        for row in s.list():
            print(row.name, row.memory)
        s.undo()

Each verb of the command line parses, calls one method of a Session, and prints. Where a method takes several VEs, their
names may be patterns: ``web*``, ``/system.slice/*.service``, ``label:env=prod``.
Units, containers, pods and users have names, too: ``nginx.service``, ``docker:web``, ``pod:prod/web-0``, ``user:bob``.

The methods that change something are here, those about limits that last in ``session_lasting``, those whose changes
take time in ``session_gradual``, those that only read in ``session_reads``. ``session_base`` opens the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import UsageError
from .session_base import THAW, Asked
from .session_gradual import SessionGradual
from .session_lasting import SessionLasting

if TYPE_CHECKING:
    from ..adjust.account import Account
    from ..adjust.request import Options
    from ..adjust.undoing.undo import Undone
    from ..limits import Limits
    from ..spec import Spec
    from ..ve.apply import Applied
    from ..ve.reclaim import Reclaimed
    from ..ve.remove import Removal
    from ..ve.run import Ran
    from .ve import VE

SIGTERM = 15
"""signal.SIGTERM. The module signal costs time, and few calls need it."""
_FREEZE = {"files": {"cgroup.freeze": "1"}}


class Session(SessionGradual, SessionLasting):
    """rctl on one host. Use it as a context manager, or call ``close()``.

    It opens each thing when it is first needed: the cgroup2 mount (``RCTL_MOUNT``, ``RCTL_TREE``), the host's facts,
    the state folders (``RCTL_STATE``).

    These parameters mean the same in all methods:

    - ``name``: of one VE, or the path of a cgroup with a leading slash;
    - ``patterns``: names of several VEs, or patterns;
    - ``deadline``: seconds for memory to be freed, or for processes to end (10);
    - ``wait``: seconds to wait for other adjustments of the same VEs (30);
    - ``force``: let the kernel kill, and overwrite values that were changed since;
    - ``dry_run``: plan, and change nothing.

    A method that changes something returns an ``Account`` with the changes to each VE, unless it says otherwise. If it
    raises RctlError, nothing is changed; the error's ``account`` says how far each VE came. The kinds of RctlError are
    UsageError for a wrong request, NotFoundError for an unknown name or pattern, BusyError for a VE that another
    adjustment holds, ShrinkError for memory that was not freed in time. Only RollbackError means that something could
    not be put back.
    """

    def open(self, name: str) -> VE:
        """One VE, held open: its attributes read and write its limits.

        Returns the VE. Use it as a context manager, or close it. Raises NotFoundError, and NotAvailableError without
        cgroup2.
        """
        from ..adjust.request import Options
        from .ve import VE

        return VE(self, name, Options(command=self.command))

    # Limits.

    def adjust(
        self,
        limits: Mapping[str, Asked | Limits],
        *,
        deadline: float = 10.0,
        wait: float = 30.0,
        force: bool = False,
        dry_run: bool = False,
        lasting: float | None = None,
        runtime: bool = False,
    ) -> Account:
        """Set limits of VEs, by name or pattern, as one transaction.

        ``limits``: by name or pattern, and for each by key: ``{"web*": {"memory.max": "2G", "cpu.max": 1.5}}``. Numbers
        are bytes, CPUs or microseconds, as the limit has them. A limit that is not named stays as it is. ``max`` is
        no limit, ``default`` is the value of a new VE. ``runtime``: until the next boot only; otherwise an owner that
        stores limits, such as systemd, keeps them. ``lasting``: seconds after which the old values come back; see
        ``timers``. A process waits for that, also if this one ends.

        Raises UsageError if two patterns give one VE different limits, and as described above.
        """
        from ..adjust.engine import adjust

        asked = self._by_name(limits)
        how = self._options(deadline, wait, force, dry_run, runtime)
        if lasting is None:
            return adjust(self.site, asked, how)
        from ..over_time.timers import adjust_for

        return adjust_for(self.site, asked, how, lasting)

    def reset(
        self,
        patterns: str | Sequence[str],
        *keys: str,
        deadline: float = 10.0,
        wait: float = 30.0,
        force: bool = False,
        dry_run: bool = False,
    ) -> Account:
        """Set limits of VEs back to the values of a new VE, as one transaction.

        ``patterns``: one, or several. ``keys``: of limits, such as ``memory.max``; ``io.max`` is that of all disks.
        Raises UsageError for an unknown key.
        """
        from ..names.patterns import match
        from ..ve import copy

        names = match(self.tree, [patterns] if isinstance(patterns, str) else patterns, self.tell)
        return copy.reset(self.site, names, keys, self._options(deadline, wait, force, dry_run))

    def copy(
        self,
        name: str,
        *patterns: str,
        deadline: float = 10.0,
        wait: float = 30.0,
        force: bool = False,
        dry_run: bool = False,
    ) -> Account:
        """Copy the limits of the VE ``name`` to other VEs, as one transaction.

        If it has no limit for a key, the others get no limit for it either. Raises UsageError if it is among them.
        """
        from ..names.patterns import one
        from ..ve import copy

        source, names = one(self.tree, name), self.match(*patterns)
        return copy.copy(self.site, source, names, self._options(deadline, wait, force, dry_run))

    def apply(
        self,
        spec: str | Spec,
        *,
        prune: bool = False,
        deadline: float = 10.0,
        wait: float = 30.0,
        force: bool = False,
        dry_run: bool = False,
        runtime: bool = False,
    ) -> Applied:
        """Make and change VEs to match a spec, as one transaction. Makes missing VEs, and writes only differences.

        ``spec``: a TOML file (``-``: standard input), or a Spec. Units, containers and cgroups by path that it names
        must exist. ``prune``: remove VEs of rctl's own that it does not name; if one of these has processes, nothing is
        done (BusyError). ``runtime``: as for ``adjust``.

        Returns an Applied: the VEs that were made, removed and labelled, and the account. Raises UsageError for a wrong
        spec, with its file and place; NotFoundError for what does not exist.
        """
        from ..spec import naming_file
        from ..ve import apply

        how = self._options(deadline, wait, force, dry_run, runtime)
        found = self._spec(spec)
        with naming_file(spec):
            return apply.apply(self.site, found, how, prune=prune)

    def diff(self, spec: str | Spec, *, prune: bool = False) -> Applied:
        """Show what ``apply`` would do. Changes nothing.

        ``spec``, ``prune``: as for ``apply``. Returns an Applied with the plan in its account. Raises what ``apply``
        raises.
        """
        return self.apply(spec, prune=prune, dry_run=True)

    def freeze(self, *patterns: str, deadline: float = 10.0, wait: float = 30.0) -> Account:
        """Stop all processes of VEs, all VEs or none. Waits until every process has stopped."""
        return self.adjust(dict.fromkeys(patterns, _FREEZE), deadline=deadline, wait=wait)

    def thaw(self, *patterns: str, deadline: float = 10.0, wait: float = 30.0) -> Account:
        """Let the processes of frozen VEs continue, all VEs or none. Notes name the VEs that a cgroup above freezes."""
        from ..adjust.lifecycle.freeze import stays_frozen

        return stays_frozen(self.tree, self.adjust(dict.fromkeys(patterns, THAW), deadline=deadline, wait=wait))

    def reclaim(
        self, name: str, size: int | str, *, swappiness: int | None = None, deadline: float = 10.0
    ) -> Reclaimed:
        """Free memory of a VE now. No limit changes, and no process is killed. ``size``: bytes, or text (``512M``).

        ``swappiness``: 0 frees file cache only, 200 swaps first; unset: as ``vm.swappiness``.

        Returns the bytes asked for, freed, and in use now. Raises NotAvailableError if the kernel does not have
        ``memory.reclaim`` (Linux 5.19), or its ``swappiness`` (6.11).
        """
        from ..names.patterns import one
        from ..ve.reclaim import reclaim

        return reclaim(self.site, one(self.tree, name), size, deadline, swappiness)

    # VEs and their processes.

    def run(
        self,
        name: str,
        command: Sequence[str],
        limits: Asked | Limits | None = None,
        *,
        become: bool = False,
        detach: bool = False,
        remove: bool = False,
        lean: bool = False,
        thaw: bool = False,
        deadline: float = 10.0,
        wait: float = 30.0,
    ) -> Ran:
        """Run a command in a VE, and wait for its end. Makes the VE if it is missing.

        ``command``: the program, and its arguments. ``limits``: of the VE, by key.

        ``become``: this process becomes the command instead; not together with ``detach`` or ``remove``.
        ``detach``: do not wait. ``remove``: remove the VE after the command has ended; not together with ``detach``.
        ``lean``: without pressure accounting. ``thaw``: thaw a frozen VE first.

        Returns the process id, and the exit status as a shell has it: 128 + N for signal N. Raises UsageError for a
        command that cannot be run, and for options that exclude one another.
        """
        from ..ve.run import run

        if become and (detach or remove):
            raise UsageError("run: become cannot be combined with detach or remove. Leave one of them out")
        if detach and remove:
            raise UsageError(f"run: --detach cannot be combined with --rm. Leave --rm out; later: rctl rm {name}")
        how = self._options(deadline, wait)
        return run(
            self.site, name, command, self.typed(limits or {}, thaw=thaw), how,
            become=become, detach=detach, remove=remove, without_pressure=lean,
        )  # fmt: skip

    def attach(self, name: str, *pids: int, thaw: bool = False, deadline: float = 10.0, wait: float = 30.0) -> Account:
        """Move processes into a VE, all of them or none. Makes the VE if it is missing.

        ``pids``: their ids. Memory that they hold already stays charged to their old cgroup. ``thaw``: thaw a frozen VE
        first. Raises NotFoundError for a process that has ended.
        """
        from ..ve.attach import attach

        return attach(self.site, name, pids, self._options(deadline, wait), self.typed({}, thaw=thaw))

    def remove(
        self, *patterns: str, kill: bool = False, deadline: float = 10.0, wait: float = 30.0, dry_run: bool = False
    ) -> Removal:
        """Remove VEs, as one transaction.

        ``kill``: end their processes first. Returns a line for people about each VE. Raises BusyError, and removes
        none, if one has processes and ``kill`` is not set.
        """
        from ..names.patterns import match
        from ..ve.remove import check_own, remove

        check_own(patterns)
        how = self._options(deadline, wait, dry_run=dry_run)
        return remove(self.site, match(self.tree, patterns, self.tell, managed=True), how, kill=kill)

    def rename(self, name: str, new: str) -> Account:
        """Give an empty VE the name ``new``. One with processes keeps its name (BusyError)."""
        from ..ve import copy

        return copy.rename(self.site, name, new, self._options())

    def label(
        self, *patterns: str, labels: Mapping[str, str] = {}, remove: Sequence[str] = ()
    ) -> Mapping[str, Mapping[str, str]]:
        """Set and remove labels of VEs, all or nothing.

        ``labels``: to set. ``remove``: keys to remove. The history notes them for VEs that are made anew, and undo
        passes over that. Returns all labels of each VE. Raises UsageError for a label that is not allowed.
        """
        from ..names.patterns import match, shown
        from ..ve import label

        names = match(self.tree, patterns, self.tell)
        if not labels and not remove:
            names = shown(self.tree, names, patterns, self.tell)
        return label.label(self.site, names, labels, remove, self.command)

    def kill(self, *patterns: str, signal: int = SIGTERM) -> Mapping[str, int]:
        """Send a signal to all processes of VEs. ``signal``: its number.

        Returns the number of processes that got it, by VE. Raises NotFoundError.
        """
        from ..names.patterns import match
        from ..ve.processes import send

        return send(self.tree, match(self.tree, patterns, self.tell), signal)

    # The history.

    def undo(
        self,
        id: str | None = None,  # noqa: A002 (the word that the history uses)
        *,
        ve: str | None = None,
        last: int = 1,
        deadline: float = 10.0,
        wait: float = 30.0,
        force: bool = False,
        dry_run: bool = False,
        each: Callable[[Undone], object] | None = None,
    ) -> Sequence[Undone]:
        """Take back the last adjustment, or the ``last`` N, or those of one VE (``ve``), or the one with an ``id``.

        A limit that was changed since is overwritten only with ``force``. ``each`` is called after each adjustment.

        Returns an Undone for each: the record, and the account of taking it back. Raises NotFoundError if there is
        nothing to undo, GoneError if its VEs were removed, RctlError if a limit was changed since, or if a newer rctl
        made an adjustment in between.
        """
        from ..adjust.undoing.undo import undo
        from ..names.patterns import one

        how = self._options(deadline, wait, force, dry_run)
        name = None if ve is None else one(self.tree, ve)
        found = undo(self.site, how, id, ve=name, last=last, each=each)
        if not dry_run and any(one.record.until for one in found):
            from ..over_time.waker import look_again

            look_again(self.site.state)
        return found

    def recover(self, *, deadline: float = 10.0, wait: float = 30.0) -> Sequence[str]:
        """Settle adjustments that a crash left open: complete one if all was written, otherwise put it back.

        It also ends timed adjustments whose time is over.

        Returns a line for people about each, and about each adjustment that is under way in another process.

        Raises RollbackError if one could not be settled.
        """
        from ..adjust.recovery.recover import recover
        from ..over_time.timers import settled

        return [*recover(self.site, deadline, wait), *settled(self.site, self._options(deadline, wait))]


session = Session
"""``rctl.session()``: a Session."""


def open(name: str, options: Options | None = None) -> VE:  # noqa: A001 (as in os.open)
    """Open a VE by name, or any cgroup by its path with a leading slash.

    ``name``: its name or path. ``options``: for all assignments, such as how long to wait; unset: the defaults. Returns
    a VE: use it as a context manager, or close it. Raises NotFoundError, NotAvailableError.
    """
    from ..adjust.request import Options
    from .ve import VE

    session = Session()
    try:
        return VE(session, name, options or Options(), owned=True)
    except BaseException:
        session.close()
        raise
