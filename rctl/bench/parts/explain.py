"""The parts of a VE's cost: a plain cgroup, each controller alone, all, deeper, with limits, without pressure.

Each state is set up, measured against the root cgroup by turns, and taken down again. Controllers are enabled for all
cgroups of one parent. So a state cannot be measured if other cgroups there need more controllers; the result says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import msgspec

from ...adjust.locks import Locks
from ...adjust.site import Site
from ...adjust.state_folder import default_state, make
from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree, enabled
from ...cgroupfs.ve_cgroups import Naming
from ...controllers.core import CONTROLLERS, SUBTREE_CONTROL, enable_text
from ...controllers.pressure import SWITCH
from ...errors import BusyError, RctlError
from ...host import Host
from ...limits import decode, nest, writes
from ...signals import undisturbed
from ..figures.result import Series
from ..stage import place
from ..stage.place import Place, Tell
from ..workloads import Kit, Workload
from .overhead import OverheadOptions, Run, bare_side, counting, figure
from .reasons import saved

ALL = ("cpu", "cpuset", "io", "memory", "pids")
USUAL = ("cpu", "io", "memory", "pids")
WORKS = (
    "pipe ping-pong", "fork and wait", "fork, exec and wait", "page faults", "write, buffered", "open, close, stat",
    "TCP request and response", "sqlite", "HTTP, Python's server",
)  # fmt: skip
"""The default workloads: those with paths on which controllers cost, and two applications."""


class VeState(msgspec.Struct, frozen=True):
    """One way to make a VE. ``lean``: without pressure accounting. ``limits``: as in ``rctl bench overhead``."""

    name: str
    controllers: tuple[str, ...] = ()
    depth: int = 1
    limits: bool = False
    lean: bool = False


STATES: tuple[VeState, ...] = (
    VeState("no controllers"),
    VeState("no controllers, lean", lean=True),
    *(VeState(f"{name} alone", (name,)) for name in ALL),
    VeState("all controllers", ALL),
    VeState("all, depth 2", ALL, 2),
    VeState("all, depth 3", ALL, 3),
    VeState("rctl: limits, their controllers", USUAL, limits=True),
    VeState("the same without limits", USUAL),
    VeState("the same, lean", USUAL, limits=True, lean=True),
)


def measure(
    site: Site,
    options: OverheadOptions,
    works: Sequence[Workload],
    tell: Tell,
    states: Sequence[VeState] = STATES,
) -> tuple[Run, tuple[Series, ...]]:
    """Measure each workload in each state. An interruption ends it early, with ``stop`` set.

    Raises BusyError while another rctl enables controllers, RctlError if no VE can be made.
    """
    run, found = Run(options), dict[str, dict[str, float]]()
    try:
        with ExitStack() as stack:
            bare, inside_folder, kit = stack.enter_context(bare_side(site.tree, run))
            site = stack.enter_context(_below_a_unit(site))
            if site.tree.base != "/":
                run.facts["depth"] = f"each state lies below {site.tree.base}, so its depth counts from there"
            base, before = stack.enter_context(_alone(site.tree))
            end = time.monotonic() + options.seconds
            for number, state in enumerate(states):
                share = max(0.0, end - time.monotonic()) / (len(states) - number) / max(1, len(works))
                tell(f"{100 * number // len(states):3}% {state.name}")
                found[state.name] = {}
                try:
                    with _made(site, base, before, state, options.folder) as cgroup:
                        inside = Place("inside", cgroup, inside_folder)
                        counting(run, bare, inside)
                        _works(run, state, works, bare, inside, kit, share, found[state.name], tell)
                except (BusyError, place.WorkError) as error:
                    run.facts[f"not measured: {state.name}"] = str(error)
    except KeyboardInterrupt as stop:
        run.stop = stop
    run.figures += saved(run.figures, run.counted)
    return run, _series(found)


def _works(
    run: Run, state: VeState, works: Sequence[Workload], bare: Place, inside: Place, kit: Kit, share: float,
    found: dict[str, float], tell: Tell,
) -> None:  # fmt: skip
    for work in works:
        tell(f"{state.name}: {work.name}")
        one = figure(run, work, bare, inside, kit, share)
        one = msgspec.structs.replace(one, name=f"{work.name}: {state.name}", group=work.name, budget=None, note="")
        run.figures.append(one if one.value is None else msgspec.structs.replace(one, verdict=""))
        if one.value is not None:
            found[work.name] = one.value


def _series(found: dict[str, dict[str, float]]) -> tuple[Series, ...]:
    """A row of a heat map for each state."""
    return tuple(
        Series(state, tuple(values), tuple(values.values()), "percent", "workload", "explain")
        for state, values in found.items()
        if values
    )


@contextmanager
def _below_a_unit(site: Site) -> Iterator[Site]:
    """Where systemd enables the controllers above VEs: a place below a VE that has all controllers, for its states."""
    if not site.tree.naming.suffix:
        yield site
        return
    every = ",".join(map(str, site.host.cpus))
    limits = {"cpu.weight": 100, "io.weight": 100, "cpuset.cpus": every}  # for their controllers; they bind nothing
    with place.ve(site, place.own_name(), limits) as unit:
        yield msgspec.structs.replace(site, tree=Tree(site.tree.root, Naming(unit.path), site.tree.mount))


@contextmanager
def _alone(tree: Tree) -> Iterator[tuple[Cgroup, frozenset[str]]]:
    """The parent of the VEs, locked for this benchmark; afterwards its controllers are enabled as before."""
    with Locks(make(default_state())) as locks, tree.walk(tree.base) as base:
        locks.take([(base.ino, base.path)])
        before = enabled(base, SUBTREE_CONTROL)
        try:
            yield base, before
        finally:
            with undisturbed():
                _enable(base, before, before)


def _enable(base: Cgroup, wanted: frozenset[str], before: frozenset[str]) -> None:
    """Enable exactly these controllers. Raises BusyError if other users, who have cgroups here, would lose limits.

    ``before``: the controllers that were enabled at first. No other user can have limits of the rest yet, because this
    benchmark holds the lock.
    """
    now = enabled(base, SUBTREE_CONTROL)
    surplus = now - wanted
    if (theirs := surplus & before) and (others := base.children()):
        raise BusyError(f"{', '.join(sorted(theirs))}: enabled in {base.path} for others, such as {others[0]}")
    if surplus:
        base.write(SUBTREE_CONTROL, enable_text(surplus, "-"))
    if wanted - now:
        base.write(SUBTREE_CONTROL, enable_text(wanted - now))


@contextmanager
def _made(site: Site, base: Cgroup, before: frozenset[str], state: VeState, folder: str) -> Iterator[Cgroup]:
    """A VE in this state; it is removed afterwards. Raises BusyError, WorkError if it cannot be made."""
    name = place.own_name()
    there = enabled(base, CONTROLLERS)
    if lacking := sorted(set(state.controllers) - there):
        raise place.WorkError(f"{', '.join(lacking)}: not on this host")
    _enable(base, frozenset(state.controllers), before)
    with ExitStack() as stack:
        with undisturbed():
            here = stack.enter_context(base.make(site.tree.path(name).rpartition("/")[2]))
            stack.callback(place.removed, site.tree, name)
        for _ in range(state.depth - 1):
            if state.controllers:
                here.write(SUBTREE_CONTROL, enable_text(state.controllers))
            here = stack.enter_context(here.make("below"))
        _set(here, state, site.host, folder)
        yield here


def _set(cgroup: Cgroup, state: VeState, host: Host, folder: str) -> None:
    if state.lean:
        if not cgroup.has(SWITCH.name):
            raise place.WorkError(f"no {SWITCH.name} on this kernel (it came with Linux {SWITCH.since})")
        cgroup.write(SWITCH.name, "0")
    if not state.limits:
        return
    try:
        for write in writes(decode(nest(place.usual_limits(host, folder)), host), host):
            cgroup.write(write.file.name, place.text_of(cgroup, write))
    except RctlError as error:
        raise place.WorkError(str(error)) from error
