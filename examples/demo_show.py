"""The parts of the demo: three busy VEs; every limit is changed while they run, and measured with the kernel's
counters.

Each change uses the `rctl` command line or the public Python API. The values asked for and measured go into one table;
`play` returns True if all errors are allowed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from demo_print import INDENT, Printer, Row
from demo_stage import NAMES, DemoError, Usage, cli, measure, stage, until
from workloads import FILLED

import rctl
from rctl.cgroupfs.devices import disk_name, resolve

PYTHON = (sys.executable, "-I", "-S", str(Path(__file__).with_name("workloads.py")))
SECONDS = 3.0  # of each measurement
MB, MIB = 10**6, 1 << 20
HOT, COLD = 64, 96  # MiB of memory that the filler always uses, and of its file cache
REFUSED = {"memory.max": "40M", "pids.max": "30"}  # less memory than the filler always uses
Limits = dict[str, tuple[str, ...]]
"""Texts of some files, by VE."""


def play(out: Printer) -> bool:
    """Run all parts and clear away. Returns True if every figure is within its allowance."""
    began = time.monotonic()
    with stage() as folder:
        show = Show(out, folder)
        with show:
            for act in show.acts:
                act()
        out.stage("removing the VEs")
    bad = [row for row in show.rows if not row.good]
    out.heading(f"Asked and measured, {time.monotonic() - began:.0f} s in all")
    out.table(show.rows)
    out.line("\nAll errors are within the allowance." if not bad else f"\nOFF: {', '.join(row.what for row in bad)}")
    return not bad


class Show(contextlib.ExitStack):
    """The parts, in order. Entering starts the three VEs and waits until they are busy."""

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
        self.fillers = self._fillers()
        self.before = measure(self.ves, SECONDS, settle=0.5)
        self.out.command("rctl ls")
        self.out.output(self._rctl("ls", "demo-*", width=max(0, self.out.width - INDENT)))
        used = f"{_burnt(self.before):.2f} CPUs, {self._memory():.0f} MiB, {_written(self.before):.1f} MB/s written"
        self.out.result(f"demo-cpu, demo-mem, demo-disk use {used}")
        return self

    def lose_vcpu(self) -> None:
        """From two CPUs to one."""
        self.out.heading("A vCPU removed")
        had = self._nproc()
        self._set("demo-cpu", "vcpus=1")
        self._row(Row("vCPUs (nproc), one removed", "", 1, had, self._nproc()))
        self.before = measure(self.ves, SECONDS, settle=0.5)
        self.out.result(f"demo-cpu now uses {self.before.cpus['demo-cpu']:.3f} CPUs")

    def less_cpu(self) -> None:
        """From one CPU's time to a quarter."""
        self.out.heading("CPU time: 1 CPU becomes 0.25")
        self.out.command('>>> rctl.open("demo-cpu").cpu.max = 0.25', "or: rctl set demo-cpu cpu.max=0.25")
        self.cpu.cpu.max = 0.25
        self._row(self._steady(lambda used: Row("CPU time", "CPUs", 0.25, _burnt(self.before), _burnt(used), 0.1)))
        stat = self.cpu.cpu.stat
        self.out.result(f"held back in {stat['nr_throttled']} of {stat['nr_periods']} periods so far (cpu.stat)")

    def less_memory(self) -> None:
        """Below the memory in use, and no process dies."""
        self.out.heading("Memory: the limit goes below what is in use")
        used, begin = self._memory(), time.monotonic()
        self.out.command('>>> rctl.open("demo-mem").memory.max = "120M"', "or: rctl set demo-mem memory.max=120M")
        self.mem.memory.max = "120M"
        took, ran = time.monotonic() - begin, self.mem.cpu.stat["usage_usec"]
        time.sleep(1.0)
        self._row(Row("memory", "MiB", 120, used, self._memory(), at_most=True))
        self.out.result(f"reclaimed in {took:.1f} s: file cache went, the {HOT} MiB that the filler uses stayed")
        works = self._fillers() == self.fillers and self.mem.cpu.stat["usage_usec"] > ran
        self._row(Row("memory: same process at work", "", 1, 1, float(works)))

    def slower_disk(self) -> None:
        """A limit in bytes per second."""
        self.out.heading("Disk: writes at 5 MB/s")
        before = _written(measure(self.ves, SECONDS / 2))
        self._set("demo-disk", f"io.max={self.on} wbps=5MB/s")
        self._row(self._steady(lambda used: Row("disk writes", "MB/s", 5, before, _written(used), 0.1)))

    def fewer_processes(self) -> None:
        """fork(2) fails with EAGAIN at the limit."""
        self.out.heading("Processes: at most 10")
        others = len(self.disk.cgroup.read("cgroup.procs").split()) + 1  # and the one that forks
        before = others + self._fork(20)
        self._set("demo-disk", "pids.max=10")
        self._row(Row("processes", "", 10, before, others + self._fork(20)))
        self.out.result(f"fork refused {self.disk.cgroup.read('pids.events').split()[1]} time(s) (pids.events)")

    def gain_vcpu(self) -> None:
        """The CPU comes back."""
        self.out.heading("The vCPU back, and all of its time")
        had = self._nproc()
        self._set("demo-cpu", "vcpus=2", "cpu.max=max")
        self._row(Row("vCPUs (nproc), one added", "", 2, had, self._nproc()))

    def all_at_once(self) -> None:
        """One transaction over all three."""
        self.out.heading("Many VEs, one transaction")
        before, self.uncapped = measure(self.ves, SECONDS, settle=0.5), self._limits("cpu.max")
        self._set("demo-*", "cpu.max=0.5")
        self._row(self._steady(lambda used: Row("all capped: busiest", "CPUs", 0.5, _most(before), _most(used), 0.1)))
        capped = sum(values == ("50000 100000",) for values in self._limits("cpu.max").values())
        self._row(Row("all capped: VEs", "", 3, 0, capped))

    def refused(self) -> None:
        """One of three VEs cannot: none is changed."""
        self.out.heading(f"A change that one of three cannot take: it uses {HOT} MiB all the time and has no swap")
        before = self._limits(*REFUSED)
        words = ["set", "demo-*", *(f"{key}={value}" for key, value in REFUSED.items()), "--deadline", "2s"]
        self.out.command(shlex.join(["rctl", *words]))
        status, said = cli(*words)
        self.out.output(said)
        after = self._limits(*REFUSED)
        for when, limits in ("before", before), ("after", after):
            told = "   ".join(f"{name}: {' '.join(values)}" for name, values in limits.items())
            self.out.line(f"  {' and '.join(REFUSED)} {when:6}  {told}")
        self._row(Row("refused: exit status", "", 1, None, status))
        self._row(Row("refused: VEs as before", "", 3, None, _same(before, after)))

    def undo(self) -> None:
        """Back to the values before the last change that took effect."""
        self.out.heading("Undo: takes back the last change that took effect, on all three")
        capped = self._limits("cpu.max")
        self.out.command("rctl undo")
        self.out.output(self._rctl("undo"))
        now = self._limits("cpu.max")
        self._row(Row("undone: VEs as before", "", 3, _same(capped, self.uncapped), _same(now, self.uncapped)))
        self.out.result(f"demo-cpu uses {_burnt(measure(self.ves, SECONDS / 2, settle=0.5)):.2f} CPUs again")
        killed = sum(ve.memory.events["oom_kill"] for ve in self.ves.values())
        self._row(Row("killed for memory, all along", "", 0, None, killed))

    def _run(self, name: str, limits: list[str], *workload: str) -> None:
        told = shlex.join(["rctl", "run", name, *limits, "-d", "--", "workloads.py", *workload])
        self.out.command(told.replace(self.folder, "FOLDER"))
        self._rctl("run", name, *limits, "-d", "--", *PYTHON, *workload)

    def _set(self, *words: str) -> None:
        self.out.command(shlex.join(["rctl", "set", *words]))
        self.out.output(self._rctl("set", *words))

    def _rctl(self, *words: str, width: int = 0) -> str:
        status, said = cli(*words, width=width)
        if status:
            raise DemoError(f"{shlex.join(['rctl', *words])}: ended with {status}: {said}")
        return said

    def _nproc(self) -> int:
        self.out.command("rctl run demo-cpu -- nproc")
        said = self._rctl("run", "demo-cpu", "--", "nproc")
        self.out.output(said)
        return int(said.split()[-1])  # a note that the command joins the VE may stand before

    def _fork(self, children: int) -> int:
        self.out.command(f"rctl run demo-disk -- workloads.py fork {children}")
        started = int(self._rctl("run", "demo-disk", "--", *PYTHON, "fork", str(children)).split()[-1])
        self.out.output(f"{started} of {children} children started")
        return started

    def _steady(self, row: Callable[[Usage], Row]) -> Row:
        """The row of a measurement. If other work on this machine disturbed it, it is repeated for longer."""
        for seconds in SECONDS, 2 * SECONDS:
            found = row(measure(self.ves, seconds, settle=1.0))
            if found.good:
                return found
            self.out.result(f"{found}; again, for longer: is this machine busy with other work?")
        return row(measure(self.ves, 4 * SECONDS))

    def _row(self, row: Row) -> None:
        self.rows.append(row)
        self.out.result(str(row))

    def _memory(self) -> float:
        return int(self.mem.cgroup.read("memory.current")) / MIB

    def _fillers(self) -> list[str]:
        return self.mem.cgroup.read("cgroup.procs").split()

    def _limits(self, *files: str) -> Limits:
        return {name: tuple(ve.cgroup.read(file).strip() for file in files) for name, ve in self.ves.items()}


def _burnt(used: Usage) -> float:
    return used.cpus["demo-cpu"]


def _most(used: Usage) -> float:
    return max(used.cpus.values())


def _written(used: Usage) -> float:
    return used.written["demo-disk"] / MB


def _same(left: Limits, right: Limits) -> int:
    return sum(left[name] == right[name] for name in left)
