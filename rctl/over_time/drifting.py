"""Compares desired limits with what the files hold. *Drift* is a difference that rctl did not make."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Literal

import msgspec

from ..adjust.account import Account
from ..adjust.records.checkpoint import desired_limits
from ..adjust.records.desired_limits import DesiredLimits, DesiredVe, Layer
from ..adjust.records.stable_name import CONTAINERS, stable_name
from ..adjust.site import Site
from ..cgroupfs import devices, labels, write_times
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..errors import GoneError, NotAvailableError, NotFoundError, UsageError
from ..formats import File, Write
from ..limits import file_named

Cause = Literal["changed", "made anew"]


class Difference(msgspec.Struct, frozen=True):
    """A limit that differs. ``desired``, ``written``: entries as the kernel prints them.

    ``device``: its device; empty without one. ``set_at``, ``set_by``: the time (seconds since 1970) and the id of the
    adjustment that asked for it last. ``cause``: ``changed`` by another program since, or the cgroup was ``made anew``.
    ``changed_at``: when another program last overwrote the file, if the kernel knows it; it does not for programs that
    write without O_TRUNC. ``systemd``: the properties of the unit that were changed; then ``changed_at`` is the time of
    their drop-ins.
    """

    limit: str
    device: str
    desired: str
    written: str
    set_at: float
    set_by: str
    cause: Cause
    changed_at: float | None = None
    systemd: tuple[str, ...] = ()

    @property
    def file(self) -> File:
        """The declaration of the limit."""
        return file_named(self.limit)

    @property
    def write(self) -> Write:
        """The wish that puts it back."""
        return Write(self.file, self.desired, self.device)


class Drifted(msgspec.Struct, frozen=True):
    """A VE, and what differs. ``there``: it exists; a VE of rctl's own that does not exist has drifted, too.

    ``ino``: of the cgroup that was compared. ``labels``: desired ones that a cgroup made anew does not have.
    """

    name: str
    path: str
    there: bool
    differences: tuple[Difference, ...] = ()
    labels: Mapping[str, str] = {}
    ino: int = 0


class Compared(msgspec.Struct, frozen=True):
    """``drifted``: VEs that differ. ``waiting``: names of containers, units and other cgroups that are not there now.

    ``account``: of putting them back, if that was asked for.
    """

    drifted: tuple[Drifted, ...]
    waiting: tuple[str, ...] = ()
    account: Account | None = None


def compare(site: Site, patterns: Sequence[str] = (), found: DesiredLimits | None = None) -> Compared:
    """Compare all VEs with desired limits, or those that match. ``found``: the desired limits; unset: read them.

    Raises NotFoundError for a pattern that matches no VE with desired limits, RctlError if they cannot be read.
    """
    found = found or desired_limits(site.state)
    due = found.due(time.time())
    drifted: list[Drifted] = []
    waiting: list[str] = []
    those = chosen(site, found, patterns)
    for name, ve in those.items():
        find_again(site, name, ve)
    learn_names(site.tree, those.values())
    for ve in those.values():
        layers = ve.present(site.boot_id, due)
        if not (layers or ve.labels) or (ve.passing and ve.boot != site.boot_id):
            continue
        one = compare_one(site, ve, layers)
        if one is None and not ve.passing:
            waiting.append(site.tree.name(ve.path))
        elif one is not None and (not one.there or one.differences or one.labels):
            drifted.append(one)
    return Compared(tuple(drifted), tuple(waiting))


def learn_names(tree: Tree, ves: Iterable[DesiredVe]) -> None:
    """Show units and containers by their names."""
    if foreign := [ve.path for ve in ves if tree.name(ve.path) == ve.path]:
        from ..names.identify import learn

        learn(tree, foreign)


def compare_one(site: Site, ve: DesiredVe, layers: Mapping[str, Layer]) -> Drifted | None:
    """Compare one VE; ``None`` if it is not there, and rctl does not make it, or if it is removed meanwhile."""
    with suppress(GoneError):
        return _compare_one(site, ve, layers)
    return None


def _compare_one(site: Site, ve: DesiredVe, layers: Mapping[str, Layer]) -> Drifted | None:
    tree = site.tree
    name = tree.name(ve.path)
    with opened(tree, ve) as cgroup:
        if cgroup is None:
            if not tree.managed(ve.path) or ve.passing:
                return None
            return Drifted(name, ve.path, False, tuple(_differences({}, layers, "made anew")), ve.labels)
        return compare_open(site, ve, layers, cgroup)


def compare_open(site: Site, ve: DesiredVe, layers: Mapping[str, Layer], cgroup: Cgroup) -> Drifted | None:
    """As ``compare_one``, for a cgroup that is open."""
    anew = (ve.boot, ve.ino) != (site.boot_id, cgroup.ino)
    if anew and ve.passing:
        return None
    texts = cgroup.texts(dict.fromkeys(entry.partition(" ")[0] for entry in layers))
    found = _differences(texts, layers, "made anew" if anew else "changed")
    different = tuple(found) if anew else tuple(_with_time(cgroup, one) for one in found)
    has = labels.of(cgroup) if anew and ve.labels and site.tree.managed(ve.path) else ve.labels
    missing = {key: value for key, value in ve.labels.items() if key not in has}
    return Drifted(site.tree.name(ve.path), ve.path, True, different, missing, cgroup.ino)


def _with_time(cgroup: Cgroup, one: Difference) -> Difference:
    at = write_times.overwritten_at(cgroup, one.limit)
    return one if at is None or at < one.set_at else msgspec.structs.replace(one, changed_at=at)


@contextmanager
def opened(tree: Tree, ve: DesiredVe) -> Iterator[Cgroup | None]:
    """The cgroup of a VE, open; ``None`` if it is not there."""
    try:
        cgroup = tree.walk(ve.path)
    except (NotFoundError, GoneError, NotAvailableError):  # the last: another file system is mounted over it
        yield None
        return
    try:
        yield cgroup
    finally:
        cgroup.close()


def _differences(texts: Mapping[str, str], layers: Mapping[str, Layer], cause: Cause) -> Iterator[Difference]:
    """``texts``: of the limits' files by name. A missing file has the value of a new cgroup."""
    for entry, layer in layers.items():
        file, device = file_and_key(entry)
        name = file.name
        written = file.entry(texts.get(name), device)
        if not file.holds(written, layer.value) and file.settable(layer.value):
            yield Difference(name, device, layer.value, written, layer.time, layer.id, cause)


def file_and_key(entry: str) -> tuple[File, str]:
    """The file, and the key, of an entry with desired limits: a disk by its present number."""
    name, _, device = entry.partition(" ")
    return file_named(name), devices.number_now(device) if device not in ("", "default") else device


def find_again(site: Site, name: str, ve: DesiredVe) -> None:
    """Note where the container with this stable name is now: another one has its name, and another path."""
    if not name.startswith(CONTAINERS):
        return
    if not site.tree.exists(ve.path) and (path := site.path_of(name)):
        ve.path = path
    site.tree.learn(name, name, ve.path)


def chosen(site: Site, found: DesiredLimits, patterns: Sequence[str]) -> dict[str, DesiredVe]:
    """The VEs that patterns name as in other verbs, by stable name. Without patterns, all."""
    if not patterns:
        return dict(found.ves)
    chosen: dict[str, DesiredVe] = {}
    for pattern in patterns:
        matches = _matching(site.tree, pattern, found.ves)
        if not matches:
            raise NotFoundError(f"{pattern}: no VE of this name has desired limits. See rctl history {pattern}")
        chosen |= {name: found.ves[name] for name in matches}
    return chosen


def _matching(tree: Tree, pattern: str, ves: Mapping[str, DesiredVe]) -> list[str]:
    from ..names.patterns import LABEL, is_pattern, match
    from ..names.shell_patterns import fits

    if pattern.startswith(LABEL):
        known = {stable_name(tree.path(name)) for name in match(tree, [pattern])}
        return [name for name in ves if name in known]
    if found := [name for name, ve in ves.items() if pattern in names_of(tree, name, ve)]:
        return found
    if is_pattern(pattern):
        own = {name: tree.managed(ve.path) for name, ve in ves.items()}
        if found := [name for name in ves if own[name] and fits(own[name], pattern)]:
            return found
        if not {*":./"}.intersection(pattern):
            return []  # as in all verbs, such a pattern stands for rctl's own VEs
        if found := [name for name, ve in ves.items() if any(fits(one, pattern) for one in names_of(tree, name, ve))]:
            return found
    with suppress(NotFoundError, UsageError):  # another word for a unit or a container
        paths = {tree.path(name) for name in match(tree, [pattern])}
        return [name for name, ve in ves.items() if ve.path in paths]
    return []


def names_of(tree: Tree, name: str, ve: DesiredVe) -> Iterable[str]:
    """The names under which people know a VE."""
    return {name, ve.path, tree.name(ve.path)}
