"""Names on this host: VEs, cgroups, adjustments, processes, disks. Nothing is offered if they cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice

from .candidate import Candidate, beginning

_MOST = 500
_ADJUSTMENTS = 50


@contextmanager
def _quietly() -> Iterator[None]:
    """Suppress errors: a shell that completes must not print them."""
    from ...errors import RctlError

    with suppress(RctlError, OSError, ValueError):
        yield


def managed(incomplete: str, given: Sequence[str]) -> list[Candidate]:
    """rctl's own VEs that are not given yet."""
    from ...cgroupfs.tree import Tree

    found: list[str] = []
    with _quietly(), Tree.open() as tree:
        found = tree.names()
    return beginning(incomplete, (Candidate(name) for name in found if name not in given))


def exported(incomplete: str, given: Sequence[str]) -> list[Candidate]:
    """What the exporter's patterns name: rctl's own VEs, and cgroups by path."""
    return cgroups(incomplete) if incomplete.startswith("/") else managed(incomplete, given)


def ves(incomplete: str, given: Sequence[str]) -> list[Candidate]:
    """rctl's own VEs, units, users, containers and pods; after a slash, cgroups by path, one level at a time.

    Without a letter to begin with there may be hundreds of units: then rctl's own are offered, or else the kinds.
    """
    if incomplete.startswith("/"):
        return cgroups(incomplete)
    own = managed(incomplete, given)
    return own if own and not incomplete else [*own, *_elsewhere(incomplete, given)]


def _elsewhere(incomplete: str, given: Sequence[str]) -> list[Candidate]:
    """The names of units, users, containers and pods that begin like this, and the kinds that do."""
    from ...cgroupfs.tree import Tree
    from ...formats import KINDS
    from ...names.look_up import Elsewhere

    kinds = [f"{kind}:" for kind in KINDS if kind.startswith(incomplete)]
    found = [Candidate(kind, more=True) for kind in kinds]
    if not incomplete:
        return found
    with _quietly(), Tree.open() as tree:
        named = Elsewhere(tree).beginning(incomplete)
        found += [Candidate(name) for name in islice(named, _MOST) if name not in given]
    return found


def cgroups(incomplete: str) -> list[Candidate]:
    """The cgroups in the folder of this path. A cgroup with others below it ends in a slash."""
    from ...cgroupfs.tree import Tree

    found: list[Candidate] = []
    folder = incomplete.rpartition("/")[0]
    with _quietly(), Tree.open() as tree, tree.walk(folder or "/") as here:
        matching = [n for n in here.children() if n.isprintable() and f"{folder}/{n}".startswith(incomplete)]
        for name in matching[:_MOST]:
            with here.child(name) as child:
                more = bool(child.children())
            found.append(Candidate(f"{folder}/{name}{'/' * more}", more=more))
    return found


def adjustments(incomplete: str, given: Sequence[str]) -> list[Candidate]:
    """The newest adjustments that undo can take back, newest first, each with its command."""
    from ...adjust.state_folder import default_state
    from ...adjust.undoing.choose import changes, left
    from ...cgroupfs.tree import Tree

    found: list[Candidate] = []
    with _quietly(), Tree.open() as tree:
        newest = islice(changes(default_state()), _ADJUSTMENTS)
        found.extend(Candidate(record.id, record.command) for record in newest if left(tree, record))
    return [] if given else beginning(incomplete, found)


def timers(incomplete: str, given: Sequence[str]) -> list[Candidate]:
    """Timed adjustments that have not ended, each with its command."""
    from ...adjust.records.checkpoint import desired_limits
    from ...adjust.state_folder import default_state

    found: list[Candidate] = []
    with _quietly():
        found.extend(Candidate(timer.id, timer.command) for timer in desired_limits(default_state()).timers.values())
    return [] if given else beginning(incomplete, found)


def unfinished(incomplete: str, given: Sequence[str]) -> list[Candidate]:
    """Rolling changes that did not come to their end, newest first, each with its command."""
    from ...adjust.state_folder import default_state
    from ...over_time.change_log import unfinished as those

    found: list[Candidate] = []
    with _quietly():
        found.extend(Candidate(request.id, request.command) for request in those(default_state()))
    return beginning(incomplete, found)


def processes(incomplete: str, given: Sequence[str]) -> list[Candidate]:
    """Processes by id, each with its name. Kernel threads are left out, because they cannot be moved."""
    numbers = [n for n in os.listdir("/proc") if n.isdecimal() and n.startswith(incomplete) and n not in given]
    return [Candidate(n, _text(f"/proc/{n}/comm")) for n in numbers if _text(f"/proc/{n}/cmdline")]


def disks() -> list[Candidate]:
    """Whole disks that are not empty, by the kernel's name, each with its size."""
    from ...units import human_size

    with _quietly():
        sizes = {name: int(_text(f"/sys/block/{name}/size") or 0) for name in sorted(os.listdir("/sys/block"))}
        return [Candidate(n.replace("!", "/"), human_size(512 * sectors)) for n, sectors in sizes.items() if sectors]
    return []


def page_sizes() -> list[str]:
    """Sizes of huge pages as the limits spell them: ``2MB``, ``1GB``."""
    found: list[str] = []
    with _quietly():
        for name in sorted(os.listdir("/sys/kernel/mm/hugepages")):
            kilobytes = int(name.removeprefix("hugepages-").removesuffix("kB"))
            power = 2 if kilobytes % (1 << 20) == 0 else 1 if kilobytes % (1 << 10) == 0 else 0
            found.append(f"{kilobytes >> 10 * power}{'KMG'[power]}B")
    return found


def workloads(incomplete: str) -> list[Candidate]:
    """The values of ``bench overhead --only``: workloads and their groups."""
    from ...bench.workloads import ALL

    groups = dict.fromkeys(work.group for work in ALL)
    return beginning(incomplete, _unique([*map(Candidate, groups), *(Candidate(w.name, w.group) for w in ALL)]))


def benchmarks(incomplete: str) -> list[Candidate]:
    """The values of ``bench all --only``."""
    from ...bench.everything import chosen

    return beginning(incomplete, (Candidate(part.name) for part in chosen((), quick=False)))


def _unique(found: Iterable[Candidate]) -> list[Candidate]:
    return list({candidate.word: candidate for candidate in found}.values())


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
