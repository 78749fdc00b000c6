"""The kernel's answers that rctl is built on, asked again of the kernel that is running.

They were first read off 6.1. A kernel without the file skips; where kernels differ by design, all known answers count.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path

import pytest

from rctl.host import Host
from rctl.limits import decode, writes
from tests import vectors
from tests.vectors import Vector

GROUPS = frozenset(group for group in vectors.GROUPS if re.match(r"kernel\.(write:|structure|cpuset\.|live)", group))
WRITES = {group for group in GROUPS if group.startswith("kernel.write:")}
SPECIAL = {
    "kernel.write:mkdir",
    "kernel.write:mkdir with cgroup.max.descendants=0",
    "kernel.write:cpu.max (burst=40000 set)",
    "kernel.write:root io.cost.qos",
}

ELSEWHERE: dict[str, str] = {}
"""Vectors of these groups that are not run here, with the reason."""

OTHER_KERNELS = {
    "kernel.write:memory.peak-001": {None},  # 6.12: any write resets it
    "kernel.write:cpuset.cpus-012": {errno.EINVAL},  # 5.10: "all" is no list
    "kernel.write:io.max-006": {None},  # 7: one operation a second is a limit
    "kernel.write:cpuset.cpus-014": {None},  # 7: emptied under tasks, which then use the parent's
    "kernel.write:cpuset.mems-004": {None},  # 7: likewise
}
"""Answers of kernels other than 6.1."""

BEFORE: dict[str, list[tuple[str, str]]] = {
    "kernel.write:io.max-022": [("io.max", "W rbps=1048576")],
    "kernel.write:io.bfq.weight-007": [("io.bfq.weight", "1000")],
    "kernel.write:io.bfq.weight-008": [("io.bfq.weight", "1000"), ("io.bfq.weight", "DEV 300")],
    "kernel.write:cpuset.cpus-014": [("cpuset.cpus", "1"), ("cgroup.procs", "PID")],
    "kernel.write:cpuset.mems-004": [("cpuset.mems", "0"), ("cgroup.procs", "PID")],
}
"""What was written before, where the answer depends on it."""

SLEEP = ("sleep", "1000")
BLKPG, ADD_PARTITION, DELETE_PARTITION = 0x1269, 1, 2


def answer(act: Callable[[], object]) -> int | None:
    """The errno that the kernel gives; ``None`` when it does as asked."""
    try:
        act()
    except OSError as error:
        return error.errno
    return None


def put(path: Path, text: str) -> int | None:
    """Write in one write(2)."""

    def write() -> None:
        fd = os.open(path, os.O_WRONLY)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    return answer(write)


def expected(vector: Vector) -> set[int | None]:
    """The errnos that count."""
    name = vector.expect.get("errno", vector.expect.get("write_errno"))
    first = getattr(errno, name.removeprefix("ERR:")) if name else None
    return {first, *OTHER_KERNELS.get(vector.id, set())}


def eventually(true: Callable[[], bool], seconds: float = 10) -> bool:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class Bench:
    """A fresh cgroup, processes to put into it, and a scratch disk."""

    def __init__(self, cgroup: Path) -> None:
        self.cgroup = cgroup
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """A process that waits."""
        self.processes.append(subprocess.Popen(command or SLEEP, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return self.processes[-1]

    def enter(self, cgroup: Path | None = None) -> int | None:
        """Move a new process into the cgroup."""
        return put((cgroup or self.cgroup) / "cgroup.procs", str(self.start().pid))

    def child(self, name: str = "child") -> Path:
        made = self.cgroup / name
        made.mkdir()
        return made

    def has(self, name: str) -> Path:
        path = self.cgroup / name
        if not path.exists():
            pytest.skip(f"this kernel has no {name}")
        return path

    @property
    def disk(self) -> Path:
        """The first scratch disk's folder in /sys."""
        disks = os.environ.get("LAB_DISKS", "").split()
        if not disks:
            pytest.skip("no scratch disk: LAB_DISKS is not set")
        return Path("/sys/block", Path(disks[0]).name)

    def concrete(self, text: str) -> str:
        """The text with this machine's device and process in place of the vectors' names for them."""
        if text == "PID":
            return str(self.start().pid)
        if re.search(r"^(W|DEV)\b", text, re.MULTILINE):
            number = (self.disk / "dev").read_text().strip()
            return re.sub(r"^(W|DEV)\b", number, text, flags=re.MULTILINE)
        return text

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        for folder, _, _ in os.walk(self.cgroup, topdown=False):
            if Path(folder) != self.cgroup:
                assert eventually(lambda folder=folder: answer(lambda: os.rmdir(folder)) is None)


@pytest.fixture
def bench(scratch: Path) -> Iterator[Bench]:
    made = Bench(scratch)
    yield made
    made.close()


@pytest.fixture
def bfq(bench: Bench, as_root: None) -> Iterator[None]:
    """The scratch disk served by BFQ."""
    subprocess.run(["modprobe", "bfq"], check=False, capture_output=True)
    scheduler = bench.disk / "queue/scheduler"
    before = re.search(r"\[(.*)\]", scheduler.read_text())
    if put(scheduler, "bfq"):
        pytest.skip("this kernel has no BFQ")
    yield
    put(scheduler, before[1] if before else "none")
    subprocess.run(["modprobe", "-r", "bfq"], check=False, capture_output=True)  # io.bfq.weight goes with it


@pytest.fixture
def partition(bench: Bench, as_root: None) -> Iterator[str]:
    """The number of a partition of the scratch disk, which is told to the kernel only."""
    fd = os.open(f"/dev/{bench.disk.name}", os.O_RDWR)
    try:
        _blkpg(fd, ADD_PARTITION)
        yield (bench.disk / f"{bench.disk.name}1/dev").read_text().strip()
        _blkpg(fd, DELETE_PARTITION)
    finally:
        os.close(fd)


def _blkpg(fd: int, operation: int) -> None:
    data = ctypes.create_string_buffer(struct.pack("qqi64s64s4x", 1 << 20, 1 << 20, 1, b"", b""))
    ioctl(fd, BLKPG, struct.pack("iiiP", operation, 0, len(data) - 1, ctypes.addressof(data)))


# One write


@vectors.parametrize(WRITES - SPECIAL - {"kernel.write:io.bfq.weight"}, without=["kernel.write:io.max-024"])
def test_a_write(vector: Vector, bench: Bench) -> None:
    agrees(vector, bench)


@pytest.mark.usefixtures("bfq")
@vectors.parametrize(["kernel.write:io.bfq.weight"])
def test_a_write_under_bfq(vector: Vector, bench: Bench) -> None:
    agrees(vector, bench)


def agrees(vector: Vector, bench: Bench) -> None:
    file = bench.has(vector.group.removeprefix("kernel.write:"))
    for name, text in BEFORE.get(vector.id, []):
        assert put(bench.cgroup / name, bench.concrete(text)) is None
    number = put(file, bench.concrete(vector.input["value"]))
    assert number in expected(vector)
    if "readback" in vector.expect and number not in OTHER_KERNELS.get(vector.id, set()):
        assert file.read_text().strip() == bench.concrete(vector.expect["readback"])


def test_a_partition_has_no_io_limits(bench: Bench, partition: str) -> None:
    assert put(bench.has("io.max"), f"{partition} rbps=1048576") == errno.ENODEV


@vectors.parametrize(["kernel.write:cpu.max (burst=40000 set)"])
def test_a_quota_below_the_burst(vector: Vector, bench: Bench) -> None:
    burst = bench.has("cpu.max.burst")
    assert put(bench.cgroup / "cpu.max", "50000 100000") is None
    assert put(burst, "40000") is None
    assert put(bench.cgroup / "cpu.max", vector.input["value"]) in expected(vector)
    if "readback" in vector.expect:
        found = f"{(bench.cgroup / 'cpu.max').read_text().strip()} burst={burst.read_text().strip()}"
        assert found == vector.expect["readback"]


@vectors.parametrize(["kernel.write:mkdir"])
def test_a_name(vector: Vector, bench: Bench) -> None:
    letter, times, number = vector.input["value"].partition("*")
    name = letter * int(number) if times else letter
    assert answer(lambda: os.mkdir(os.path.join(bench.cgroup, name))) in expected(vector)


@vectors.parametrize(["kernel.write:mkdir with cgroup.max.descendants=0"])
def test_a_child_too_many(vector: Vector, bench: Bench) -> None:
    assert put(bench.cgroup / "cgroup.max.descendants", "0") is None
    assert answer(bench.child) in expected(vector)


@pytest.mark.usefixtures("as_root")
@vectors.parametrize(["kernel.write:root io.cost.qos"])
def test_a_cost_model_is_switched_on(vector: Vector, bench: Bench) -> None:
    file = bench.cgroup.parent / "io.cost.qos"
    if not file.exists():
        pytest.skip("this kernel has no io.cost.qos")
    assert put(file, bench.concrete(vector.input["value"])) in expected(vector)
    try:
        assert bench.concrete(vector.expect["readback"]) in file.read_text().splitlines()
    finally:
        put(file, bench.concrete("DEV enable=0"))


# What rctl writes

EDGES: list[tuple[str, str]] = [
    *((f"memory.{name}", size) for name in ("max", "high", "low", "min") for size in ("4097", str(2**63 - 1))),
    *(("memory.max", str(2**63 - 4096 - less)) for less in (0, 1)),
    *(("pids.max", count) for count in ("0", "4194304", "max")),
    *(("cpu.max", quota) for quota in ("1000 1000000", "max 1000", str(2**44 - 1), f"{2**44 - 1} 1000000")),
    *(("io.max", f"DEV {key}ps={2**64 - 2}") for key in ("rb", "wb")),
    *(("io.max", f"DEV {key}ps={2**32 - 2}") for key in ("rio", "wio")),
    ("io.max", "DEV rbps=2 wbps=2 riops=2 wiops=2"),
    ("io.max", "DEV rbps=1M wbps=max riops=5k wiops=max"),
    ("io.weight", "10000"),
    ("cpuset.cpus", "1,0"),
    *(
        ("hugetlb.2MB.max", size)
        for size in ("3M", "0", "max", str(2**63 - 1), *(f"{2**63 - 2**21 - n}" for n in (0, 1)))
    ),
]


@pytest.mark.parametrize(("name", "text"), EDGES)
def test_the_kernel_prints_what_rctl_expects(name: str, text: str, bench: Bench) -> None:
    file = bench.has(name)
    host = Host(lambda path: Path(path).read_text(), os.sysconf("SC_PAGE_SIZE"))
    (write,) = writes(decode({"files": {name: bench.concrete(text)}}, host), host)
    wanted = write.file.merge(write.file.entry(file.read_text(), write.key), write.wanted)
    assert put(file, write.file.line(wanted, write.key)) is None
    assert write.file.entry(file.read_text(), write.key) == wanted


@pytest.mark.parametrize("key", ["riops", "wiops"])
def test_one_operation_more_than_rctl_takes_is_no_limit(key: str, bench: Bench) -> None:
    file = bench.has("io.max")
    assert put(file, bench.concrete(f"DEV rbps=5 {key}={2**32 - 1}")) is None
    assert f"{key}=max" in file.read_text()


# The tree


def a_controller_over_a_process(bench: Bench) -> int | None:
    bench.enter()
    return put(bench.cgroup / "cgroup.subtree_control", "+memory")


def a_controller_that_the_parent_lacks(bench: Bench) -> int | None:
    return put(bench.child() / "cgroup.subtree_control", "+hugetlb")


def a_process_over_a_controller(bench: Bench) -> int | None:
    bench.child()
    assert put(bench.cgroup / "cgroup.subtree_control", "+memory") is None
    return bench.enter()


def removing_a_populated_one(bench: Bench) -> int | None:
    child = bench.child()
    assert bench.enter(child) is None
    return answer(child.rmdir)


def removing_one_with_a_child(bench: Bench) -> int | None:
    child = bench.child()
    (child / "grandchild").mkdir()
    return answer(child.rmdir)


def a_thread_below_a_domain_controller(bench: Bench) -> int | None:
    child = bench.child()
    assert put(bench.cgroup / "cgroup.subtree_control", "+memory") is None
    return put(child / "cgroup.type", "threaded")


def a_thread_where_processes_live(bench: Bench) -> int | None:
    child = bench.child()
    assert bench.enter(child) is None
    return put(child / "cgroup.type", "threaded")


def reading_a_removed_one(bench: Bench) -> int | None:
    child = bench.child()
    with (child / "cgroup.procs").open() as file:
        child.rmdir()
        return answer(file.read)


def opening_in_a_removed_one(bench: Bench) -> int | None:
    child = bench.child()
    fd = os.open(child, os.O_RDONLY)
    child.rmdir()
    try:
        return answer(lambda: os.close(os.open("cgroup.procs", os.O_RDONLY, dir_fd=fd)))
    finally:
        os.close(fd)


def a_thread(bench: Bench) -> int | None:
    return put(bench.child() / "cgroup.type", "threaded")


def killing_threads(bench: Bench) -> int | None:
    bench.has("cgroup.kill")
    assert a_thread(bench) is None
    return put(bench.cgroup / "child/cgroup.kill", "1")


def the_processes_of_threads(bench: Bench) -> int | None:
    assert a_thread(bench) is None
    return answer((bench.cgroup / "child/cgroup.procs").read_text)


STRUCTURE: dict[str, Callable[[Bench], int | None]] = {
    "+memory in subtree_control with process inside": a_controller_over_a_process,
    "+bogus": lambda bench: put(bench.cgroup / "cgroup.subtree_control", "+bogus"),
    "+hugetlb not enabled in parent": a_controller_that_the_parent_lacks,
    "+memory when empty": lambda bench: put(bench.cgroup / "cgroup.subtree_control", "+memory"),
    "procs into inner node with controllers": a_process_over_a_controller,
    "procs ok": Bench.enter,
    "rmdir populated": removing_a_populated_one,
    "rmdir with child": removing_one_with_a_child,
    "threaded with domain ctrl parent": a_thread_below_a_domain_controller,
    "read on fd of removed": reading_a_removed_one,
    "openat removed dirfd": opening_in_a_removed_one,
    "make threaded": a_thread_where_processes_live,
    "t3 threaded": a_thread,
    "cgroup.kill in threaded": killing_threads,
    "read cgroup.procs in threaded": the_processes_of_threads,
}


@vectors.parametrize(["kernel.structure"])
def test_the_tree(vector: Vector, bench: Bench) -> None:
    assert STRUCTURE[vector.input["op"]](bench) in expected(vector)


# CPUs that come and go


@pytest.fixture
def cpu1(as_root: None) -> Iterator[Path]:
    """The switch of CPU 1, which is on before and after."""
    switch = Path("/sys/devices/system/cpu/cpu1/online")
    if not switch.exists():
        pytest.skip("this machine has no CPU 1 that can be switched off")
    yield switch
    put(switch, "1")


@vectors.parametrize(["kernel.cpuset.hotplug"])
def test_a_cpu_goes_and_comes_back(vector: Vector, bench: Bench, cpu1: Path) -> None:
    wanted, effective = bench.cgroup / "cpuset.cpus", bench.cgroup / "cpuset.cpus.effective"
    assert put(wanted, vector.input["cpuset.cpus"]) is None
    assert put(cpu1, "0") is None
    assert eventually(lambda: effective.read_text().strip() == vector.expect["cpuset.cpus.effective"])
    assert wanted.read_text().strip() == vector.expect["cpuset.cpus"]
    assert put(cpu1, "1") is None
    assert eventually(lambda: effective.read_text().strip() == vector.input["cpuset.cpus"])


@pytest.mark.usefixtures("as_root")
@vectors.parametrize(["kernel.cpuset.partition"])
def test_a_cpuset_partition(vector: Vector, bench: Bench) -> None:
    file = bench.cgroup / "cpuset.cpus.partition"
    assert put(bench.cgroup / "cpuset.cpus", "1") is None
    assert put(file, vector.input["write"]) is None
    try:
        assert file.read_text().strip() == vector.expect["readback"]
        assert (bench.cgroup.parent / "cpuset.cpus.effective").read_text().strip() == vector.expect["root.effective"]
    finally:
        put(file, "member")


# Limits below what is in use

HOLD_100_MB = "input(); held = bytearray(b'x') * (100 << 20); print('held', flush=True); input()"


@vectors.parametrize(["kernel.live"])
def test_a_limit_below_what_is_in_use(vector: Vector, bench: Bench) -> None:
    (less_pids if "pids.max" in vector.input else less_memory)(vector, bench)


def less_memory(vector: Vector, bench: Bench) -> None:
    with suppress(FileNotFoundError):  # a machine without swap
        (bench.cgroup / "memory.swap.max").write_text("0")
    process = bench.start(sys.executable, "-S", "-c", HOLD_100_MB)
    assert put(bench.cgroup / "cgroup.procs", str(process.pid)) is None
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"go\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"held\n"
    assert put(bench.cgroup / "memory.max", vector.input["memory.max"]) in expected(vector)
    assert process.wait(60) == -signal.SIGKILL
    events = dict(line.split() for line in (bench.cgroup / "memory.events").read_text().splitlines())
    assert int(events["oom_kill"]) == vector.expect["oom_kill"]


def less_pids(vector: Vector, bench: Bench) -> None:
    for _ in range(vector.input["pids.current"]):
        assert bench.enter() is None
    assert put(bench.cgroup / "pids.max", vector.input["pids.max"]) in expected(vector)
    assert int((bench.cgroup / "pids.current").read_text()) == vector.expect["pids.current_after"]
