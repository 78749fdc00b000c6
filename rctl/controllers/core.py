"""The cgroup itself: https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files

cgroup.freeze came with Linux 5.2, cgroup.kill with 5.14. This file also checks verbatim files, for limits without a
key.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

import msgspec

from ..formats import File, Keyed, Nested, Whole, Write, flat_keyed
from ..host import Host
from ..late_regex import regex

PROCS, THREADS, SUBTREE_CONTROL, CONTROLLERS, EVENTS, STAT, KILL, TYPE = (
    f"cgroup.{name}"
    for name in ("procs", "threads", "subtree_control", "controllers", "events", "stat", "kill", "type")
)
THREADED = frozenset(("cpu", "cpuset", "perf_event", "pids"))
"""Controllers that can work on single threads: https://docs.kernel.org/admin-guide/cgroup-v2.html#threads"""
FREEZE = File(
    "cgroup.freeze", "", default="0", since="5.2", unit="flag", about="1: all processes of the VE stop until it is 0."
)
FILES = (FREEZE,)

NAME = regex(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)+", re.ASCII)
OF_ANY_KERNEL = frozenset(("cpu", "cpuset", "dmem", "hugetlb", "io", "memory", "misc", "perf_event", "pids", "rdma"))
"""The controllers of all kernels. A file of another controller is most likely a typing error."""
LONGEST = 4095
"""Most characters of a value that is written verbatim."""
_STRUCTURE = {PROCS, SUBTREE_CONTROL, KILL, THREADS, TYPE}
_ACTIONS = {"memory.reclaim"}
_TRIGGERS = {f"{kind}.pressure" for kind in ("cpu", "memory", "io", "irq")}
_PEAKS = {"memory.peak", "memory.swap.peak"}
NO_LIMITS = _STRUCTURE | _ACTIONS | _TRIGGERS | _PEAKS
"""Files that are never written verbatim: they move or kill processes, or the value only lasts while the file is open.

From Linux 6.12 on, a write to ``memory.peak`` resets it for the writing descriptor, and for no other reader.
"""


class CoreStat(msgspec.Struct, frozen=True):
    """``populated``: it or a cgroup below has a process. ``frozen``. The number of cgroups below it."""

    populated: bool
    frozen: bool
    descendants: int = 0


def writes(files: dict[str, str], known: Callable[[str], File], host: Host) -> tuple[Write, ...]:
    """Writes for verbatim files. If ``known`` has the file, the value is parsed for it; otherwise it is read back
    unchanged.

    A file with an entry for each device takes one line for each.

    Raises ValueError if the name is no interface file's, if the file moves processes, or if the value is not one line.
    """
    found = []
    for name, value in files.items():
        check_name(name)
        keyed = isinstance(known(name), Keyed | Nested)
        found += [
            _write(name, line, known, host.page_size) for line in (value.splitlines() if keyed else ()) or [value]
        ]
    return tuple(found)


def check_name(name: str) -> None:
    """Raise ValueError if ``name`` is not the name of an interface file that can hold a limit."""
    check_file(name)
    _check_holds(name)


def check_file(name: str) -> None:
    """Raise ValueError if ``name`` is not the name of an interface file."""
    if not NAME.fullmatch(name) or len(name) > 128:
        raise ValueError(f'files: {name[:64]!r} is not the name of an interface file. Write it like "memory.max"')


def _check_holds(name: str) -> None:
    if name in _STRUCTURE:
        raise ValueError(f"files: {name} is not a limit. Use rctl attach, run or rm")
    if name in _TRIGGERS:
        raise ValueError(f"files: {name} takes a trigger for the program that has it open, not a limit. See rctl show")
    if name in _PEAKS:
        raise ValueError(f"files: {name} is reset only for the program that has it open, so rctl cannot. See rctl show")
    if name in _ACTIONS:
        raise ValueError(f"files: {name} acts once and stores no value. Use memory.high for a lasting limit")


def _write(name: str, value: str, known: Callable[[str], File], page: int) -> Write:
    if not value.isprintable() or not value.strip() or len(value) > LONGEST:
        raise ValueError(f"files: the value for {name} must be one line of printable text")
    file = known(name)
    if isinstance(file, Whole) and value.strip() == "default":
        raise ValueError(f"files: {name}: the value of a new VE is not known. Write the value itself")
    try:
        key, wanted = file.wish(value.strip(), page)
    except ValueError as error:
        raise ValueError(f"files: {name}: {error}") from None
    return Write(file, wanted, key=key, exact=not isinstance(file, Whole))


@lru_cache
def verbatim(name: str) -> File:
    """A file that rctl does not know; its controller is the first part of its name."""
    return Whole(name, "" if name.startswith("cgroup.") else name.partition(".")[0], default="")


READ = (EVENTS, STAT)
"""The files that ``parse`` reads."""


def parse(texts: dict[str, str]) -> CoreStat:
    """The statistics, from file texts by name."""
    events = flat_keyed(texts.get(EVENTS, ""))
    below = flat_keyed(texts.get(STAT, "")).get("nr_descendants", 0)
    return CoreStat(bool(events.get("populated")), bool(events.get("frozen")), below)


def enable_text(controllers: Iterable[str], sign: str = "+") -> str:
    """The text for ``cgroup.subtree_control``: ``+cpu +memory``."""
    return " ".join(f"{sign}{name}" for name in sorted(controllers))
