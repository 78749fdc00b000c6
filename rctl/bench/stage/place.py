"""The two places of a comparison, the root cgroup ("bare") and a VE; runs programs in them."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from ...adjust.engine import Options, adjust
from ...adjust.locks import Locks
from ...adjust.site import Site
from ...adjust.state_folder import State, default_state, make
from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.devices import resolve
from ...cgroupfs.tree import Tree, enabled
from ...controllers import core
from ...errors import RctlError, UsageError
from ...formats import Write
from ...host import Host
from ...limits import decode, nest
from ...signals import undisturbed
from ...ve import bare, lean

Tell = Callable[[str], None]
"""A function that is called with each step of a benchmark."""
PATIENCE = 600.0
"""Seconds after which a program that has not ended counts as hung."""


class WorkError(Exception):
    """A workload could not be measured; the text gives the reason."""


class Place:
    """A cgroup to run programs in, and a folder for their files. Use ``run`` and ``start``."""

    def __init__(self, name: str, cgroup: Cgroup, folder: str) -> None:
        """``folder`` exists, and no other place uses it, because page cache is charged to the first user."""
        self.name, self.cgroup, self.folder = name, cgroup, folder
        self.environment = dict(os.environ)

    def count(self) -> None:
        """From now on, rctl's own programs here measure busy time without waits: see work.c."""
        self.environment["WORK_CLOCK"] = "busy"

    @property
    def counts(self) -> bool:
        """True if programs here count busy time."""
        return self.environment.get("WORK_CLOCK") == "busy"

    def start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        """Start a program. It enters the cgroup before its first instruction, so all of its memory is charged there.

        Raises WorkError if it cannot be started.
        """
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                cwd=self.folder,
                env=self.environment,
                process_group=0,  # so that its children can be ended with it, in the root cgroup, too
                preexec_fn=self._enter,  # there are no threads
            )
        except OSError as error:
            raise WorkError(f"{command[0]}: cannot be run: {error.strerror}") from None

    def run(self, command: Sequence[str]) -> str:
        """Run a program and return its output. Raises WorkError if it fails. It is ended after any other error."""
        with self.start(command) as program:
            try:
                out, err = program.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                kill_group(program)
                raise WorkError(f"{command[0]}: not done after {PATIENCE:g} s") from None
            except BaseException:
                kill_group(program)
                raise
        if program.returncode:
            raise WorkError(f"{os.path.basename(command[0])}: {_end(program.returncode)}{_last(err)}")
        return out

    def _enter(self) -> None:
        try:
            self.cgroup.write(core.PROCS, "0")
        except RctlError as error:
            _refuse(str(error))


def kill_group(program: subprocess.Popen[str]) -> None:
    """End a program that ``start`` started, and its children."""
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)


def _refuse(text: str) -> NoReturn:
    os.write(2, text.encode())
    os._exit(126)


def _end(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return f": {lines[-1][:200]}" if lines else ""


def usual_limits(host: Host, folder: str) -> dict[str, Any]:
    """Usual limits of a VE, so high that they never bind; ``io.max`` only if ``folder`` lies on one disk."""
    limits: dict[str, Any] = {
        "memory.max": "90%",
        "cpu.max": 2 * len(os.sched_getaffinity(0)),
        "pids.max": 30000,
    }
    with suppress(UsageError):
        rates = dict.fromkeys(("rbps", "wbps"), 10**12) | dict.fromkeys(("riops", "wiops"), 10**9)
        limits["io.max"] = {resolve(folder): rates}
    return limits


@contextmanager
def ve(site: Site, name: str, limits: Mapping[str, Any], *, without_pressure: bool = False) -> Iterator[Cgroup]:
    """A VE with limits, set by the engine, for the time of the block. It is always removed at the end."""
    made = False
    with tempfile.TemporaryDirectory(prefix="rctl-bench-") as keep:
        try:
            with undisturbed():
                bare.make(site.tree, name).close()
                made = True
            asked = decode(nest(dict(limits)), site.host)
            with site.tree.open_ve(name) as cgroup:
                if without_pressure:
                    asked, _ = lean.of(asked, cgroup)
                own = State(default_state().run, keep)  # everybody's locks, its own history
                apart = msgspec.structs.replace(site, state=own)
                adjust(apart, {name: asked}, Options(command="bench"))
                yield cgroup
        finally:
            if made:
                removed(site.tree, name)


@contextmanager
def controllers_as_before(tree: Tree) -> Iterator[None]:
    """Controllers that the block enables at the VEs' place are disabled afterwards, because every cgroup there pays.

    They stay enabled if other cgroups lie there: those may have limits by then, which would be lost.
    """
    with tree.walk(tree.base) as base:
        before = enabled(base, core.SUBTREE_CONTROL)
    try:
        yield
    finally:
        controllers_back(tree, before)


def controllers_back(tree: Tree, before: frozenset[str]) -> None:
    """At the VEs' place, enable the controllers of ``before`` and disable the rest, unless other cgroups lie there.

    Where VEs are units, systemd does that.
    """
    if tree.naming.suffix:
        return
    with undisturbed(), tree.walk(tree.base) as base, Locks(make(default_state())) as locks:
        locks.take([(base.ino, base.path)])
        now = enabled(base, core.SUBTREE_CONTROL)
        if before - now:
            base.write(core.SUBTREE_CONTROL, core.enable_text(before - now))
        if now - before and not base.children():
            base.write(core.SUBTREE_CONTROL, core.enable_text(now - before, "-"))


def removed(tree: Tree, *names: str) -> None:
    """Remove the benchmark's VEs with all their processes. If one cannot be removed, the others still are."""
    with undisturbed(), ExitStack() as stack:
        for name in reversed(names):
            stack.callback(_removed, tree, name)


def _removed(tree: Tree, name: str) -> None:
    if bare.exists(tree, name):
        bare.remove(tree, name, kill=True)


def text_of(cgroup: Cgroup, write: Write) -> str:
    """The text that a script writes into the cgroup's file for the same entry. Raises as ``Cgroup.read`` does."""
    file = write.file
    return file.line(file.merge(file.entry(cgroup.read(file.name), write.key), write.wanted), write.key)


def own_name() -> str:
    """The name of this process's VE."""
    return f"bench-{os.getpid()}"


@contextmanager
def folders(above: str, names: Sequence[str]) -> Iterator[list[str]]:
    """A new folder below ``above`` for each name; removed afterwards. Raises UsageError if none can be made."""
    try:
        whole = tempfile.TemporaryDirectory(prefix="rctl-bench-", dir=above)
    except OSError as error:
        raise UsageError(f"--folder {above}: {error.strerror}. Give a folder on the disk to measure") from None
    with whole as top:
        made = [Path(top, name) for name in names]
        for path in made:
            path.mkdir()
        yield [str(path) for path in made]


def throttled(cgroup: Cgroup) -> list[str]:
    """Limits that a VE has hit: its figures would show the limit and not its cost."""
    hits = {"cpu.stat": ("nr_throttled",), "memory.events": ("high", "max", "oom"), "pids.events": ("max",)}
    found = []
    for file, names in hits.items():
        counts = dict(line.split()[:2] for line in (cgroup.read_if_there(file) or "").splitlines())
        found += [f"{file} {name} {counts[name]}" for name in names if counts.get(name, "0") != "0"]
    return found
