"""A cgroup v2 kernel in memory: it answers as Linux 6.1 does (tests/vectors.json), and fails where a test wants it to.

It stands in for the system calls under ``rctl.cgroupfs``, so all of rctl's own code runs. ``FakeKernel.installed()``
puts it in place; every open, read and write, those of the journal too, is one *operation*, counted from 0. A *fault*
strikes before an operation: an errno, ``INTERRUPT`` (Ctrl-C, as a real signal) or ``CRASH`` (kill -9: nothing that
comes after has any effect, and all locks and descriptors are gone).
"""

from __future__ import annotations

import errno
import os
import pickle
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest import mock

from rctl.adjust import fork, journal, lines, shrink, single_writer
from rctl.adjust.state import State
from rctl.cgroupfs import cgroup, files, labels, mounts, tree
from rctl.cgroupfs.tree import Tree
from rctl.host import Host
from rctl.limits import Limits, decode, nest

PAGE = 4096
FIRST_FD = 1_000_000
CONTROLLERS = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")
THREADED = {"cpu", "cpuset", "pids"}
BOOT = "b007"
INTERRUPT = "interrupt"
CRASH = "crash"

DEFAULTS = {
    "memory": {
        "memory.max": "max",
        "memory.high": "max",
        "memory.low": "0",
        "memory.min": "0",
        "memory.swap.max": "max",
        "memory.swap.high": "max",
        "memory.zswap.max": "max",
        "memory.oom.group": "0",
    },
    "cpu": {
        "cpu.max": "max 100000",
        "cpu.max.burst": "0",
        "cpu.weight": "100",
        "cpu.weight.nice": "0",
        "cpu.idle": "0",
    },
    "cpuset": {"cpuset.cpus": "", "cpuset.mems": "", "cpuset.cpus.partition": "member"},
    "io": {"io.max": "", "io.weight": "default 100"},
    "pids": {"pids.max": "max"},
    "hugetlb": {"hugetlb.2MB.max": "max"},
    "": {"cgroup.freeze": "0", "cgroup.pressure": "1", "cgroup.subtree_control": ""},
}
"""The files that hold a limit, by controller, as they read in a new cgroup."""
OPTIONAL = {"cpuset": {"cpuset.cpus.exclusive": ""}, "io": {"io.bfq.weight": "default 100"}}
"""Files of newer kernels and of modules, which this one has not got until a test takes them from ``lacks``."""

_OTHERS = {
    "memory": ("memory.current", "memory.events", "memory.reclaim", "memory.swap.current", "memory.peak"),
    "cpuset": ("cpuset.cpus.effective", "cpuset.mems.effective"),
    "pids": ("pids.current",),
    "hugetlb": ("hugetlb.2MB.current",),
    "": (
        "cgroup.procs",
        "cgroup.controllers",
        "cgroup.events",
        "cgroup.stat",
        "cgroup.kill",
        "cgroup.type",
        "memory.pressure",
    ),
}
_HOME = {
    name: controller
    for table in (DEFAULTS, OPTIONAL, _OTHERS)
    for controller, names in table.items()
    for name in names  # type: ignore[attr-defined]
}
_ROOT = {"cgroup.procs", "cgroup.controllers", "cgroup.subtree_control", "cgroup.stat", "memory.pressure"} | {
    "cpuset.cpus.effective",
    "cpuset.mems.effective",
}


class Crash(BaseException):
    """The process was killed: nothing that it does from here on has any effect."""


@dataclass(frozen=True)
class Operation:
    """One file operation: ``kind`` is open, read, write or a journal's; ``text`` what was written."""

    kind: str
    path: str
    file: str
    text: str = ""


@dataclass(eq=False)
class Node:
    """A cgroup: its limits by file, its processes, its memory in bytes."""

    path: str
    ino: int
    parent: Node | None
    files: dict[str, str] = field(default_factory=lambda: dict(DEFAULTS[""]))
    children: dict[str, Node] = field(default_factory=dict)
    procs: set[int] = field(default_factory=set)
    anon: int = 0
    cache: int = 0
    swapped: int = 0
    kills: int = 0
    removed: bool = False
    labels: dict[str, bytes] = field(default_factory=dict)

    def family(self) -> Iterator[Node]:
        """This one and all below."""
        yield self
        for child in self.children.values():
            yield from child.family()

    def line(self) -> Iterator[Node]:
        """This one and all above, but for the root."""
        here: Node | None = self
        while here is not None and here.parent is not None:
            yield here
            here = here.parent

    @property
    def current(self) -> int:
        """``memory.current``."""
        return sum(node.anon + node.cache for node in self.family())

    @property
    def enabled(self) -> set[str]:
        """Controllers enabled for the children."""
        return set(self.files["cgroup.subtree_control"].split())

    @property
    def kind(self) -> str:
        """``cgroup.type``, where nobody makes a cgroup threaded on purpose."""
        if any(above.procs and above.enabled for above in self.line() if above is not self):
            return "domain invalid"
        return "domain threaded" if self.procs and self.enabled else "domain"

    @property
    def tasks(self) -> bool:
        """Whether processes live here or below."""
        return any(node.procs for node in self.family())


class FakeKernel:
    """The whole machine. ``lacks``: files that this kernel does not have; ``swap``: bytes of it."""

    def __init__(self, cpus: int = 4, disks: tuple[str, ...] = ("8:0", "8:16"), swap: int = 4 << 30) -> None:
        self.cpus, self.disks, self.swap = cpus, disks, swap
        self.controllers = set(CONTROLLERS)
        self.knows_swappiness = False  # 6.11
        self.lacks = {name for files in OPTIONAL.values() for name in files}
        self.root = Node("/", 1, None)
        self._inodes = 1
        self.wake()

    def wake(self) -> None:
        """A new process looks at the same machine: no descriptors, no faults, nothing counted."""
        self.now = 0.0
        self.dead = False
        self.operations: list[Operation] = []
        self.faults: dict[int, int | str] = {}
        self.broken: Callable[[Operation], int | None] = lambda operation: None
        self.watch: Callable[[Operation], None] = lambda operation: None
        self.fds: dict[int, tuple[Node, str | None]] = {}
        self.most_open = 0
        self.journal_fds: set[int] = set()
        self._next_fd = FIRST_FD

    def __getstate__(self) -> dict[str, Any]:
        names = ("cpus", "disks", "swap", "controllers", "lacks", "knows_swappiness", "root", "_inodes")
        return {name: self.__dict__[name] for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.wake()

    def copy(self) -> FakeKernel:
        """The same machine once more."""
        twin: FakeKernel = pickle.loads(pickle.dumps(self))
        return twin

    # What a test arranges

    def node(self, path: str) -> Node:
        """The cgroup at a path."""
        here = self.root
        for part in filter(None, path.split("/")):
            here = here.children[part]
        return here

    def make(self, path: str, *, enable: bool = True, procs: tuple[int, ...] = (), **memory: int) -> Node:
        """Make a cgroup and all above it; ``enable``: all controllers on the way. ``memory``: anon, cache."""
        here = self.root
        for part in filter(None, path.split("/")):
            if enable:
                self._subtree(here, " ".join(f"+{name}" for name in sorted(self.controllers)))
            if part not in here.children:
                self._born(here, part)
            here = here.children[part]
        here.procs |= set(procs)
        here.anon, here.cache = memory.get("anon", here.anon), memory.get("cache", here.cache)
        return here

    def put(self, path: str, file: str, text: str) -> None:
        """Write a file as somebody else would."""
        self.store(self.node(path), file, text)

    def get(self, path: str, file: str) -> str:
        """Read a file as somebody else would."""
        return self.text(self.node(path), file).strip()

    def remove(self, path: str) -> None:
        """Remove a cgroup and those below as somebody else would."""
        node = self.node(path)
        for gone in node.family():
            gone.removed = True
        assert node.parent is not None
        del node.parent.children[path.rpartition("/")[2]]

    def limits(self) -> dict[tuple[str, str], str]:
        """All that can be set, on every cgroup: what "the state" is in these tests.

        A list of CPUs that tasks run on cannot be emptied, so all that the parent has, or more, which allows the same,
        is shown as empty.
        """
        found = {(node.path, name): value for node in self.root.family() for name, value in node.files.items()}
        for node in self.root.family():
            if node.parent and node.tasks and node.files.get("cpuset.cpus"):
                all_of_parent = self._effective(node.parent, "cpuset.cpus", self.cpus)
                if _numbers(node.files["cpuset.cpus"]) >= all_of_parent:
                    found[node.path, "cpuset.cpus"] = ""
        return found

    @property
    def kills(self) -> int:
        """How many processes the kernel killed for want of memory."""
        return sum(node.kills for node in self.root.family())

    @property
    def writes(self) -> list[Operation]:
        """Writes to cgroups so far."""
        return [operation for operation in self.operations if operation.kind == "write"]

    # The machine

    def _born(self, parent: Node, name: str) -> Node:
        self._inodes += 1
        node = Node(f"{parent.path.rstrip('/')}/{name}", self._inodes, parent)
        for controller in parent.enabled:
            node.files.update(DEFAULTS[controller] | OPTIONAL.get(controller, {}))
        for lacking in self.lacks:
            node.files.pop(lacking, None)
        parent.children[name] = node
        return node

    def has(self, node: Node, file: str) -> bool:
        """Whether the file is there: a limit's as long as its controller is enabled in the parent."""
        if node.removed or file in self.lacks or file not in _HOME:
            return False
        if node.parent is None:
            return file in _ROOT
        return file in node.files or (not _HOME[file] or _HOME[file] in node.parent.enabled)

    def text(self, node: Node, file: str) -> str:
        """What reading the file gives."""
        if file in node.files:
            return node.files[file] + "\n"
        available = self.controllers if node.parent is None else node.parent.enabled
        found: dict[str, Callable[[], str]] = {
            "cgroup.controllers": lambda: " ".join(sorted(available)),
            "cgroup.procs": lambda: "\n".join(map(str, sorted(node.procs))),
            "cgroup.type": lambda: node.kind,
            "cgroup.events": lambda: f"populated {int(node.tasks)}\nfrozen {node.files['cgroup.freeze']}",
            "cgroup.stat": lambda: f"nr_descendants {len(list(node.family())) - 1}\nnr_dying_descendants 0",
            "memory.current": lambda: str(node.current),
            "memory.peak": lambda: str(node.current),
            "memory.swap.current": lambda: str(self._swapped(node)),
            "memory.events": lambda: f"low 0\nhigh 0\nmax 0\noom {node.kills}\noom_kill {node.kills}",
            "memory.pressure": lambda: "".join(
                f"{kind} avg10=0.00 avg60=0.00 avg300=0.00 total=0\n" for kind in ("some", "full")
            ),
            "pids.current": lambda: str(sum(len(one.procs) for one in node.family())),
            "hugetlb.2MB.current": lambda: "0",
            "cpuset.cpus.effective": lambda: _ranges(
                self._effective(node, "cpuset.cpus", self.cpus) - self._given_to_partitions(node)
            ),
            "cpuset.mems.effective": lambda: _ranges(self._effective(node, "cpuset.mems", 1)),
        }
        if file not in found:
            raise OSError(errno.EINVAL, file)
        text = found[file]().rstrip("\n")
        return text + "\n" if text else ""

    def store(self, node: Node, file: str, data: str) -> None:
        """What writing to the file does. Raises OSError as the kernel would."""
        if not data:
            return  # a write of no bytes never reaches the handler
        value = data.strip()
        if file == "cgroup.subtree_control":
            self._subtree(node, value)
        elif file == "cgroup.procs":
            self._move(node, value)
        elif file == "cgroup.kill":
            _require(value == "1", errno.ERANGE)
            for one in node.family():
                one.procs.clear()
        elif file == "memory.reclaim":
            self._reclaim_asked(node, value)
        elif file in node.files:
            node.files[file] = self._parsed(node, file, value)
            self._effects(node, file)
        else:
            raise OSError(errno.EINVAL, file)

    def _parsed(self, node: Node, file: str, value: str) -> str:
        """The text that the file then holds."""
        if file == "memory.oom.group":
            _require(value in ("0", "1"))
            return value
        if file.startswith("memory."):
            return _bytes(value, PAGE)
        if file.startswith("hugetlb."):
            return _bytes(value, 2 << 20)
        if file.startswith("cgroup."):
            _require(value.lstrip("-").isdecimal())
            _require(value in ("0", "1"), errno.ERANGE)
            return value
        if file.startswith("cpu."):
            return _CPU[file](node.files, value)
        if file == "pids.max":
            _require(value == "max" or (value.isdecimal() and int(value) <= 4194304))
            return value
        if file.startswith("cpuset."):
            return self._cpuset(node, file, value)
        if file.endswith(".weight"):
            return self._io_weight(value, 1000 if "bfq" in file else 10000)
        return self._io_max(node.files["io.max"], value)

    def _effects(self, node: Node, file: str) -> None:
        if file == "cpu.idle":
            node.files["cpu.weight"] = "0" if node.files[file] == "1" else "100"
        elif file == "memory.high" and node.files[file] != "max":
            self._reclaim(node, node.current - int(node.files[file]))
        elif file == "memory.max" and node.files[file] != "max":
            limit = int(node.files[file])
            self._reclaim(node, node.current - limit)
            if node.current > limit:
                node.kills += 1
                for one in node.family():
                    one.anon = one.cache = 0

    def _subtree(self, node: Node, text: str) -> None:
        _require(all(re.fullmatch(r"[+-]\w+", word) and word[1:] in CONTROLLERS for word in text.split()))
        available = self.controllers if node.parent is None else node.parent.enabled
        on = {word[1:] for word in text.split() if word[0] == "+"} - node.enabled
        off = {word[1:] for word in text.split() if word[0] == "-"} & node.enabled
        _require(on <= available, errno.ENOENT)
        inside = any(child.tasks for child in node.children.values())
        _require(not (on and node.procs and node.parent and (inside or on - THREADED)), errno.EBUSY)
        _require(not any(child.enabled & off for child in node.children.values()), errno.EBUSY)
        node.files["cgroup.subtree_control"] = " ".join(sorted((node.enabled | on) - off))
        for child in node.children.values():
            for name in on:
                child.files.update(DEFAULTS[name] | OPTIONAL.get(name, {}))
            for file in [file for file in child.files if _HOME[file] in off]:
                del child.files[file]
            for lacking in self.lacks:
                child.files.pop(lacking, None)

    def _move(self, node: Node, value: str) -> None:
        _require(value.isdecimal())
        _require(node.parent is None or node.kind != "domain invalid", errno.EOPNOTSUPP)
        inside = any(child.tasks for child in node.children.values())
        _require(not (node.parent and node.enabled and (inside or node.enabled - THREADED)), errno.EBUSY)
        pid = int(value) or os.getpid()
        for one in self.root.family():
            one.procs.discard(pid)
        node.procs.add(pid)

    @staticmethod
    def _given_to_partitions(node: Node) -> set[int]:
        parts = [child for child in node.children.values() if child.files.get("cpuset.cpus.partition") == "root"]
        return {cpu for child in parts for cpu in _numbers(child.files["cpuset.cpus"])}

    def _effective(self, node: Node, file: str, count: int) -> set[int]:
        if node.parent is None:
            return set(range(count))
        above = self._effective(node.parent, file, count)
        return (_numbers(node.files.get(file, "")) & above) or above

    def _cpuset(self, node: Node, file: str, value: str) -> str:
        if file == "cpuset.cpus.exclusive":
            return self._exclusive(node, value)
        if file == "cpuset.cpus.partition":
            _require(value in ("member", "root", "isolated"))
            return value if value == "member" or node.files["cpuset.cpus"] else f"{value} invalid (cpu list empty)"
        count = self.cpus if file == "cpuset.cpus" else 1
        value = f"0-{count - 1}" if value == "all" else value
        if value and "/" in value:
            raise OSError(errno.ERANGE, value)
        _require(not value or re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", value) is not None)
        ends = [tuple(map(int, part.split("-"))) for part in value.split(",") if value]
        _require(all(part[0] <= part[-1] for part in ends))
        numbers = _numbers(value)
        _require(max(numbers, default=0) < count, errno.ERANGE if file == "cpuset.cpus" else errno.EINVAL)
        _require(bool(numbers) or not node.tasks or not node.files[file], errno.ENOSPC)
        return _ranges(numbers)

    def _exclusive(self, node: Node, value: str) -> str:
        """As Linux 6.12: CPUs that are exclusive to a sibling are refused; it can be emptied under tasks."""
        numbers = _numbers(value)
        _require(max(numbers, default=0) < self.cpus, errno.ERANGE)
        beside = node.parent.children.values() if node.parent else ()
        taken = {cpu for one in beside if one is not node for cpu in _numbers(one.files["cpuset.cpus.exclusive"])}
        _require(not numbers & taken)
        return _ranges(numbers)

    def _io_weight(self, value: str, most: int) -> str:
        key, _, number = value.rpartition(" ")
        _require(number.isdecimal() and 1 <= int(number) <= most)
        _require(not key or key == "default", errno.EOPNOTSUPP)
        return f"default {number}"

    def _io_max(self, text: str, value: str) -> str:
        _require("\n" not in value)
        device, *pairs = value.split()
        _require(":" in device)
        _require(device in self.disks, errno.ENODEV)
        _require(bool(pairs))
        lines = {line.split()[0]: dict(pair.split("=") for pair in line.split()[1:]) for line in text.splitlines()}
        rates = lines.setdefault(device, dict.fromkeys(("rbps", "wbps", "riops", "wiops"), "max"))
        for pair in pairs:
            key, _, number = pair.partition("=")
            _require(key in rates)
            _require(number == "max" or number.isdecimal())
            if number != "max":
                _require(int(number) > 0, errno.ERANGE)
                _require(int(number) > 1)
                number = "max" if key.endswith("iops") and int(number) >= (1 << 32) - 1 else str(int(number))
            rates[key] = number
        kept = {dev: line for dev, line in lines.items() if set(line.values()) != {"max"}}
        return "\n".join(f"{dev} " + " ".join(f"{k}={v}" for k, v in line.items()) for dev, line in kept.items())

    def _reclaim_asked(self, node: Node, value: str) -> None:
        size, _, swappiness = value.partition(" swappiness=")
        _require(size.isdecimal() and (not swappiness or self.knows_swappiness))
        if self._reclaim(node, int(size), spare=swappiness == "0") < int(size):
            raise OSError(errno.EAGAIN, "memory.reclaim")

    def _reclaim(self, node: Node, size: int, spare: bool = False) -> int:
        """Take up to ``size`` bytes: the page cache first, then anonymous memory as far as there is swap for it.

        ``spare``: of the page cache alone.
        """
        left = max(0, size)
        for one in node.family():
            taken = min(left, one.cache)
            one.cache, left = one.cache - taken, left - taken
        for one in () if spare else node.family():
            room = self.swap - self._swapped(self.root)
            for above in one.line():
                limit = above.files.get("memory.swap.max", "max")
                room = room if limit == "max" else min(room, int(limit) - self._swapped(above))
            taken = max(0, min(left, one.anon, room))
            one.anon, one.swapped, left = one.anon - taken, one.swapped + taken, left - taken
        return size - left

    @staticmethod
    def _swapped(node: Node) -> int:
        return sum(one.swapped for one in node.family())

    # Operations and faults

    def tick(self, operation: Operation) -> None:
        """Count one operation, and let a fault strike before it."""
        if self.dead:
            raise Crash
        fault = self.faults.get(len(self.operations))
        self.operations.append(operation)
        if fault == CRASH:
            self.die()
        elif fault == INTERRUPT:
            signal.raise_signal(signal.SIGINT)
        elif isinstance(fault, int):
            raise OSError(fault, os.strerror(fault))
        if (lasting := self.broken(operation)) is not None:
            raise OSError(lasting, os.strerror(lasting))

    def die(self) -> None:
        """As kill -9: descriptors, and the locks on them, go."""
        self.dead = True
        for fd in self.journal_fds:
            fork.let_go(fd) if fd in fork._held else os.close(fd)
        self.journal_fds.clear()
        raise Crash

    @contextmanager
    def installed(self) -> Iterator[Tree]:
        """In place of the real kernel. Gives an open tree; ``Tree.open()`` opens the same machine."""
        calls, journal_calls = Calls(self), JournalCalls(self)
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep)
        with ExitStack() as stack:
            for place, name, stand_in in (
                (cgroup, "os", calls),
                (tree, "os", calls),
                (labels, "os", calls),
                (mounts, "find", lambda named: mounts.Mount(mounts.USUAL)),
                (journal, "os", journal_calls),
                (lines, "os", journal_calls),
                (journal, "let_go", journal_calls.let_go),
                (shrink, "time", clock),
                (single_writer, "BOOTED", "/nowhere"),
                (files, "possible", lambda kind: f"0-{self.cpus - 1}" if kind == "cpu" else "0"),
                (files, "online_cpus", lambda: f"0-{self.cpus - 1}"),
            ):
                stack.enter_context(mock.patch.object(place, name, stand_in))
            yield stack.enter_context(Tree.open("/"))

    def _sleep(self, seconds: float) -> None:
        if self.dead:
            raise Crash
        self.now += max(seconds, 1e-6)

    @property
    def host(self) -> Host:
        """What rctl knows of this machine."""
        files = {
            "/proc/meminfo": f"MemTotal: {8 << 20} kB\n",
            "/sys/devices/system/cpu/online": f"0-{self.cpus - 1}\n",
            "/sys/devices/system/node/online": "0\n",
            "/sys/devices/system/node/node0/cpulist": f"0-{self.cpus - 1}\n",
            "/proc/sys/kernel/random/boot_id": BOOT + "\n",
        }
        return Host(files.__getitem__)


class Calls:
    """The system calls that ``rctl.cgroupfs`` makes; all else is the real ``os``."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _at(self, fd: int | None) -> Node:
        return self._kernel.root if fd is None else self._kernel.fds[fd][0]

    def _given(self, node: Node, file: str | None) -> int:
        kernel = self._kernel
        kernel._next_fd += 1
        kernel.fds[kernel._next_fd] = (node, file)
        kernel.most_open = max(kernel.most_open, len(kernel.fds))
        return kernel._next_fd

    def open(self, name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        kernel = self._kernel
        if dir_fd is None:
            return self._given(kernel.root, None)
        node = self._at(dir_fd)
        kernel.tick(Operation("open", node.path, name))
        if flags & os.O_DIRECTORY:
            if set(name.split("/")) == {".."} and not node.removed:
                for _ in name.split("/"):
                    node = node.parent or node
                return self._given(node, None)
            if name in node.children and not node.removed:
                return self._given(node.children[name], None)
            raise OSError(errno.ENOTDIR if kernel.has(node, name) else errno.ENOENT, name)
        if not kernel.has(node, name):
            raise OSError(errno.ENOENT, name)
        return self._given(node, name)

    def dup(self, fd: int) -> int:
        return self._given(self._at(fd), None)

    def close(self, fd: int) -> None:
        del self._kernel.fds[fd]

    def fstat(self, fd: int) -> Any:
        node = self._at(fd)
        return SimpleNamespace(st_ino=node.ino, st_nlink=2 + len(node.children))

    def access(self, name: str, mode: int, *, dir_fd: int, **_: bool) -> bool:
        node = self._at(dir_fd)
        return not node.removed and (name == "." or self._kernel.has(node, name))

    def listdir(self, fd: int) -> list[str]:
        with self.scandir(fd) as entries:
            return [entry.name for entry in entries]

    @contextmanager
    def scandir(self, fd: int) -> Iterator[list[Any]]:
        here = self._at(fd)
        children = sorted(here.children.items())
        files = [name for name in _HOME if self._kernel.has(here, name)]
        yield [
            SimpleNamespace(name=name, is_dir=lambda follow_symlinks: True, inode=lambda node=node: node.ino)
            for name, node in children
        ] + [SimpleNamespace(name=name, is_dir=lambda follow_symlinks: False) for name in files]

    def listxattr(self, fd: int) -> list[str]:
        return list(self._at(fd).labels)

    def getxattr(self, fd: int, name: str) -> bytes:
        return self._at(fd).labels[name]

    def setxattr(self, fd: int, name: str, value: bytes) -> None:
        self._at(fd).labels[name] = value

    def removexattr(self, fd: int, name: str) -> None:
        del self._at(fd).labels[name]

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        node, file = self._kernel.fds[fd]
        assert file is not None
        if offset == 0:
            self._kernel.tick(Operation("read", node.path, file))
        if not self._kernel.has(node, file):
            raise OSError(errno.ENODEV, file)
        return self._kernel.text(node, file).encode()[offset : offset + size]

    def write(self, fd: int, data: bytes) -> int:
        node, file = self._kernel.fds[fd]
        assert file is not None
        operation = Operation("write", node.path, file, data.decode())
        self._kernel.tick(operation)
        if not self._kernel.has(node, file):
            raise OSError(errno.ENODEV, file)
        self._kernel.store(node, file, data.decode())
        self._kernel.watch(operation)
        return len(data)

    def mkdir(self, name: str, mode: int, *, dir_fd: int) -> None:
        node = self._at(dir_fd)
        self._kernel.tick(Operation("mkdir", node.path, name))
        if name in node.children or self._kernel.has(node, name):
            raise FileExistsError(errno.EEXIST, name)
        _require("\n" not in name)
        self._kernel._born(node, name)

    def rmdir(self, name: str, *, dir_fd: int) -> None:
        self._kernel.tick(Operation("rmdir", self._at(dir_fd).path, name))
        node = self._at(dir_fd).children.get(name)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, name)
        _require(not node.procs and not node.children, errno.EBUSY)
        self._kernel.remove(node.path)


class JournalCalls:
    """The system calls of the journal: real ones, each an operation; a crash tears a write in two."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel

    def __getattr__(self, name: str) -> Any:
        if name not in ("fsync", "link", "rename", "unlink", "fstat", "pread"):
            return getattr(os, name)

        def call(*args: Any, **more: Any) -> Any:
            self._kernel.tick(Operation(f"journal {name}", "", ""))
            return getattr(os, name)(*args, **more)

        return call

    def open(self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        self._kernel.tick(Operation("journal open", "", path))
        fd = os.open(path, flags, mode, dir_fd=dir_fd)
        self._kernel.journal_fds.add(fd)
        return fd

    def write(self, fd: int, data: bytes) -> int:
        kernel = self._kernel
        if kernel.faults.get(len(kernel.operations)) == CRASH and not kernel.dead:
            os.write(fd, data[: len(data) // 2])
        kernel.tick(Operation("journal write", "", ""))
        return os.write(fd, data)

    def close(self, fd: int) -> None:
        if fd in self._kernel.journal_fds:
            self._kernel.journal_fds.remove(fd)
            os.close(fd)

    def let_go(self, fd: int) -> None:
        self._kernel.journal_fds.discard(fd)
        fork.let_go(fd)


def _require(condition: bool, number: int = errno.EINVAL) -> None:
    if not condition:
        raise OSError(number, os.strerror(number))


def _bytes(text: str, unit: int) -> str:
    """page_counter_memparse() in mm/page_counter.c: overflow wraps, and the rest is rounded down to ``unit``."""
    if text == "max":
        return "max"
    match = re.fullmatch(r"(0x[0-9a-f]+|[0-9]+)([kmgtpe]?)", text.lower())
    if match is None:
        raise OSError(errno.EINVAL, text)
    number = int(match[1], 0 if match[1].startswith("0x") else 10) << (10 * " kmgtpe".index(match[2] or " "))
    number %= 1 << 64
    return "max" if number >= ((1 << 63) - 1) // PAGE * PAGE else str(number // unit * unit)


def _cpu_max(files: dict[str, str], text: str) -> str:
    words = text.split()
    match = re.match(r"-?\d+", words[0]) if words else None
    _require(bool(words) and (words[0] == "max" or match is not None))
    period = int(words[1]) if len(words) > 1 and words[1].isdecimal() else int(files["cpu.max"].split()[1])
    _require(1000 <= period <= 1000000)
    if words[0] == "max":
        return f"max {period}"
    assert match is not None
    _require(1000 <= int(match[0]) < 1 << 44 and int(files.get("cpu.max.burst", "0")) <= int(match[0]))
    return f"{match[0]} {period}"


def _burst(files: dict[str, str], text: str) -> str:
    quota = files["cpu.max"].split()[0]
    _require(text.isdecimal() and (quota == "max" or int(text) <= int(quota)))
    return text


def _weight(files: dict[str, str], text: str) -> str:
    _require(text.isdecimal() and files.get("cpu.idle") != "1")
    _require(1 <= int(text) <= 10000, errno.ERANGE)
    return text


def _nice(files: dict[str, str], text: str) -> str:
    _require(text.lstrip("-").isdecimal())
    _require(-20 <= int(text) <= 19, errno.ERANGE)
    return text


def _idle(files: dict[str, str], text: str) -> str:
    _require(text in ("0", "1"))
    return text


_CPU = {
    "cpu.max": _cpu_max,
    "cpu.max.burst": _burst,
    "cpu.weight": _weight,
    "cpu.weight.nice": _nice,
    "cpu.idle": _idle,
}


def _numbers(text: str) -> set[int]:
    ends = [part.split("-") for part in text.split(",") if part]
    return {number for part in ends for number in range(int(part[0]), int(part[-1]) + 1)}


def _ranges(numbers: set[int]) -> str:
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def limits(pairs: dict[str, Any], host: Host) -> Limits:
    """Limits from ``{"memory.max": "2G"}``."""
    found: Limits = decode(nest(pairs), host)
    return found


@contextmanager
def state_folder() -> Iterator[State]:
    """A state folder of its own, on memory where there is such a place, so that fsync costs nothing."""
    memory = "/dev/shm"
    place = tempfile.mkdtemp(prefix="rctl-test-", dir=memory if os.access(memory, os.W_OK) else None)
    try:
        yield State(f"{place}/run", place)
    finally:
        shutil.rmtree(place)
