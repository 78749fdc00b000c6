"""The number of VEs that fit into 1 GB: the kernel's memory for each, alone and with a sleeping process in it.

The kernel's memory for a VE is the growth of Slab, Percpu, KernelStack and PageTables in proc(5) meminfo from one VE to
the next. There are enough VEs that a page more or less does not matter; the cost of the first one is left out. With a
process in each, the processes' own pages (AnonPages) come on top; the program's file is in memory once for all.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

from ...adjust.engine import Options, adjust
from ...adjust.site import Site
from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import Tree
from ...errors import UsageError
from ...limits import Limits, decode, nest
from ...ve import bare
from ...ve.attach import enter
from ..figures.result import Figure, Series
from ..stage.place import WorkError, own_name, removed

GIB = 1 << 30
CLAIMED = 100
"""VEs in 1 GB, as announced in 2006."""
GROUP = "density"
LIMITS = {"memory.max": "512M", "cpu.max": 1, "pids.max": 100}
FEWEST = 8
_KERNEL = ("Slab", "Percpu", "KernelStack", "PageTables")
_OWN = ("AnonPages",)
_STEPS = 4
_PATIENCE = 60.0
_REST, _PAUSE, _STILL = 20.0, 0.5, 64 << 10
"""Memory is stable if it falls by at most so many bytes in a pause of so many seconds; the longest wait."""


def measure(site: Site, *, ves: int, tell: Callable[[str], None]) -> tuple[list[Figure], list[Series]]:
    """Figures, and the growth as a series. Removes the VEs and their processes afterwards. Raises RctlError."""
    if ves < FEWEST:
        raise UsageError(f"{ves} VEs: too few to see what one costs. Give {FEWEST} or more")
    names = [f"{own_name()}-{number}" for number in range(ves)]
    asked: Limits = decode(nest(dict(LIMITS)), site.host)
    tell("density: waiting for the kernel to free the memory of earlier VEs")
    _calm()
    before = meminfo(*_KERNEL, *_OWN)
    try:
        points: list[tuple[int, int]] = []
        for batch in (names[:1], *_batches(names[1:])):
            tell(f"density: {points[-1][0] if points else 0} of {ves} VEs")
            for name in batch:
                bare.make(site.tree, name).close()
            adjust(site, dict.fromkeys(batch, asked), Options(command="bench"))
            points.append((sum(n for n, _ in points[-1:]) + len(batch), meminfo(*_KERNEL)))
        tell("density: a process in each VE")
        whole = _filled(site.tree, names) - before
    finally:
        tell("removing the VEs")
        removed(site.tree, *names)
    return _figures(ves, points, whole)


def _calm() -> None:
    """Wait until the kernel has freed the memory of earlier VEs; freed later, it would make these look cheaper."""
    deadline, before = time.monotonic() + _REST, meminfo(*_KERNEL)
    while time.monotonic() < deadline:
        time.sleep(_PAUSE)
        now = meminfo(*_KERNEL)
        if now >= before - _STILL:
            return
        before = now


def _batches(names: Sequence[str]) -> list[Sequence[str]]:
    size = -(-len(names) // _STEPS)
    return [names[at : at + size] for at in range(0, len(names), size)]


def _filled(tree: Tree, names: Sequence[str]) -> int:
    """Bytes in use while a process sleeps in each VE."""
    sleepers: list[subprocess.Popen[bytes]] = []
    program = shutil.which("sleep") or "sleep"
    try:
        for name in names:
            with tree.open_ve(name) as ve:
                sleepers.append(_inside(ve, [program, "3600"]))
        for process in sleepers:
            _await_sleep(process.pid)
        return meminfo(*_KERNEL, *_OWN)
    finally:
        for process in sleepers:
            process.kill()
            process.wait()


def _inside(ve: Cgroup, command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, preexec_fn=lambda: enter(ve))


def _await_sleep(pid: int) -> None:
    """Wait until a process sleeps: before that, it has not all of its memory. Raises WorkError."""
    deadline = time.monotonic() + _PATIENCE
    while _state(pid) != "S":
        if time.monotonic() > deadline:
            raise WorkError(f"a process that should sleep did not within {_PATIENCE:g} s")
        time.sleep(0.001)


def _state(pid: int) -> str:
    """A process's state, from proc(5) stat."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]


def _figures(ves: int, points: Sequence[tuple[int, int]], whole: int) -> tuple[list[Figure], list[Series]]:
    (first, before), (last, after) = points[0], points[-1]
    each = (after - before) / (last - first)
    if min(each, whole) <= 0:
        raise WorkError("the kernel's memory shrank during the measurement. Measure on a machine with no other load")
    slopes = [(b - a) / (m - n) for (n, a), (m, b) in pairwise(points)]
    kernel = (
        f"growth of {', '.join(_KERNEL)} from VE {first} to VE {last}, in {len(slopes)} steps; limits: "
        + ", ".join(f"{key}={value}" for key, value in LIMITS.items())
    )
    with_process = whole / ves
    fall = f"growth of {', '.join(_KERNEL + _OWN)} over {ves} VEs with these limits, a sleeping process in each"
    many = GIB / with_process
    figures = [
        Figure("kernel memory of an empty VE", each, "bytes", kernel, min(slopes), max(slopes), group=GROUP),
        Figure("empty VEs in 1 GB", GIB // each, "count", "1 GiB over the above", group=GROUP, better="high"),
        Figure("memory of a VE with a sleeping process", with_process, "bytes", fall, group=GROUP),
        Figure(
            "VEs with a sleeping process in 1 GB", float(int(many)), "count", "1 GiB over the above",
            budget=CLAIMED, verdict="pass" if many >= CLAIMED else "fail", group=GROUP, better="high",
        ),
    ]  # fmt: skip
    grown = tuple(float(size - before) for _, size in points)
    return figures, [Series("kernel memory", tuple(n for n, _ in points), grown, "bytes", "VEs", GROUP)]


def meminfo(*names: str) -> int:
    """The sum of these lines of proc(5) meminfo, in bytes; a line that this kernel lacks counts 0."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        found = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return 1024 * sum(found.get(name, 0) for name in names)
