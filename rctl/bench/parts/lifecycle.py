"""The time to make, to enter and to remove a VE: inside rctl, by bare system calls, and as commands.

The bare system calls are only the necessary ones: mkdir, the same limits written, rmdir. rctl also checks the name,
locks, journals, reads back, and waits for processes that are still dying.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ...adjust.engine import Options, adjust
from ...adjust.request import Around
from ...adjust.site import Site
from ...errors import RctlError
from ...limits import Limits, decode, nest, writes
from ..figures.result import Figure
from ..figures.stats import median_interval, verdict
from ..stage.place import own_name, removed
from ..stage.worker import now, working
from .density import LIMITS

GROUP = "life of a VE"
START, STOP = "start a VE: rctl run -d", "stop and remove it: rctl rm --kill"
CLAIMED = 2.0
"""Seconds to start or to stop a VE, as announced in 2006."""
Times = dict[str, list[float]]
_PATIENCE = 60.0


def measure(site: Site, *, rounds: int, tell: Callable[[str], None]) -> list[Figure]:
    """Medians in seconds. Nothing is left of the VE. Raises RctlError."""
    name = f"{own_name()}-life"
    asked: Limits = decode(nest(dict(LIMITS)), site.host)
    times: Times = {}
    try:
        for number in range(rounds + 1):
            tell(f"life of a VE: round {number} of {rounds}" if number else "life of a VE: once to warm up")
            if number == 1:
                times = {}
            _by_rctl(site, name, asked, times)
            _by_hand(site, name, asked, times)
            _as_commands(name, site.state.keep, times)
    finally:
        removed(site.tree, name)
    return [_figure(what, found) for what, found in times.items()]


def _by_rctl(site: Site, name: str, asked: Limits, times: Times) -> None:
    """Make a VE with limits, enter it, and remove it, as rctl's verbs do, within one process."""
    with _timed(times, "make, with 3 limits"):
        adjust(site, {name: asked}, Options(command="bench"), around=Around(make=(name,)))
    ve = site.tree.open_ve(name)
    with ve, _timed(times, "enter: to a child's first step inside") as entered, working(ve, _ready) as worker:
        entered(worker.report(_PATIENCE))
    with _timed(times, "remove"):
        adjust(site, {}, Options(command="bench"), around=Around(remove=(name,)))


def _by_hand(site: Site, name: str, asked: Limits, times: Times) -> None:
    """The same with the system calls alone, in the place that rctl would use."""
    root, path = site.tree.root.fd, site.tree.path(name)[1:]
    asked_for = writes(asked, site.host)
    texts = [(one.file.name, one.file.line(one.file.merge(one.file.default, one.wanted))) for one in asked_for]
    with _timed(times, "make, by bare system calls"):
        os.mkdir(path, 0o755, dir_fd=root)
        for file, text in texts:
            fd = os.open(f"{path}/{file}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=root)
            os.write(fd, text.encode())
            os.close(fd)
    with _timed(times, "remove, by rmdir(2) alone"):
        os.rmdir(path, dir_fd=root)


def _as_commands(name: str, state: str, times: Times) -> None:
    """Start and stop as commands, with the start of Python included."""
    rctl = (sys.executable, "-m", "rctl")
    environment = {**os.environ, "RCTL_STATE": state}
    words = [f"--limit={key}={value}" for key, value in LIMITS.items()]
    for what, command in (
        (START, (*rctl, "run", name, "-d", *words, "--", "sleep", "3600")),
        (STOP, (*rctl, "rm", "--kill", name)),
    ):
        with _timed(times, what):
            done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
        if done.returncode:
            raise RctlError(f"{what}: ended with {done.returncode}: {done.stderr.strip()}")


@contextmanager
def _timed(times: Times, what: str) -> Iterator[Callable[[int | None], None]]:
    """Note the time of the block, or the time until the moment that the block reports."""
    ends: list[int] = []
    begin = now()
    yield lambda moment: ends.append(moment or now())
    ends.append(now())
    times.setdefault(what, []).append((ends[0] - begin) / 1e9)


def _ready() -> Iterator[int]:
    yield now()
    yield now()
    signal.pause()


def _figure(what: str, times: Sequence[float]) -> Figure:
    found = median_interval(times)
    claimed = what in (START, STOP)
    note = "a bare VE: a cgroup with limits and a process, no root file system" if claimed else ""
    return Figure(
        what, found.ratio, "seconds", f"median of {len(times)}", found.low, found.high,
        CLAIMED if claimed else None, verdict(found, CLAIMED) if claimed else "", GROUP, note,
    )  # fmt: skip
