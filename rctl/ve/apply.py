"""Applies a spec: makes missing VEs, writes differences, and on request removes VEs that it does not name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from ..adjust.account import Account, Outcome
from ..adjust.before_and_after import check_make
from ..adjust.enabling import enable
from ..adjust.engine import Options, adjust
from ..adjust.lifecycle.processes import processes
from ..adjust.planning import partitions, precheck
from ..adjust.planning.resolve import Promises, disks, vcpus_of_new
from ..adjust.request import Around, LabelValues
from ..adjust.site import Site
from ..adjust.steps import Enable, Label, Make, Set, Step
from ..cgroupfs.tree import Tree
from ..errors import BusyError, GoneError, NotFoundError, UsageError, naming
from ..formats import File
from ..limits import Limits, file_named, writes
from ..spec import Spec
from . import bare
from .named import tell_of_likely


class Applied(msgspec.Struct, frozen=True):
    """The names of VEs that were made, removed and labelled, and the account of every VE in the spec."""

    made: tuple[str, ...]
    account: Account
    removed: tuple[str, ...] = ()
    labelled: tuple[str, ...] = ()


def apply(site: Site, spec: Spec, options: Options, *, prune: bool = False) -> Applied:
    """Make the host match the spec; with ``options.dry_run``, return the plan for that.

    Raises BusyError before any change if ``prune`` meets a VE with processes.
    """
    tree = site.tree
    surplus = _surplus(tree, spec) if prune else []
    limits = {name: _on_disks(name, asked.limits) for name, asked in spec.ve.items()}
    given: dict[str, LabelValues] = {name: {**asked.labels} for name, asked in spec.ve.items() if asked.labels}
    tell_of_likely(site, [name for name in limits if tree.managed(tree.path(name)) and not bare.exists(tree, name)])
    if options.dry_run:
        return _dry(site, limits, surplus, options, given)
    made, account = bare.apply(site, limits, options, remove=tuple(surplus), labels=given)
    removed = tuple(name for name in surplus if not bare.exists(tree, name))
    return Applied(tuple(made), account, removed, _labelled(account))


def _labelled(account: Account) -> tuple[str, ...]:
    return tuple(o.name for o in account.outcomes if any(isinstance(step, Label) for step in o.steps))


def _on_disks(name: str, asked: Limits) -> Limits:
    with naming(name):
        return disks(asked)


def _surplus(tree: Tree, spec: Spec) -> list[str]:
    named = {tree.name(tree.path(name)) for name in spec.ve}
    surplus = []
    for name in tree.names():
        if name in named:
            continue
        with suppress(NotFoundError, GoneError), tree.open_ve(name) as ve:
            if inside := processes(ve):
                raise BusyError(
                    f"{name}: not in the spec, and has {len(inside)} process(es). Stop them, or rctl rm --kill {name}"
                )
            surplus.append(name)
    return surplus


def _dry(
    site: Site, limits: dict[str, Limits], surplus: list[str], options: Options, given: Mapping[str, LabelValues]
) -> Applied:
    """The plan for VEs that exist; for the others, the limits with which they would be made."""
    tree = site.tree
    present = {name: asked for name, asked in limits.items() if bare.exists(tree, name)}
    around = Around(remove=tuple(surplus), labels={name: own for name, own in given.items() if name in present})
    account = adjust(site, present, options, around=around)
    with tree.place() as base:
        check_make(tree, [name for name in limits if name not in present], base)
    bare.tell_of_units(site, [name for name in limits if name not in present])
    promises = Promises(tree)
    new = [
        _fresh(site, name, asked, given.get(name, {}), promises)
        for name, asked in limits.items()
        if name not in present
    ]
    new = [*new, *_controllers(tree, new, account)]
    planned, steps = ([step for one in some for step in one.steps] for some in (account.outcomes, new))
    partly = [*planned, *steps]
    asked = {tree.path(name) for name, own in limits.items() if partitions.wished(writes(own, site.host))}
    wanted = asked.intersection(step.path for step in partitions.relevant(partly))
    precheck.check_partitions(wanted, partly, {}, tree, [tree.path(name) for name in surplus])
    notes = (*account.notes, *precheck.check(steps, {}, tree, planned))
    account = msgspec.structs.replace(account, outcomes=(*account.outcomes, *new), notes=notes)
    made = tuple(name for name in limits if name not in present)
    return Applied(made, account, tuple(surplus), _labelled(account))


def _controllers(tree: Tree, new: Sequence[Outcome], account: Account) -> list[Outcome]:
    """The steps that enable controllers for new VEs of one parent, in addition to those in ``account``.

    Raises as ``enable.coming`` if they cannot have one.
    """
    first: dict[str, tuple[Outcome, File]] = {}
    for outcome in new:
        for step in outcome.steps:
            if isinstance(step, Set) and (file := file_named(step.file)).controller:
                first.setdefault(file.controller, (outcome, file))
    steps: list[Enable] = []
    for outcome, file in first.values():
        with naming(outcome.name):
            steps += enable.coming(tree, outcome.path, file)
    planned = {
        (step.path, name) for one in account.outcomes for step in one.steps if isinstance(step, Enable)
        for name in step.controllers
    }  # fmt: skip
    missing = [Enable(step.path, step.controllers) for step in steps if (step.path, step.controllers[0]) not in planned]
    return [Outcome(step.path, step.path, "planned", (step,)) for step in enable.merged(missing)]


def _fresh(site: Site, name: str, asked: Limits, given: LabelValues, promises: Promises) -> Outcome:
    host, path = site.host, bare.managed_path(site.tree, name)
    with naming(name):
        asked = vcpus_of_new(asked, path, host, promises)
    try:
        limits = tuple(
            Set(path, w.file.name, old, new, w.key)
            for w in writes(asked, host)
            if not w.if_there and (old := w.file.entry(None, w.key)) != (new := w.file.merge(old, w.wanted))
        )
    except ValueError as error:  # a part of an entry contradicts the rest
        raise UsageError(str(error)) from None
    steps: tuple[Step, ...] = (Make(path), *limits, *(Label(path, key, None, value) for key, value in given.items()))
    return Outcome(name, path, "planned", steps)
