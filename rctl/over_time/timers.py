"""Timed adjustments: their limits go back when their time is over, unless somebody changed them meanwhile.

Timers are part of the desired limits, so they are as safe as the history. The end of a timer is an undo of its
adjustment, for those entries that still hold its values.
"""

from __future__ import annotations

import fcntl
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import msgspec

from ..adjust.account import Account
from ..adjust.engine import adjust, transact
from ..adjust.records.checkpoint import desired_limits
from ..adjust.records.desired_limits import DesiredLimits, DesiredVe, Layer, Timer
from ..adjust.records.history import append
from ..adjust.records.journal import new_id
from ..adjust.records.record_format import Record, encode, version_of
from ..adjust.request import Options, Wish
from ..adjust.site import Site
from ..adjust.state_folder import lock_file
from ..adjust.steps import SetThrough
from ..cgroupfs.cgroup import Cgroup
from ..errors import NotFoundError, RctlError, UsageError
from ..formats import Whole, Write
from ..limits import Limits, file_named
from .drifting import file_and_key, learn_names, opened
from .waker import awaited, look_again

_LONGEST = 366 * 86400.0


class TimedLimit(msgspec.Struct, frozen=True):
    """A limit of a timed adjustment, which has ``set_to`` this value. ``then``: the value to which it goes back.

    ``now``: the value that the kernel has; empty if the VE is gone. ``stays``: why it will stay as it is; empty if it
    goes back. ``there``: False if the VE is gone.
    """

    ve: str
    limit: str
    device: str
    now: str
    then: str
    stays: str = ""
    there: bool = True
    set_to: str = ""


class TimerRow(msgspec.Struct, frozen=True):
    """A timed adjustment. ``set_at``, ``until``: in seconds since 1970. ``left``: seconds; negative if overdue."""

    id: str
    command: str
    set_at: float
    until: float
    left: float
    limits: tuple[TimedLimit, ...]


class Ended(msgspec.Struct, frozen=True):
    """A timer that ended. ``notes``: for people, about limits that stay."""

    id: str
    notes: tuple[str, ...]


def adjust_for(site: Site, limits: Mapping[str, Limits], options: Options, seconds: float) -> Account:
    """Set limits as ``adjust`` does, and put the old values back after some seconds. A process waits for that.

    Raises UsageError for a time that is none, and as ``adjust``.
    """
    check(seconds)
    if options.dry_run:
        return noted(adjust(site, limits, msgspec.structs.replace(options, until=time.time() + seconds)))
    with awaited(site):
        until = time.time() + seconds
        account = noted(adjust(site, limits, msgspec.structs.replace(options, until=until)))
    note = "nothing differs, so there is no timer" if account.id is None else come_back(account.id, until)
    return msgspec.structs.replace(account, notes=(*account.notes, note))


def check(seconds: float | None, least: float = 0.0, what: str = "--for") -> None:
    """Check the time of a timed change, of whose parts each takes so long at ``least``. Raises UsageError."""
    if seconds is None:
        return
    if not 0 < seconds < _LONGEST:
        raise UsageError(f"{what}: the time must be more than 0, and at most a year. Write it like 10m or 2h")
    if seconds <= least:
        raise UsageError(
            f"--for: {seconds:g} s can be over before the next part of the change begins. "
            f"Give more than {math.ceil(least)}s"
        )


def waiting(site: Site, seconds: float | None) -> AbstractContextManager[None]:
    """A block that makes a change; if it is timed, a process waits for its end, also if this one is killed."""
    return nullcontext() if seconds is None else awaited(site)


def come_back(id: str, until: float) -> str:  # noqa: A002 (the word that the history uses)
    """When a timed adjustment ends, for people."""
    back = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(until))
    return f"the old values come back at {back}. To keep these: rctl timers cancel {id}"


def noted(account: Account) -> Account:
    """With a note for each VE that has limits that a boot does not end, because their owner had stored a value before.

    For timed adjustments.
    """
    from ..adjust.writers import systemd

    found: dict[str, list[str]] = {}
    for one in account.outcomes:
        for step in one.steps:
            if isinstance(step, SetThrough) and systemd.outlives_boot(step):
                found.setdefault(one.name, []).append(f"{step.file} {step.key}".strip())
    notes = [
        f"{name}: systemd stores {', '.join(limits)} for good, as before. If the host boots meanwhile, rctl restore "
        "puts the old value back: rctl setup restore --yes"
        for name, limits in found.items()
    ]
    return msgspec.structs.replace(account, notes=(*account.notes, *notes))


def timers(site: Site) -> tuple[TimerRow, ...]:
    """The timers that have not ended, the next one first. Raises RctlError if the history cannot be read."""
    found, now = desired_limits(site.state), time.time()
    places = {one: found.layers_of(one) for one in found.timers}
    learn_names(site.tree, (ve for those in places.values() for ve, _, _ in those))
    rows = []
    for timer in sorted(found.timers.values(), key=lambda timer: timer.until):
        limits = tuple(_limit(site, found, place) for place in places[timer.id])
        rows.append(TimerRow(timer.id, timer.command, timer.time, timer.until, timer.until - now, limits))
    return tuple(rows)


def extend(site: Site, id: str, seconds: float) -> Timer:  # noqa: A002 (the word that the history uses)
    """Let a timed adjustment last longer: from its end, or from now if that is over already.

    A process waits for its new end. Raises NotFoundError if no timer has this id, UsageError for a time that is none.
    """
    check(seconds, what="timers extend")
    with awaited(site), _one_at_a_time(site):
        timer = _known(site, id)
        until = max(timer.until, time.time()) + seconds
        _change(site, id, until)
    return msgspec.structs.replace(timer, until=until)


def cancel(site: Site, id: str) -> Timer:  # noqa: A002
    """Let the limits of a timed adjustment stay for good. Raises NotFoundError if no timer has this id."""
    with _one_at_a_time(site):
        timer = _known(site, id)
        _change(site, id, None)
    return timer


def settle(site: Site, options: Options) -> tuple[list[Ended], list[RctlError]]:
    """End the timers whose time is over. Returns them, and the errors of those that could not be ended yet."""
    ended: list[Ended] = []
    failed: list[RctlError] = []
    if not desired_limits(site.state).due(time.time()):
        return ended, failed
    with _one_at_a_time(site):
        found = desired_limits(site.state)
        for timer in sorted(found.timers.values(), key=lambda timer: -timer.time):
            if timer.until <= time.time():
                try:
                    ended.append(_end(site, timer, options))
                except RctlError as error:
                    failed.append(error)
    return ended, failed


def settled(site: Site, options: Options) -> list[str]:
    """As ``settle``, with a line for people about each timer; one that stays due is one, too."""
    try:
        ended, failed = settle(site, options)
    except RctlError as error:
        return [f"timers: {error}"]
    lines = ["; ".join([f"{one.id}: its time was over, and it ended", *one.notes]) for one in ended]
    return lines + [f"a timer could not be ended: {error}" for error in failed]


def _end(site: Site, timer: Timer, options: Options) -> Ended:
    """Put back what still holds the timer's values, as one transaction that is the undo of its adjustment."""
    found = desired_limits(site.state)
    backs: dict[str, list[tuple[str, Layer]]] = {}
    inodes: dict[str, int] = {}
    notes: list[str] = []
    for place in found.layers_of(timer.id):
        ve, entry, _ = place
        limit = _limit(site, found, place)
        if limit.stays:
            notes.append(f"{limit.ve}: {entry} stays: {limit.stays}")
            continue
        with opened(site.tree, ve) as cgroup:
            if cgroup is not None:
                inodes[limit.ve] = cgroup.ino
                backs.setdefault(limit.ve, []).append((entry, layer_at(place)))

    def still(cgroups: Sequence[Cgroup]) -> list[Wish]:
        """The VEs are locked now."""
        return [_wish(cgroup, name, backs[name], notes) for name, cgroup in zip(backs, cgroups, strict=True)]

    said = f"end of the timer of: {timer.command}"
    how = msgspec.structs.replace(options, command=said, undoes=timer.id)
    wishes = [Wish(name, (), ino=inodes[name]) for name in backs]
    account = transact(site, wishes, how, prepare=still) if wishes else None
    if account is None or account.id is None:
        told = "; ".join([said, *dict.fromkeys(notes)])
        record = Record(new_id(), time.time(), site.boot_id, told, {}, (), timer.id)
        note(site, record)
    return Ended(timer.id, tuple(dict.fromkeys(notes)))


def _wish(cgroup: Cgroup, name: str, backs: Sequence[tuple[str, Layer]], notes: list[str]) -> Wish:
    """What still holds the timer's value goes back, with what the kernel changed beside it, in its owner's form."""
    writes: dict[tuple[str, str], Write] = {}
    own: dict[tuple[str, str], tuple[str, str]] = {}
    for entry, layer in backs:
        file, device = file_and_key(entry)
        now = file.entry(cgroup.read_if_there(file.name), device)
        if not file.unchanged(now, layer.value):
            if file.holds(now, layer.old):
                continue  # a boot or a restart has put it back
            notes.append(f"{name}: {entry} stays: another program changed it to {now}")
            continue
        if layer.writer:
            own[file.name, device] = layer.writer, layer.kept
        beside = [(file_named(other), "", text) for other, text in layer.beside]
        for one, key, text in ((file, device, layer.old), *beside):
            if one.settable(text):
                writes.setdefault((one.name, key), Write(one, text, key, exact=not isinstance(one, Whole)))
    return Wish(name, tuple(writes.values()), ino=cgroup.ino, own=own or None)


_Place = tuple[DesiredVe, str, int]


def layer_at(place: _Place) -> Layer:
    ve, entry, number = place
    return ve.entries[entry].layers[number]


def _limit(site: Site, found: DesiredLimits, place: _Place) -> TimedLimit:
    ve, entry, number = place
    file, device = file_and_key(entry)
    layer, layers = layer_at(place), ve.entries[entry].layers
    with opened(site.tree, ve) as cgroup:
        there = cgroup is not None
        now = file.entry(cgroup.read_if_there(file.name), device) if cgroup else ""
    stays = ""
    if number + 1 < len(layers):
        above = layers[-1].id
        stays = f"{above} set it since" + ", which has a timer of its own" * (above in found.timers)
    elif there and not file.unchanged(now, layer.value) and not file.holds(now, layer.old):
        stays = f"another program changed it to {now}"
    return TimedLimit(site.tree.name(ve.path), file.name, device, now, layer.old, stays, there, layer.value)


def _known(site: Site, id: str) -> Timer:  # noqa: A002
    found = desired_limits(site.state).timers
    if (timer := found.get(id)) is None:
        known = f"Timers: {', '.join(found)}" if found else "There is none"
        raise NotFoundError(f"{id}: no timer has this id. {known}. See rctl timers")
    return timer


def _change(site: Site, id: str, until: float | None) -> None:  # noqa: A002
    """Add the change of a timer to the history."""
    command = f"rctl timers {'extend' if until else 'cancel'} {id}"
    version = version_of((), lasting=True)
    record = Record(new_id(), time.time(), site.boot_id, command, {}, (), version=version, timer=id)
    note(site, msgspec.structs.replace(record, until=until) if until else record)
    look_again(site.state)


def note(site: Site, record: Record) -> None:
    """Add a record to the history. Raises RctlError; nothing is changed then."""
    try:
        append(site.state, site.state.history, encode(record))
    except OSError as error:
        raise RctlError(f"{site.state.history}: cannot be written: {error.strerror}; nothing was changed") from None


@contextmanager
def _one_at_a_time(site: Site) -> Iterator[None]:
    """A block in which no other process changes or ends timers."""
    fd = lock_file(site.state, "timers.lock")
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
