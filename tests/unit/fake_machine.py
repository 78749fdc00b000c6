"""The machine behind the fake kernel: a tree of cgroups, what writing to their files does, memory, processes."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.unit.fake_files import (
    CONTROLLERS,
    CPU,
    DEFAULTS,
    HOME,
    OPTIONAL,
    PAGE,
    ROOT,
    THREADED,
    bytes_of,
    io_by_device,
    io_weight,
    numbers_of,
    ranges,
    require,
)


@dataclass(eq=False)
class Node:
    """A cgroup: its limits by file, its processes, its memory and huge pages in bytes.

    ``stalled``: microseconds in which all of its processes waited for memory.
    """

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
    stalled: int = 0
    huge: int = 0
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


class Machine:
    """Cgroups and what they share. ``lacks``: files that this kernel does not have; ``swap``: bytes of it."""

    def __init__(self, cpus: int, disks: tuple[str, ...], swap: int) -> None:
        self.cpus, self.disks, self.swap = cpus, disks, swap
        self.controllers = set(CONTROLLERS)
        self.knows_swappiness = False  # 6.11
        self.lacks = {name for files in OPTIONAL.values() for name in files}
        self.root = Node("/", 1, None)
        self._inodes = 1

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
                self.born(here, part)
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
                if numbers_of(node.files["cpuset.cpus"]) >= all_of_parent:
                    found[node.path, "cpuset.cpus"] = ""
        return found

    @property
    def kills(self) -> int:
        """How many processes the kernel killed for lack of memory."""
        return sum(node.kills for node in self.root.family())

    # What the kernel does

    def born(self, parent: Node, name: str) -> Node:
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
        if node.removed or file in self.lacks or file not in HOME:
            return False
        if node.parent is None:
            return file in ROOT
        return file in node.files or (not HOME[file] or HOME[file] in node.parent.enabled)

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
                f"{kind} avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n"
                for kind, total in (("some", 2 * node.stalled), ("full", node.stalled))
            ),
            "pids.current": lambda: str(sum(len(one.procs) for one in node.family())),
            "hugetlb.2MB.current": lambda: str(node.huge),
            "cpuset.cpus.effective": lambda: ranges(
                self._effective(node, "cpuset.cpus", self.cpus) - self._given_to_partitions(node)
            ),
            "cpuset.mems.effective": lambda: ranges(self._effective(node, "cpuset.mems", 1)),
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
            require(value == "1", errno.ERANGE)
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
        if file in ("memory.oom.group", "memory.zswap.writeback"):
            require(value in ("0", "1"))
            return value
        if file.startswith("memory."):
            return bytes_of(value, PAGE)
        if file.startswith("hugetlb."):
            text = bytes_of(value, 2 << 20)
            require(text == "max" or int(text) >= node.huge, errno.EBUSY)
            return text
        if file.startswith("cgroup."):
            require(value.lstrip("-").isdecimal())
            require(value in ("0", "1"), errno.ERANGE)
            return value
        if file.startswith("cpu."):
            return CPU[file](node.files, value)
        if file == "pids.max":
            require(value == "max" or (value.isdecimal() and int(value) <= 4194304))
            return value
        if file.startswith("cpuset."):
            return self._cpuset(node, file, value)
        if file.endswith(".weight"):
            return io_weight(value, 1000 if "bfq" in file else 10000)
        return io_by_device(file, node.files[file], value, self.disks)

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
        require(all(re.fullmatch(r"[+-]\w+", word) and word[1:] in CONTROLLERS for word in text.split()))
        available = self.controllers if node.parent is None else node.parent.enabled
        on = {word[1:] for word in text.split() if word[0] == "+"} - node.enabled
        off = {word[1:] for word in text.split() if word[0] == "-"} & node.enabled
        require(on <= available, errno.ENOENT)
        inside = any(child.tasks for child in node.children.values())
        require(not (on and node.procs and node.parent and (inside or on - THREADED)), errno.EBUSY)
        require(not any(child.enabled & off for child in node.children.values()), errno.EBUSY)
        node.files["cgroup.subtree_control"] = " ".join(sorted((node.enabled | on) - off))
        for child in node.children.values():
            for name in on:
                child.files.update(DEFAULTS[name] | OPTIONAL.get(name, {}))
            for file in [file for file in child.files if HOME[file] in off]:
                del child.files[file]
            for lacking in self.lacks:
                child.files.pop(lacking, None)

    def _move(self, node: Node, value: str) -> None:
        require(value.isdecimal())
        require(node.parent is None or node.kind != "domain invalid", errno.EOPNOTSUPP)
        inside = any(child.tasks for child in node.children.values())
        require(not (node.parent and node.enabled and (inside or node.enabled - THREADED)), errno.EBUSY)
        pid = int(value) or os.getpid()
        for one in self.root.family():
            one.procs.discard(pid)
        node.procs.add(pid)

    @staticmethod
    def _given_to_partitions(node: Node) -> set[int]:
        parts = [child for child in node.children.values() if child.files.get("cpuset.cpus.partition") == "root"]
        return {cpu for child in parts for cpu in numbers_of(child.files["cpuset.cpus"])}

    def _effective(self, node: Node, file: str, count: int) -> set[int]:
        if node.parent is None:
            return set(range(count))
        above = self._effective(node.parent, file, count)
        return (numbers_of(node.files.get(file, "")) & above) or above

    def _cpuset(self, node: Node, file: str, value: str) -> str:
        if file == "cpuset.cpus.exclusive":
            return self._exclusive(node, value)
        if file == "cpuset.cpus.partition":
            require(value in ("member", "root", "isolated"))
            if value == "member" or 0 < len(numbers_of(node.files["cpuset.cpus"])) < self.cpus:
                return value
            return f"{value} invalid (Parent unable to distribute cpu downstream)"
        count = self.cpus if file == "cpuset.cpus" else 1
        value = f"0-{count - 1}" if value == "all" else value
        if value and "/" in value:
            raise OSError(errno.ERANGE, value)
        require(not value or re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", value) is not None)
        ends = [tuple(map(int, part.split("-"))) for part in value.split(",") if value]
        require(all(part[0] <= part[-1] for part in ends))
        numbers = numbers_of(value)
        require(max(numbers, default=0) < count, errno.ERANGE if file == "cpuset.cpus" else errno.EINVAL)
        require(bool(numbers) or not node.tasks or not node.files[file], errno.ENOSPC)
        return ranges(numbers)

    def _exclusive(self, node: Node, value: str) -> str:
        """As Linux 6.12: CPUs that are exclusive to a sibling are refused; it can be emptied under tasks."""
        numbers = numbers_of(value)
        require(max(numbers, default=0) < self.cpus, errno.ERANGE)
        beside = node.parent.children.values() if node.parent else ()
        taken = {
            cpu for one in beside if one is not node for cpu in numbers_of(one.files.get("cpuset.cpus.exclusive", ""))
        }
        require(not numbers & taken)
        return ranges(numbers)

    def _reclaim_asked(self, node: Node, value: str) -> None:
        size, _, swappiness = value.partition(" swappiness=")
        require(size.isdecimal() and (not swappiness or self.knows_swappiness))
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
