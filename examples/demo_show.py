"""The demo's scene: three VEs at work, and every limit changed while they run, measured by the kernel's own counters.

Each change is made through the `rctl` command line or the public Python API. What is asked and what is measured goes
into one table; `play` says whether all of it is within what is allowed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from demo_print import Printer, Row, number
from demo_stage import NAMES, DemoError, cli, measure, stage, until
from workloads import FILLED

import rctl
from rctl.cgroupfs.devices import disk_name, resolve

WORKLOADS = Path(__file__).with_name("workloads.py")
SECONDS = 3.0  # of each measurement
MB, MIB = 10**6, 1 << 20
HOT, COLD = 64, 96  # MiB of memory that the filler uses all the time, and of file cache beside it
REFUSED = {"memory.max": "40M", "pids.max": "30"}  # less memory than is in use all the time


def play(out: Printer) -> bool:
    """Play all of it and clear away. Returns whether every figure is within what is allowed."""
    began = time.monotonic()
    with stage() as folder:
        show = Show(out, folder)
        print('TIMING', 'x', time.monotonic()-began)
        with show:
            print('TIMING', 'x', time.monotonic()-began)
            for act in show.acts:
                t=time.monotonic(); act(); print('TIMING', act.__name__, round(time.monotonic()-t,1))
        out.stage("removing the VEs")
    bad = [row for row in show.rows if not row.good]
    out.heading(f"Asked and measured, {time.monotonic() - began:.0f} s in all")
    out.table(show.rows)
    out.line("\nAll within what is allowed." if not bad else f"\nOFF: {', '.join(row.what for row in bad)}")
    return not bad


class Show(contextlib.ExitStack):
    """The acts, in order. Entering starts the three VEs and waits until they are at work."""

    def __init__(self, out: Printer, folder: str) -> None:
        super().__init__()
        self.out, self.folder = out, folder
        self.on = disk_name(resolve(folder))
        self.rows: list[Row] = []
        self.ves: dict[str, rctl.VE] = {}
        self.acts: tuple[Callable[[], None], ...] = (
            self.lose_vcpu, self.less_cpu, self.less_memory, self.slower_disk, self.fewer_processes,
            self.gain_vcpu, self.all_at_once, self.refused, self.undo,
        )  # fmt: skip

    def __enter__(self) -> Show:
        super().__enter__()
        self.out.heading("Three VEs, each with its work")
        self._run("demo-mem", ["--memory", "256M", "--swap", "0"], "memory", self.folder, str(HOT), str(COLD))
        self._run("demo-disk", ["--io-max", f"{self.on} wbps=100MB/s"], "disk", self.folder)
        until(lambda: os.path.exists(f"{self.folder}/{FILLED}"), 60, "demo-mem: filling its memory")
        self._run("demo-cpu", ["--vcpus", "2"], "cpu", "2")
        for name in NAMES:
            self.ves[name] = self.enter_context(rctl.open(name, rctl.Options(deadline=30.0)))
        self.cpu, self.mem, self.disk = self.ves.values()
        self.filler = self.mem.cgroup.read("cgroup.procs").split()
        self.before = measure(self.ves, SECONDS, settle=0.5)
        self.out.command("rctl ls")
        self.out.output(self._rctl("ls", "demo-*"))
        used = f"{self.before.cpus['demo-cpu']:.2f} CPUs, {self._memory():.0f} MiB"
        self.out.result(f"in use: {used}, {self._written(self.before):.1f} MB/s written")
        return self

    def lose_vcpu(self) -> None:
        """From two CPUs to one."""
        self.out.heading("A vCPU removed")
        had = self._nproc()
        self._set("demo-cpu", "vcpus=1")
        self._row("vCPUs, one removed", "", 1, had, self._nproc())
        self.before = measure(self.ves, SECONDS, settle=0.5)
        self.out.result(f"demo-cpu now uses {self.before.cpus['demo-cpu']:.3f} CPUs")

    def less_cpu(self) -> None:
        """From one CPU's time to a quarter."""
        self.out.heading("CPU time: 1 CPU becomes 0.25")
        self.out.command('>>> rctl.open("demo-cpu").cpu.max = 0.25', "or: rctl set demo-cpu cpu.max=0.25")
        self.cpu.cpu.max = 0.25
        used = measure(self.ves, SECONDS, settle=0.5)
        self._row("CPU time", "CPUs", 0.25, self.before.cpus["demo-cpu"], used.cpus["demo-cpu"], -0.1, 0.1)
        self.out.result(f"throttled {used.throttled['demo-cpu']} times in {used.seconds:.1f} s (nr_throttled)")

    def less_memory(self) -> None:
        """Below what is in use, and nothing dies."""
        self.out.heading("Memory: the limit goes below what is in use")
        used = self._memory()
        begin = time.monotonic()
        self.out.command('>>> rctl.open("demo-mem").memory.max = "120M"', "or: rctl set demo-mem memory.max=120M")
        self.mem.memory.max = "120M"
        took = time.monotonic() - begin
        turns = self.mem.cpu.stat["usage_usec"]
        time.sleep(0.5)
        self._row("memory", "MiB", 120, used, self._memory(), -0.4, 0.0)
        self._row("killed for memory", "", 0, 0, self.mem.memory.events["oom_kill"])
        alive = self.mem.cgroup.read("cgroup.procs").split() == self.filler
        alive = alive and self.mem.cpu.stat["usage_usec"] > turns
        self._row("filler alive, at work", "", 1, 1, float(alive))
        self.out.result(f"reclaimed in {took:.1f} s; oom_kill 0; the same process goes on using its {HOT} MiB")

    def slower_disk(self) -> None:
        """A limit in bytes per second."""
        self.out.heading("Disk: writes at 5 MB/s")
        before = self._written(measure(self.ves, SECONDS / 2))
        self._set("demo-disk", f"io.max={self.on} wbps=5MB/s")
        self.out.result(f"io.max is {self.disk.cgroup.read('io.max').strip()}")
        used = measure(self.ves, SECONDS, settle=1.0)
        self._row("disk writes", "MB/s", 5, before, self._written(used), -0.1, 0.1)

    def fewer_processes(self) -> None:
        """fork(2) answers EAGAIN at the limit."""
        self.out.heading("Processes: at most 10")
        others = len(self.disk.cgroup.read("cgroup.procs").split()) + 1  # and the one that forks
        before = others + self._fork(20)
        self._set("demo-disk", "pids.max=10")
        self._row("processes", "", 10, before, others + self._fork(20))
        self.out.result(f"fork refused {self.disk.cgroup.read('pids.events').split()[1]} time(s) (pids.events)")

    def gain_vcpu(self) -> None:
        """The CPU comes back."""
        self.out.heading("The vCPU back, and no other limit on CPU time")
        had = self._nproc()
        self._set("demo-cpu", "vcpus=2", "cpu.max=max")
        self._row("vCPUs, one added", "", 2, had, self._nproc())

    def all_at_once(self) -> None:
        """One transaction over all three."""
        self.out.heading("Many VEs, one transaction")
        self.before = measure(self.ves, SECONDS, settle=0.5)
        self.uncapped = self._limits("cpu.max")
        self._set("demo-*", "cpu.max=0.5")
        used = measure(self.ves, SECONDS, settle=0.5)
        self._row("all capped: demo-cpu", "CPUs", 0.5, self.before.cpus["demo-cpu"], used.cpus["demo-cpu"], -0.1, 0.1)
        others = max(used.cpus["demo-mem"], used.cpus["demo-disk"])
        before = max(self.before.cpus["demo-mem"], self.before.cpus["demo-disk"])
        self._row("all capped: the others", "CPUs", 0.5, before, others, -1.0, 0.1)

    def refused(self) -> None:
        """One of three cannot: none is changed."""
        self.out.heading(f"A change that one VE cannot take: its {HOT} MiB are in use, and it has no swap")
        before = self._limits(*REFUSED)
        words = ["set", "demo-*", *(f"{key}={value}" for key, value in REFUSED.items()), "--deadline", "2s"]
        self.out.command(shlex.join(["rctl", *words]))
        status, said = cli(*words)
        self.out.output(said)
        after = self._limits(*REFUSED)
        self.out.line("  limits before " + _told(before))
        self.out.line("  limits after  " + _told(after))
        self._row("refused: exit status", "", 1, 0, status)
        differ = sum(before[name] != after[name] for name in before)
        self._row("refused: VEs changed", "", 0, 0, differ)
        self._row("refused: killed", "", 0, 0, sum(ve.memory.events["oom_kill"] for ve in self.ves.values()))

    def undo(self) -> None:
        """Back to what was there before the last change that took effect."""
        self.out.heading("Undo: the last change that took effect, on all three")
        capped = self._limits("cpu.max")
        self.out.command("rctl undo")
        self.out.output(self._rctl("undo"))
        back = self._limits("cpu.max")
        self._row("undone, VEs as before", "", 3, _same(capped, self.uncapped), _same(back, self.uncapped))
        used = measure(self.ves, SECONDS / 2, settle=0.5)
        self.out.result(f"demo-cpu uses {used.cpus['demo-cpu']:.2f} CPUs again")

    def _run(self, name: str, limits: list[str], *workload: str) -> None:
        told = shlex.join(["rctl", "run", name, *limits, "-d", "--", "workloads.py", *workload])
        self.out.command(told.replace(self.folder, "FOLDER"))
        self._rctl("run", name, *limits, "-d", "--", sys.executable, "-I", "-S", str(WORKLOADS), *workload)

    def _set(self, *words: str) -> None:
        self.out.command(shlex.join(["rctl", "set", *words]))
        self.out.output(self._rctl("set", *words))

    def _rctl(self, *words: str) -> str:
        status, said = cli(*words)
        if status:
            raise DemoError(f"{shlex.join(['rctl', *words])}: ended with {status}: {said}")
        return said

    def _nproc(self) -> int:
        said = self._rctl("run", "demo-cpu", "--", "nproc")
        self.out.command("rctl run demo-cpu -- nproc")
        self.out.output(said)
        return int(said)

    def _fork(self, children: int) -> int:
        said = self._rctl("run", "demo-disk", "--", sys.executable, "-I", "-S", str(WORKLOADS), "fork", str(children))
        self.out.command(f"rctl run demo-disk -- workloads.py fork {children}")
        self.out.output(f"{said} of {children} children started")
        return int(said)

    def _memory(self) -> float:
        return int(self.mem.memory.current) / MIB

    def _written(self, used: object) -> float:
        return used.written["demo-disk"] / MB  # type: ignore[attr-defined]

    def _limits(self, *files: str) -> dict[str, tuple[str, ...]]:
        return {name: tuple(ve.cgroup.read(file).strip() for file in files) for name, ve in self.ves.items()}

    def _row(
        self, what: str, unit: str, asked: float, before: float, now: float, low: float = 0, high: float = 0
    ) -> None:
        row = Row(what, unit, asked, before, now, low, high)
        self.rows.append(row)
        self.out.result(f"{what}: {number(before)} -> {number(now)} {unit}".rstrip() + f" (asked {number(asked)})")


def _told(limits: dict[str, tuple[str, ...]]) -> str:
    return "   ".join(f"{name}: {' '.join(values)}" for name, values in limits.items())


def _same(left: dict[str, tuple[str, ...]], right: dict[str, tuple[str, ...]]) -> int:
    return sum(left[name] == right[name] for name in left)
