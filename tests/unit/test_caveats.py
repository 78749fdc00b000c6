"""What the kernel takes and does not follow: for each row of the table one case that is said, and one that is not."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from rctl.adjust.caveats import caveats as caveats_module
from rctl.adjust.caveats.caveats import CAVEATS, caveats
from rctl.adjust.steps import Enable, Reclaim, Renew, Set, Step
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.mounts import Mount
from rctl.errors import OUT_OF, KernelError, NotAvailableError
from rctl.host import Host
from rctl.not_enforced import REASONS
from tests.unit.shell import Shell

GIB = 1 << 30
HOST = {
    "/proc/meminfo": "MemTotal: 8388608 kB\n",
    "/proc/swaps": "Filename Type Size Used Priority\n",
    "/sys/devices/system/cpu/online": "0-1\n",
    "/sys/module/zswap/parameters/enabled": "N\n",
    "/proc/loadavg": "0.00 0.00 0.00 1/123 4567\n",
}
SWAP = {"/proc/swaps": "Filename Type Size Used Priority\n/dev/vda2 partition 1048572 1048572 -2\n"}
ZSWAP = {"/sys/module/zswap/parameters/enabled": "Y\n"}


class Machine:
    """Cgroups as texts by path and file; stands in for the tree, too."""

    def __init__(self, texts: Mapping[str, Mapping[str, str]]) -> None:
        self.texts = texts

    mount = Mount("/sys/fs/cgroup")

    @property
    def root(self) -> _Texts:
        return _Texts("/", self.texts)

    def walk(self, path: str) -> Any:
        return _Texts(path, self.texts)


class _Texts:
    def __init__(self, path: str, texts: Mapping[str, Mapping[str, str]]) -> None:
        self.path, self._texts = path, texts

    def __enter__(self) -> _Texts:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, name: str) -> str:
        try:
            return self._texts[self.path][name]
        except KeyError:
            raise NotAvailableError(name) from None

    def read_if_there(self, name: str) -> str | None:
        return self._texts.get(self.path, {}).get(name)

    def has(self, name: str) -> bool:
        return self.read_if_there(name) is not None

    def is_leaf(self) -> bool:
        return not self.children()

    def children(self) -> list[str]:
        below = self.path.rstrip("/") + "/"
        return [path[len(below) :] for path in self._texts if path.startswith(below)]

    def child(self, name: str) -> _Texts:
        return _Texts(f"{self.path.rstrip('/')}/{name}", self._texts)


def told(
    step: Set,
    texts: Mapping[str, Mapping[str, str]],
    host: Mapping[str, str] = HOST,
    *more: Step,
    planned: bool = False,
) -> list[str]:
    """What is said of a step, on a machine where the cgroups show these texts."""
    machine: Any = Machine(texts)
    facts = {**HOST, **host}
    cgroups: dict[str, Cgroup] = {path: machine.walk(path) for path in {step.path, *(one.path for one in more)}}

    def read(path: str) -> str:
        if path not in facts:
            raise FileNotFoundError(path)
        return facts[path]

    return caveats(machine, [*more, step], cgroups, planned=planned, host=Host(read))


def lowered(file: str, new: str, old: str = "max") -> Set:
    return Set("/a/b", file, old, new)


def cases() -> Iterator[tuple[str, Set, dict[str, dict[str, str]], dict[str, str], dict[str, dict[str, str]], str]]:
    """Name of the rule, the step, texts where it is said, the host there, texts where it is not, part of the words."""
    size = str(GIB)
    for file in ("memory.low", "memory.min"):
        yield (
            "_unprotected_above", lowered(file, size, "0"), {"/a": {file: "0\n"}}, {}, {"/a": {file: f"{size}\n"}},
            f"{file} is 1G, and in effect at most 0: /a protects no more",
        )  # fmt: skip
    yield (
        "_above_own_max", lowered("memory.low", size, "0"),
        {"/a/b": {"memory.max": "4096\n"}, "/a": {"memory.low": f"{size}\n"}}, {},
        {"/a/b": {"memory.max": f"{size}\n"}, "/a": {"memory.low": f"{size}\n"}},
        "memory.low is 1G, and memory.max is 4K: it protects no more than that",
    )  # fmt: skip
    yield (
        "_no_writeback_above", Set("/a/b", "memory.zswap.writeback", "0", "1"),
        {"/a": {"memory.zswap.writeback": "0\n"}}, ZSWAP, {"/a": {"memory.zswap.writeback": "1\n"}},
        "/a/b: memory.zswap.writeback is 1, and 0 in /a: nothing is written back",
    )  # fmt: skip
    yield (
        "_crawls", lowered("memory.high", "4096"), {"/a/b": {"memory.current": f"{GIB}\n", "memory.max": "max\n"}}, {},
        {"/a/b": {"memory.current": "4096\n", "memory.max": "max\n"}}, "1G in use cannot be reclaimed",
    )  # fmt: skip
    yield (
        "_high_never_met", Set("/a/b", "memory.high", "max", size),
        {"/a/b": {"memory.max": "4096\n", "memory.current": "0\n"}}, {},
        {"/a/b": {"memory.max": "max\n", "memory.current": "0\n"}}, "it never throttles",
    )  # fmt: skip
    yield (
        "_swap_stays", lowered("memory.swap.max", "0"), {"/a/b": {"memory.swap.current": f"{GIB}\n"}}, SWAP,
        {"/a/b": {"memory.swap.current": "0\n"}}, "1G of swap in use stay",
    )  # fmt: skip
    yield (
        "_more_pids", lowered("pids.max", "5"), {"/a/b": {"pids.current": "9\n"}}, {},
        {"/a/b": {"pids.current": "5\n"}},
        "9 processes and threads stay",
    )  # fmt: skip
    yield (
        "_frozen_above", Set("/a/b", "cgroup.freeze", "1", "0"), {"/a": {"cgroup.freeze": "1\n"}}, {},
        {"/a": {"cgroup.freeze": "0\n"}}, "/a/b: stays frozen, for /a is. Thaw that: rctl thaw /a",
    )  # fmt: skip
    yield (
        "_no_quota", Set("/a/b", "cpu.max.burst", "0", "1000"), {"/a/b": {"cpu.max": "max 100000\n"}}, {},
        {"/a/b": {"cpu.max": "50000 100000\n"}}, "cpu.max is max: without effect",
    )  # fmt: skip
    yield (
        "offline", Set("/a/b", "cpuset.cpus", "", "0-1"), {"/a/b": {"cpuset.cpus.effective": "0\n"}}, {},
        {"/a/b": {"cpuset.cpus.effective": "0-1\n"}}, "only 0 is in effect",
    )  # fmt: skip
    yield (
        "partition_below_lost", Set("/a/b", "cpuset.cpus.partition", "root", "member"),
        {"/a/b/c": {"cpuset.cpus.partition": "root invalid (Parent is not a partition root)\n"}}, {},
        {"/a/b/c": {"cpuset.cpus.partition": "member\n"}}, "/a/b/c: its partition is now root invalid",
    )  # fmt: skip
    yield (
        "offline", Set("/a/b", "cpuset.cpus", "", "0-2"), {"/a/b": {"cpuset.cpus.effective": "0\n"},
         "/a/b/c": {"cpuset.cpus.partition": "root\n", "cpuset.cpus": "1\n"}}, {},
        {"/a/b": {"cpuset.cpus.effective": "0\n"},
         "/a/b/c": {"cpuset.cpus.partition": "root\n", "cpuset.cpus": "1-2\n"}}, "only 0 is in effect",
    )  # fmt: skip
    yield (
        "offline", Set("/a/b", "cpuset.cpus", "", "0-2"), {"/a/b": {"cpuset.cpus.effective": "0\n"}}, {}, {},
        "only 0 is in effect",
    )  # fmt: skip
    yield (
        "offline", Set("/a/b", "cpuset.cpus", "", "1"), {"/a/b": {"cpuset.cpus.effective": "0,2-3\n"}}, {},
        {"/a/b": {"cpuset.cpus.effective": "1\n"}}, "0,2-3 is in effect, as if it were empty",
    )  # fmt: skip
    yield (
        "no_partition", Set("/a/b", "cpuset.cpus.exclusive", "", "1"), {"/a/b": {"cpuset.cpus.partition": "member\n"}},
        {}, {"/a/b": {"cpuset.cpus.partition": "root\n"}}, "cpuset.cpus.exclusive is 1, and takes effect with a",
    )  # fmt: skip
    yield (
        "no_weights", Set("/a/b", "io.weight", "100", "200", "default"), {"/": {"io.cost.qos": "8:0 enable=0\n"}}, {},
        {"/": {"io.cost.qos": "8:0 enable=1\n"}}, "no disk uses iocost or BFQ",
    )  # fmt: skip


PART = (
    "io.max vdb: limits what goes to vdb alone, and it is one of the members of md0 ({}). "
    "For a limit of the whole, name md0"
)


@pytest.mark.parametrize(
    ("member", "level", "words"),
    [
        ("vdb[0]", "raid5", ["io.max vdb: no limit for writes to md0, of which it is a member. Name md0"]),
        ("vdb1[1](F)", "raid6", ["io.max vdb: no limit for writes to md0, of which it is a member. Name md0"]),
        ("vdb[0]", "raid1", [PART.format("raid1")]),
        ("vdb2[0]", "raid0", [PART.format("raid0")]),
        ("vdb[0]", "linear", [PART.format("linear")]),
        ("vdbx[0]", "raid5", []),
        ("vdbx[0]", "raid1", []),
    ],
)
def test_a_limit_on_a_member_of_an_array_names_the_array(member: str, level: str, words: list[str]) -> None:
    mdstat = f"Personalities : [raid1] [raid6] [raid5] [raid4]\nmd0 : active (auto-read-only) {level} vdc[2] {member}\n"
    host = {"/proc/mdstat": mdstat, "/sys/dev/block/254:16/uevent": "MAJOR=254\nMINOR=16\nDEVNAME=vdb\n"}
    step = Set("/a/b", "io.max", "", "rbps=5 wbps=5 riops=max wiops=max", "254:16")
    assert told(step, {}, host, planned=True) == [f"/a/b: {line}" for line in words]


_MD = {
    "/proc/mdstat": "md0 : active raid1 vdc[1] vdb1[0]\n",
    "/sys/class/block/vdb1/partition": "1\n",
    "/sys/class/block/vdb1/../uevent": "MAJOR=254\nMINOR=16\nDEVNAME=vdb\nDEVTYPE=disk\n",
    "/sys/dev/block/9:0/uevent": "DEVNAME=md0\n",
    "/sys/dev/block/252:0/uevent": "DEVNAME=dm-0\n",
    "/sys/dev/block/8:0/uevent": "DEVNAME=sda\n",
    "/sys/dev/block/8:0/mq/0/nr_tags": "64\n",
    "/sys/dev/block/8:0/queue/scheduler": "none mq-deadline [bfq]\n",
    "/sys/dev/block/8:16/queue/scheduler": "[none] mq-deadline\n",
    "/sys/dev/block/8:16/uevent": "DEVNAME=sdb\n",
}


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("9:0", ["/a/b: io.latency md0: without effect: md0 has no queue of requests. Name vdb, vdc"]),
        (
            "252:0",
            [
                "/a/b: io.latency dm-0: without effect: dm-0 has no queue of requests. "
                "Name the disks below it (/sys/block/dm-0/slaves)"
            ],
        ),
        ("8:0", []),
    ],
)
def test_a_latency_of_a_device_without_requests_is_said(device: str, words: list[str]) -> None:
    step = Set("/a/b", "io.latency", "target=max", "target=5000", device)
    assert told(step, {}, _MD, planned=True) == words
    assert told(Set("/a/b", "io.latency", "target=5000", "target=max", device), {}, _MD) == []


@pytest.mark.parametrize("refusal", [PermissionError, FileNotFoundError])
def test_of_a_disk_that_cannot_be_looked_at_nothing_is_said(refusal: type[OSError]) -> None:
    def read(path: str) -> str:
        if path.endswith("/mq/0/nr_tags") or (refusal is FileNotFoundError and path.startswith("/sys/dev/block")):
            raise refusal(path)
        return _MD[path]

    step = Set("/a/b", "io.latency", "target=max", "target=5000", "9:0")
    machine: Any = Machine({})
    assert Host(read).queues("9:0") is None
    assert caveats(machine, [step], {}, planned=True, host=Host(read)) == []


@pytest.mark.parametrize(("device", "said"), [("8:0", False), ("8:16", True), ("9:0", True)])
def test_a_weight_of_a_disk_that_nobody_shares_out_is_said(device: str, said: bool) -> None:
    step = Set("/a/b", "io.weight", "default", "200", device)
    lines = told(step, {"/": {"io.cost.qos": "8:32 enable=1 ctrl=auto\n"}}, _MD)
    assert [("uses neither iocost nor BFQ" in line) for line in lines] == [True] * said
    assert told(step, {"/": {"io.cost.qos": f"{device} enable=1 ctrl=auto\n"}}, _MD) == []


@pytest.mark.parametrize(("name", "step", "yes", "host", "no", "words"), list(cases()))
def test_what_the_kernel_takes_and_does_not_follow_is_said(
    name: str,
    step: Set,
    yes: dict[str, dict[str, str]],
    host: dict[str, str],
    no: dict[str, dict[str, str]],
    words: str,
) -> None:
    (line,) = told(step, yes, host)
    assert words in line
    assert told(step, no, host) == []


@pytest.mark.parametrize(
    ("step", "host", "words"),
    [
        (Set("/a/b", "memory.max", "max", str(100 << 40)), HOST, "this host has 8G of memory: it never binds"),
        (Set("/a/b", "cpu.max", "max 100000", "9900000 100000"), HOST, "cpu.max is 99 CPUs, and this host has 2"),
        (Set("/a/b", "memory.swap.max", "0", str(GIB)), HOST, "this host has no swap: without effect"),
        (Set("/a/b", "memory.swap.high", "max", str(GIB)), HOST, "this host has no swap: without effect"),
        (Set("/a/b", "memory.zswap.max", "max", str(GIB)), SWAP, "zswap is off: without effect"),
        (Set("/a/b", "memory.zswap.writeback", "1", "0"), SWAP, "writeback is 0, and zswap is off: without effect"),
    ],
)
def test_what_this_host_cannot_follow_is_said_in_a_dry_run_too(step: Set, host: dict[str, str], words: str) -> None:
    for planned in (True, False):
        (line,) = told(step, {}, host, planned=planned)
        assert words in line
    assert told(step, {}, {**SWAP, **ZSWAP, "/proc/meminfo": f"MemTotal: {1 << 40} kB\n", **_CPUS}) == []


_CPUS = {"/sys/devices/system/cpu/online": "0-127\n"}


def test_a_partition_may_wait_for_the_one_above() -> None:
    step = Set("/a/b", "cpuset.cpus.partition", "member", "root")
    (line,) = told(step, {"/a/b": {step.file: "root invalid (Parent is not a partition root)\n"}})
    assert "takes effect when the cgroup above is a partition, too" in line
    assert told(step, {"/a/b": {step.file: "root\n"}}) == []


def test_force_says_that_more_than_the_limit_is_still_in_use() -> None:
    step = Set("/a/b", "memory.max", "max", str(8 << 20))
    used = {"/a/b": {"memory.current": f"{24 << 20}\n"}}
    (line,) = told(step, used)
    assert "memory.max is 8M, and 24M is still in use: the kernel could neither free nor kill more" in line
    assert told(msgspec.structs.replace(step, gentle=True), used) == []


def test_what_the_same_adjustment_sets_counts() -> None:
    quota = Set("/a/b", "cpu.max", "max 100000", "50000 100000")
    assert told(Set("/a/b", "cpu.max.burst", "0", "1000"), {"/a/b": {"cpu.max": "max 100000\n"}}, HOST, quota) == []


@pytest.mark.parametrize(("tasks", "told_of"), [(5, 0), (6, 4)])
def test_what_the_whole_host_cannot_have_is_not_looked_for_in_each_of_many_ves(tasks: int, told_of: int) -> None:
    texts = {f"/a/{n}": {"pids.current": "6\n"} for n in range(100)}
    steps = [Set(path, "pids.max", "max", "5") for path in texts]
    assert len(told(steps[0], texts, {"/proc/loadavg": f"0.1 0.1 0.1 1/{tasks} 99\n"}, *steps[1:])) == told_of


def test_the_same_of_many_ves_is_told_in_a_few_lines() -> None:
    texts = {f"/a/{n}": {"pids.current": "9\n"} for n in range(100)}
    steps = [Set(path, "pids.max", "max", "5") for path in texts]
    assert told(steps[0], texts, HOST, *steps[1:])[2:] == [
        "/a/3: pids.max is 5, and 9 processes and threads stay: none is ended, new ones fail with EAGAIN",
        "and the same of 97 more VEs",
    ]


def test_what_the_host_has_is_read_anew_for_each_adjustment(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("rctl.adjust.caveats.context.time", SimpleNamespace(monotonic=lambda: now))
    first = caveats_module._this()
    now += 0.06
    assert caveats_module._this() is not first


@pytest.mark.parametrize(
    ("controllers", "populated", "words"),
    [(("memory",), 1, ["what they have taken so far does not count"]), (("memory",), 0, []), (("pids",), 1, [])],
)
def test_memory_that_was_taken_before_the_controller_came_is_told(
    controllers: tuple[str, ...], populated: int, words: list[str]
) -> None:
    texts = {"/a/b": {"cgroup.events": f"populated {populated}\nfrozen 0\n", "memory.current": "0\n"}, "/a": {"x": ""}}
    said = told(lowered("memory.max", "4096"), texts, HOST, Enable("/a", controllers))
    assert len(said) == len(words)
    assert all(word in line for word, line in zip(words, said, strict=True))


def test_every_row_is_listed_for_people(shell: Shell) -> None:
    status, out, err = shell.run("help", "caveats")
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 2 * len(CAVEATS)
    assert "cpuset.partition" in out
    assert all(row.about in out for row in CAVEATS)
    assert max(map(len, out.splitlines())) < 80


def test_every_row_has_a_case() -> None:
    told_of = {name for name, *_ in cases()}
    others = {"_above_ram", "_more_than_all_cpus", "waits", "_not_freed", "_array_member"}
    others |= {"_charged_above", "_above_pool", "partition_lost", "own_partition_lost"}
    others |= {reason.word for reason in REASONS}
    assert {row.told.__name__ for row in CAVEATS} == told_of | others


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.ENODEV])
def test_what_could_not_be_looked_at_for_want_of_descriptors_is_said_once(number: int) -> None:
    machine: Any = Machine({})

    def refuse(path: str) -> Any:
        raise KernelError(path, "memory.low", "", number)

    machine.walk = refuse
    steps = [lowered("memory.low", str(GIB), "0"), lowered("memory.min", str(GIB), "0")]
    said = caveats(machine, steps, {}, host=Host(HOST.__getitem__))
    if number not in OUT_OF:
        assert said == []
        return
    (line,) = said
    assert line.startswith("the caveats of these limits could not be looked at: memory.")
    assert line.endswith(". See rctl help caveats")


def partitions(**kinds: str) -> dict[str, dict[str, str]]:
    """``b`` with CPUs 0 to 1, and partitions beside it with CPU 1."""
    beside = {f"/a/{name}": {"cpuset.cpus.partition": kind, "cpuset.cpus": "1\n"} for name, kind in kinds.items()}
    return {"/a/b": {"cpuset.cpus.effective": "0-1\n"}, **beside}


def test_every_partition_that_loses_its_cpus_is_said_and_none_that_had_lost_them_before() -> None:
    step = Set("/a/b", "cpuset.cpus", "", "0-1")
    valid = [Renew(f"/a/{name}", "root", valid=True) for name in "cd"]
    invalid = "root invalid (not exclusive)\n"
    (line,) = told(step, partitions(c=invalid, d=invalid), HOST, *valid)
    assert line == (
        "/a/c: its partition is now root invalid (not exclusive); "
        "/a/d: its partition is now root invalid (not exclusive). Give /a/b other CPUs than 1"
    )
    (line,) = told(step, partitions(c="root\n", d=invalid), HOST, *valid)
    assert line.startswith("/a/d: ")
    assert told(step, partitions(c=invalid), HOST, Renew("/a/c", "root")) == []
    assert told(step, partitions(c=invalid), HOST) == []


@pytest.mark.parametrize(("valid", "word"), [(True, "now"), (False, "still")])
def test_a_partition_that_its_own_list_makes_invalid_is_said(valid: bool, word: str) -> None:
    step, own = Set("/a/b", "cpuset.cpus", "0", "0-1"), Renew("/a/b", "root", valid)
    texts = partitions()
    texts["/a/b"]["cpuset.cpus.partition"] = "root invalid (Parent unable to distribute cpu downstream)\n"
    (line,) = told(step, texts, HOST, own)
    assert line == (
        f"/a/b: its partition is {word} root invalid (Parent unable to distribute cpu downstream). "
        "Give it other CPUs, or set cpuset.partition=member"
    )
    texts["/a/b"]["cpuset.cpus.partition"] = "root\n"
    assert told(step, texts, HOST, own) == []


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        (("8", "2"), ["this host has 20M of these huge pages: it never binds"]),
        (("0", "0"), ["this host has no such huge pages: it never binds"]),
        (("40", "10"), []),
        (None, []),
    ],
)
def test_huge_pages_beyond_the_hosts_are_said(pages: tuple[str, str] | None, words: list[str]) -> None:
    names = [f"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_{kind}hugepages" for kind in ("", "overcommit_")]
    host = dict(zip(names, pages or (), strict=False))
    for file in ("hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"):
        lines = told(Set("/a/b", file, "max", str(100 << 20)), {}, host, planned=True)
        assert [line.partition(", and ")[2] for line in lines] == words
        assert told(Set("/a/b", file, "0", "max"), {}, host) == []


def test_a_child_that_cannot_be_looked_at_for_want_of_descriptors_is_said() -> None:
    class Short(_Texts):
        def child(self, name: str) -> _Texts:
            raise KernelError(f"/a/b/{name}", "", "", errno.EMFILE)

    texts = {"/a/b": {"cpuset.cpus.effective": "0-1\n"}, "/a/b/c": {"cpuset.cpus.partition": "root invalid\n"}}
    machine: Any = Machine(texts)
    machine.walk = lambda path: (Short if path == "/a/b" else _Texts)(path, texts)
    step = Set("/a/b", "cpuset.cpus.partition", "root", "member")
    (line,) = caveats(machine, [step], {"/a/b": machine.walk("/a/b")}, host=Host(HOST.__getitem__))
    assert "could not be looked at: /a/b/" in line


def test_what_is_lowered_for_a_shrink_alone_is_not_told_as_a_limit() -> None:
    goal, texts = "4096", {"/a/b": {"memory.max": "max\n", "memory.current": "4096\n"}}
    shrink = (lowered("memory.high", goal), Reclaim("/a/b", 4096, 8192), lowered("memory.max", goal))
    assert told(Set("/a/b", "memory.high", goal, "max"), texts, HOST, *shrink) == []
    (high,) = told(Set("/a/b", "memory.high", goal, "8192"), texts, HOST, *shrink)
    assert "memory.high is 8K, and memory.max is 4K: it never throttles" in high


@pytest.mark.parametrize(("asked", "ending"), [("50", "it never binds. Did you mean 50%?"), ("6", "it never binds")])
def test_cpus_that_look_like_a_percentage(shell: Shell, asked: str, ending: str) -> None:
    status, _, err = shell.run("set", "web1", f"cpu.max={asked}")
    assert status == 0
    assert err.splitlines()[-1].endswith(ending)
