"""One attempt of a transaction: all entries of all VEs are set, or none.

Lock, read, plan, journal, then step by step write and read back; roll back on any failure; close the journal. The lock
comes before the read, so what was planned is still true when it is written.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress

import msgspec

from ..cgroupfs.cgroup import Cgroup
from ..errors import BusyError, NotFoundError, RctlError, RollbackError, UsageError, note_outcome
from ..signals import undisturbed
from . import owner
from .account import Account, done, failed, outcomes
from .caveats.caveats import caveats
from .locks import MANY, Locks, parents
from .planning import plan
from .planning.current import Seen, look
from .planning.intended import allowed, check_intended
from .progress import Event
from .records import disk_names, failures, wishes
from .records.as_shown import tell_as_shown
from .records.journal import HALF_DONE, Journal, any_open, new_id
from .records.record_format import Record, version_of
from .request import NOTHING, Around
from .request import Options as Options
from .request import Wish as Wish
from .run_plan import run
from .site import Site
from .state_folder import make
from .steps import Enable, Remove, Renew, Start, Step, Want, lasts, sets_cpus, touched
from .writers.base import Writer

_ALLOCATION = 0
"""No inode has this number: it is for the lock of an adjustment that chooses CPUs."""


class Transaction(msgspec.Struct, frozen=True):
    """One attempt: the data of all its parts.

    ``notes`` for people are added on the way, and the ``writers`` of VEs, by path.
    """

    site: Site
    wishes: Sequence[Wish]
    options: Options
    prepare: Callable[[Sequence[Cgroup]], Sequence[Wish]] | None
    around: Around
    given: Sequence[Enable]
    notes: list[str]
    writers: dict[str, Sequence[Writer]]
    stack: ExitStack

    def done(self) -> Account | None:
        """The whole transaction. ``None``: after locking, other VEs existed than before, so try again."""
        opened: list[Cgroup] = []
        self.stack.callback(_close, opened)
        absent = () if self.options.dry_run else self.around.missing(self.site.tree)
        present = [wish for wish in self.wishes if wish.name not in absent] if absent else self.wishes
        self.site.tree.open_ves([wish.name for wish in present], opened)
        check_intended(self.site.tree, present, opened)
        self.writers.update(allowed(self.site.tree, present, opened, self.around, self.options.till_boot))
        if not self.options.force:
            for ve, wish in zip(opened, present, strict=True):
                if owner.PODS in ve.path:
                    owner.check_pod(self.site.tree, ve.path, wish.writes)
        if self.options.dry_run:
            return self.planned(opened)
        alone = {ve.path: ve for ve in opened}
        if absent:
            alone[self.site.tree.base] = self.stack.enter_context(self.site.tree.place())
        locks = self.stack.enter_context(Locks(make(self.site.state), self.options.wait, self.site.progress))
        if not self.lock(locks, alone) or (absent and self.around.missing(self.site.tree) != absent):
            return None
        journal = self.make(locks, absent, alone, opened) if absent else None
        return self.changed(locks, alone, opened, journal)

    def planned(self, opened: Sequence[Cgroup]) -> Account:
        """The account of a dry run."""
        seen = self.look(opened)
        from .planning.precheck import check

        limits = _steps(seen, self.options)
        cgroups = {ve.path: ve for ve in opened}
        renewed = self.renewed(seen, limits, cgroups)
        unchecked = check(limits, cgroups, self.site.tree)
        steps = plan.ended(limits, self.last(opened, limits), renewed)
        said = [
            f"{name}: set as well, where it comes with the controller that is enabled" for name in sorted(seen.open)
        ]
        said += seen.notes
        said += unchecked
        said += caveats(self.site.tree, steps, cgroups, planned=True)
        return Account(None, outcomes(self.names(opened), steps, "planned"), (*self.notes, *said))

    def look(self, opened: Sequence[Cgroup]) -> Seen:
        """The present state and the wishes, and the controllers to switch."""
        wished = self.prepare(opened) if self.prepare else self.wishes
        seen = look(self.site.tree, wished, opened, self.options, self.writers)
        if not self.given:
            return seen
        from .enabling.disable import unneeded

        removed = {self.site.tree.path(name) for name in self.around.remove}
        return msgspec.structs.replace(
            seen, switches=[*seen.switches, *unneeded(self.site.tree, self.given, seen.changes, removed)]
        )

    def renewed(self, seen: Seen, limits: Sequence[Step], cgroups: Mapping[str, Cgroup]) -> list[Renew]:
        """The partitions that get or lose CPUs. Raises BusyError for a partition that no kernel makes."""
        if self.around is NOTHING and not sets_cpus(limits):
            return []  # nearly always so
        from .planning import partitions

        sets, freed = partitions.relevant(limits), self.around.freed
        removed = [self.site.tree.path(name) for name in self.around.remove]
        if not (sets or removed or freed):
            return []
        asked = partitions.asked(seen.changes, sets)
        if asked:
            from .planning.precheck import check_partitions

            check_partitions(asked, limits, cgroups, self.site.tree, removed)
        return partitions.concerned(self.site.tree, sets, cgroups, removed, freed, asked)

    def last(self, opened: Sequence[Cgroup], limits: Sequence[Step]) -> Sequence[Step]:
        """The steps after the limits."""
        if self.around is NOTHING:
            return ()
        from .before_and_after import after

        return after(self.around, self.site.tree, opened, limits)

    def names(self, opened: Sequence[Cgroup]) -> dict[str, str]:
        """The VEs' names by path."""
        return {ve.path: wish.name for wish, ve in zip(self.wishes, opened, strict=True)}

    def lock(self, locks: Locks, alone: Mapping[str, Cgroup], own: Journal | None = None) -> bool:
        """Lock cgroups, alone, and their parents, shared; settle open journals of these. False if one was removed.

        ``own``: the journal of this adjustment, which has begun.
        """
        if len(alone) >= MANY:
            locks.take_all()
        else:
            inodes = [(cgroup.ino, path) for path, cgroup in alone.items()]
            locks.take([*inodes, (_ALLOCATION, "vcpus")] if self.prepare else inodes, parents(self.site.tree, alone))
        if not any_open(self.site.state):
            return True
        from .recovery.recover import recover_for

        until = time.monotonic() + self.options.wait
        deadline, apart = self.options.deadline, own.record.id if own else ""
        told = recover_for(self.site, deadline, locks, alone.values(), until, apart)
        self.notes.extend(line for line in told if line not in self.notes)
        return not told or all(cgroup.alive() for cgroup in alone.values())

    def make(self, locks: Locks, absent: Sequence[str], alone: dict[str, Cgroup], opened: list[Cgroup]) -> Journal:
        """Make the missing VEs, locked from the beginning, and insert them into ``opened``."""
        from .before_and_after import made

        base = alone[self.site.tree.base]
        making = made(self.site, self.options.command, absent, base, self.around.instead)
        journal, new = self.stack.enter_context(making)
        if not locks.add((ve.ino, ve.path) for ve in new.values()):
            raise BusyError(f"{absent[0]}: another adjustment took it the moment it was made. Try again")
        alone |= {ve.path: ve for ve in new.values()}
        opened[:] = [alone[self.site.tree.path(wish.name)] for wish in self.wishes]
        return journal

    def changed(
        self, locks: Locks, alone: dict[str, Cgroup], opened: Sequence[Cgroup], journal: Journal | None
    ) -> Account | None:
        """Look, plan, and carry out the plan."""
        seen = self.look(opened)
        limits = _steps(seen, self.options)
        renewed = self.renewed(seen, limits, alone)
        while new := [step.path for step in (*seen.switches, *renewed) if step.path not in alone]:
            # To switch controllers, lock that cgroup alone: a roll-back would remove others' limits.
            beside = {step.path for step in renewed}
            for path in new:
                with suppress(*[NotFoundError] * (path in beside)):  # a cgroup that was removed meanwhile is not found
                    alone[path] = self.stack.enter_context(self.site.tree.walk(path))
            if not self.lock(locks, alone, journal):
                if journal is None:
                    return None
                gone = next(path for path, cgroup in alone.items() if not cgroup.alive())
                raise BusyError(f"{gone}: another adjustment removed it meanwhile. Try again")
            _close_edits(opened)
            seen = self.look(opened)
            limits = _steps(seen, self.options)
            renewed = self.renewed(seen, limits, alone)
        before = journal.record.steps if journal else ()
        if seen.open:
            from .before_and_after import enabled_first

            first = tuple(step for step in limits if isinstance(step, Enable))
            tentative = self.written(journal, (*before, *limits), alone)
            self.stack.enter_context(enabled_first(tentative, first, alone, made=journal is not None))
            journal, before, seen = tentative, (*before, *first), self.look(opened)
            limits = _steps(seen, self.options)
        self.notes.extend(seen.notes)
        last = self.last(opened, limits)
        steps = (*before, *self.wanted(seen, limits), *plan.ended(limits, last, renewed))
        names = self.names(opened)
        if not steps:
            return Account(None, outcomes(names, steps, "planned"), tuple(self.notes))
        besides = dict.fromkeys(path for step in last for path in touched(step))
        alone |= {path: self.stack.enter_context(self.site.tree.walk(path)) for path in besides if path not in alone}
        journal = self.written(journal, steps, alone, besides)
        self.notes.extend(self.run(journal, alone, names, len(before)))
        told = [step for step in steps if not isinstance(step, Want)]
        if not told:
            return Account(None, outcomes(names, (), "planned"), tuple(self.notes))
        if before or last:
            ended = done(names, told, lambda path: alone[path].alive())
        else:
            ended = outcomes(names, told, "changed")
        return Account(journal.record.id, ended, tuple(self.notes))

    def wanted(self, seen: Seen, limits: Sequence[Step]) -> tuple[Want, ...]:
        """The wishes for values that are there already. What puts something back, or passes, asks for nothing."""
        how = self.options
        if how.undoes or how.restores or how.until:
            return ()
        return wishes.new(self.site.state, self.site.boot_id, plan.held(seen.changes, limits), self.named)

    def named(self, path: str) -> str:
        """The stable name of a container; empty: it is none."""
        return self.site.named(path) if len(path) > owner.SHORT else ""

    def written(
        self,
        journal: Journal | None,
        steps: tuple[Step, ...],
        cgroups: Mapping[str, Cgroup],
        besides: Iterable[str] = (),
    ) -> Journal:
        """The journal, new or existing, with these steps on disk."""
        touched = dict.fromkeys([*[step.path for step in steps], *besides])
        inodes = {path: cgroups[path].ino for path in touched}
        how, boot_id = self.options, self.site.boot_id
        names = {path: name for path in touched if (name := self.named(path))}
        disks = disk_names.of(steps)
        lasting = how.lasting | ({"names": names} if names else {}) | ({"disks": disks} if disks else {})
        version = version_of(steps, lasting=bool(lasting), disks=bool(disks))
        record = Record(new_id(), time.time(), boot_id, how.command, inodes, steps, how.undoes, version, **lasting)
        if journal is None:
            with undisturbed():  # a Ctrl-C must not come between making the journal and noting it
                journal = Journal(self.site.state, record)
                self.stack.push(lambda _, error, __: journal.let_go(error))
            return journal
        journal.extend(msgspec.structs.replace(record, id=journal.record.id, time=journal.record.time))
        return journal

    def run(self, journal: Journal, cgroups: Mapping[str, Cgroup], names: Mapping[str, str], already: int) -> list[str]:
        """Run the journal's steps and close it; ``already``: the number of steps that are done.

        A failed roll-back leaves it open, and so does an error before the first step.
        """
        steps, deadline = journal.record.steps, self.options.deadline
        removes = [step for step in steps if isinstance(step, Remove)] if self.around.remove else []
        first = steps.index(removes[0]) if removes else None
        notes: list[str] = []

        def commit() -> None:
            tell_as_shown(journal, cgroups)
            notes.extend(journal.close(done=lasts(steps)))

        def finish() -> None:
            journal.stepped = True
            if self.around.start is not None:
                ve = cgroups[steps[-1].path]
                self.around.start(ve, journal, commit, [*self.notes, *caveats(self.site.tree, steps, cgroups)])
            elif removes:
                journal.decide_forward()
            journal.finished = True

        try:
            self.site.progress(Event("journal", 0, len(steps)))
            notes += run(steps, cgroups, deadline, self.site.progress, journal.decide_back, finish, already, first)
            if removes:
                from .before_and_after import removed

                notes += removed(removes, steps, cgroups, deadline)
            if journal.open:
                commit()
            notes += caveats(self.site.tree, steps, cgroups)
            self.site.progress(Event("close", len(steps), len(steps)))
        except BaseException as error:
            if journal.undone:
                self.failed(journal, names, error)
            elif journal.finished:
                note_outcome(error, HALF_DONE if journal.open else "was completed")
                journal.abandon()  # the decision is written: recover carries it out
            raise
        return notes

    @staticmethod
    def failed(journal: Journal, names: Mapping[str, str], error: BaseException) -> None:
        """Report the state of the VEs, and close the journal if everything was put back."""
        steps, in_doubt = journal.record.steps, isinstance(error, RollbackError)
        if isinstance(error, RctlError):
            error.account = Account(
                None, failed(names, steps, error.reached, "in doubt" if in_doubt else "rolled back")
            )
        if in_doubt:
            journal.abandon()
        else:
            if isinstance(steps[-1], Start) and journal.told():  # the child reported it, and was killed soon after
                journal.revoke()
            journal.close(done=False)
            note_outcome(error, "was put back")
        if isinstance(error, RctlError) and error.reached and not journal.stepped:
            failures.note(journal.state, steps[error.reached - 1], error)


def _steps(seen: Seen, options: Options) -> tuple[Step, ...]:
    try:
        return plan.steps(seen.changes, seen.switches, options.force)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _close(opened: Iterable[Cgroup]) -> None:
    for ve in opened:
        ve.close()


def _close_edits(opened: Iterable[Cgroup]) -> None:
    for ve in opened:
        ve.close_edits()
