"""Begins a rolling change, or goes on with one: from limits or a spec to batches and a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from ..adjust.account import Account
from ..adjust.engine import adjust as adjust_now
from ..adjust.records.changes import is_undone
from ..adjust.records.journal import new_id
from ..adjust.recovery.recover import recover
from ..adjust.request import Around, LabelValues, Options
from ..adjust.site import Site
from ..adjust.state_folder import make
from ..cgroupfs.tree import Tree
from ..errors import NotFoundError, UsageError, naming
from ..limits import Limits, decode, nest, plain
from ..spec import Spec
from . import timers
from .batches import batches
from .change_log import ChangeLog, Line, RollRequest
from .check_command import CheckCommand, parse
from .rolling import Do, Rolled, RollEvent, Rolling, is_there

Each = Callable[[RollEvent], object]
_ABORTS = ("keep", "undo")


class How(NamedTuple):
    """The options of a rolling change, as ``Session.roll`` takes them."""

    batch: str
    pause: float
    check: str | None
    check_timeout: float
    abort_after: int
    on_abort: str
    deadline: float
    wait: float
    force: bool
    dry_run: bool
    lasting: float | None = None


def adjust(site: Site, asked: Mapping[str, Mapping[str, Any]], command: str, how: How, each: Each) -> Rolled:
    """Set limits of VEs, by name. Raises UsageError for wrong limits before anything is changed."""
    distinct = {id(one): one for one in asked.values()}
    kinds = [nest(plain(one)) for one in distinct.values()]
    number = {key: place for place, key in enumerate(distinct)}
    of = {name: number[id(one)] for name, one in asked.items()}
    typed = _typed(site, kinds, of)
    tree = site.tree
    ves = {name: _ino(tree, name) for name in typed}
    request = _request(site, ves, "set", command, how)
    return _run(
        site, msgspec.structs.replace(request, limits=tuple(kinds), asked=of), how, _setting(site, typed, ves), each
    )


def apply(site: Site, spec: Spec, command: str, how: How, each: Each) -> Rolled:
    """Make VEs as a spec says."""
    ves = {name: _ino_if_there(site.tree, name) for name in spec.ve}
    return _run(site, _request(site, ves, "apply", command, how), how, _applying(site, spec), each)


def again(site: Site, wanted: str, spec: Spec | None, each: Each, wait: float) -> Rolled:
    """Go on with a change that did not come to its end. ``spec``: for one that was begun with a spec.

    Raises NotFoundError for an unknown id, BusyError if it runs, UsageError if it was begun otherwise.
    """
    with ChangeLog.resume(make(site.state), wanted) as log:
        asked = log.request
        if asked.boot_id != site.boot_id:
            raise NotFoundError(f"--retry {wanted}: is from before the last boot; its VEs are gone")
        if (asked.verb == "apply") != (spec is not None):
            raise UsageError(f"--retry {wanted}: was begun with rctl {asked.verb}. Go on with that")
        if log.done and is_undone(site.state, wanted, site.boot_id):
            log.add(Line(undone=True))
        _find_again(site.tree, asked.ves)
        gone: list[str] = []
        if spec is not None:
            absent = [name for name in asked.ves if name not in spec.ve]
            gone = [name for name in absent if (ino := asked.ves[name]) and not is_there(site.tree, name, ino)]
            if missing := [name for name in absent if name not in gone]:
                raise UsageError(f"--retry {wanted}: the spec does not name {missing[0]}. Give the spec of that change")
            do = _applying(site, spec)
        else:
            do = _setting(site, _typed(site, asked.limits, asked.asked), asked.ves)
        for line in recover(site, asked.deadline, wait):
            site.tell(line)
        for name in (name for name in gone if name not in log.done):
            site.tell(f"{name}: was removed meanwhile; it is left out")
        return _roll(site, log, do, each, gone)


def _find_again(tree: Tree, ves: Mapping[str, int]) -> None:
    """Tell the tree where units and containers are now: the change knows their names alone."""
    if elsewhere := [name for name, ino in ves.items() if ino and not name.startswith("/") and not tree.has(name)]:
        from ..names.look_up import Elsewhere
        from ..names.patterns import one

        known = Elsewhere(tree)
        for name in elsewhere:
            with suppress(NotFoundError, UsageError):
                one(tree, name, known)


def _request(site: Site, ves: dict[str, int], verb: str, command: str, how: How) -> RollRequest:
    """The request, checked. Raises UsageError for wrong options."""
    if not 1 <= how.abort_after <= 1_000_000:
        raise UsageError(f"--abort-after: {how.abort_after} is out of range: 1 to 1000000 failed VEs")
    if how.on_abort not in _ABORTS:
        raise UsageError(f"--on-abort: {how.on_abort!r} is not understood. Write keep or undo")
    if not ves:
        raise UsageError(f"{verb}: there are no VEs to change")
    batches([*ves], how.batch)
    timers.check(how.lasting, how.pause + how.check_timeout * (how.check is not None))
    check = parse(how.check, how.check_timeout).words if how.check is not None else ()
    return RollRequest(
        new_id(), time.time(), site.boot_id, command, verb, ves, how.batch,
        pause=how.pause, check=check, check_seconds=how.check_timeout, abort_after=how.abort_after,
        on_abort=how.on_abort, deadline=how.deadline, wait=how.wait, force=how.force, lasting=how.lasting,
    )  # fmt: skip


def _run(site: Site, request: RollRequest, how: How, do: Do, each: Each) -> Rolled:
    if how.dry_run:
        return _planned(request, how, do, each)
    with ChangeLog.begin(make(site.state), request) as log:
        return _roll(site, log, do, each)


def _roll(site: Site, log: ChangeLog, do: Do, each: Each, gone: Sequence[str] = ()) -> Rolled:
    """Make or go on with a change. If it is timed, a process waits for its end before it begins.

    ``gone``: VEs that are known to be removed.
    """
    asked = log.request
    check = CheckCommand(asked.check, asked.check_seconds) if asked.check else None
    with timers.waiting(site, asked.lasting):
        return Rolling(site, log, do, check, each, gone).run()


def _planned(request: RollRequest, how: How, do: Do, each: Each) -> Rolled:
    """The batches, each planned as if those before it had not been done."""
    plan = batches([*request.ves], request.batch)
    until = None if how.lasting is None else request.time + how.lasting
    options = Options(how.deadline, how.wait, how.force, dry_run=True, command=request.command, until=until)
    for number, names in enumerate(plan, 1):
        account = do(names, options)
        each(RollEvent("set", "", len(request.ves), 0, 0, number, len(plan), tuple(names), account))
    return Rolled("", "planned", (), {}, tuple(request.ves), 0.0)


def _typed(site: Site, kinds: Sequence[dict[str, Any]], of: Mapping[str, int]) -> dict[str, Limits]:
    found = [decode(one, site.host) for one in kinds]
    return {name: found[number] for name, number in of.items()}


def _setting(site: Site, limits: Mapping[str, Limits], inodes: Mapping[str, int]) -> Do:
    def do(names: Sequence[str], options: Options) -> Account:
        own = {name: inodes[name] for name in names}
        return adjust_now(site, {name: limits[name] for name in names}, options, inodes=own)

    return do


def _applying(site: Site, spec: Spec) -> Do:
    """VEs of a spec: missing ones are made."""
    tree = site.tree
    for name in spec.ve:
        with naming(name):
            tree.path(name)
    managed = {name for name in spec.ve if tree.managed(tree.path(name))}

    def do(names: Sequence[str], options: Options) -> Account:
        labels: dict[str, LabelValues] = {name: {**own} for name in names if (own := spec.ve[name].labels)}
        around = Around(make=[name for name in names if name in managed], labels=labels)
        return adjust_now(site, {name: spec.ve[name].limits for name in names}, options, around=around)

    return do


def _ino(tree: Tree, name: str) -> int:
    with tree.open_ve(name) as ve:
        return ve.ino


def _ino_if_there(tree: Tree, name: str) -> int:
    with suppress(NotFoundError):
        return _ino(tree, name)
    return 0
