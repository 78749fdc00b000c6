"""What each controller writes for its limits, and what it makes of the kernel's texts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.controllers import core, cpu, cpuset, hugetlb, io, memory, pids, pressure
from rctl.errors import UsageError
from rctl.formats import Pressure, Write
from rctl.host import Host
from rctl.limits import FILES, decode, writes
from rctl.ranges import Ranges
from rctl.units import MAX, U64_MAX


def no_file(path: str) -> str:
    raise FileNotFoundError(path)


HOST = Host(no_file)


def ask(limits: dict[str, Any]) -> tuple[Write, ...]:
    return writes(decode(limits, HOST), HOST)


def asked(limits: dict[str, Any]) -> list[str]:
    """The wishes as a person would write them down."""
    return [" ".join(filter(None, (w.file.name, w.key, "=", w.wanted))) for w in ask(limits)]


def test_no_limits_ask_for_nothing() -> None:
    assert asked({}) == []


# memory


def test_memory_limits_are_written_in_whole_pages() -> None:
    assert asked({"memory": {"max": "1.5G", "high": 4097, "low": 0, "min": "8K"}}) == [
        "memory.max = 1610612736",
        "memory.high = 4096",
        "memory.low = 0",
        "memory.min = 8192",
    ]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"memory": {"high": 512}}, "memory.high: 512 bytes is less than one page (4096). Write 512M, or 4K at least?"),
        (
            {"memory": {"swap": {"max": "2K"}}},
            "memory.swap.max: 2048 bytes is less than one page (4096). Write 4K at least",
        ),
        (
            {"hugetlb": {"1GB": "512M"}},
            "hugetlb.1GB.max: 536870912 bytes is less than one page (1073741824). Write 1G at least",
        ),
        (
            {"files": {"memory.max": 512}},
            "files: memory.max: 512 bytes is less than one page (4096). Write 512M, or 4K at least?",
        ),
    ],
)
def test_a_size_that_would_be_rounded_to_nothing_is_refused(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ask(limits)
    assert str(caught.value) == message


def test_memory_pages_are_as_large_as_the_hosts() -> None:
    host = Host(no_file, page_size=65536)
    (write,) = writes(decode({"memory": {"max": 70000}}, host), host)
    assert write.wanted == "65536"


def test_swap_is_counted_alone() -> None:
    limits = {"memory": {"swap": {"max": "1G", "high": "max"}, "zswap": {"max": 0, "writeback": False}}}
    assert asked(limits) == [
        "memory.swap.max = 1073741824",
        "memory.swap.high = max",
        "memory.zswap.max = 0",
        "memory.zswap.writeback = 0",
    ]


@pytest.mark.parametrize(("value", "text"), [(True, "1"), ("no", "0")])
def test_the_whole_ve_or_one_process_is_killed(value: object, text: str) -> None:
    assert asked({"memory": {"oom": {"group": value}}}) == [f"memory.oom.group = {text}"]


def test_memory_is_read_with_what_this_kernel_tells() -> None:
    stat = memory.parse(
        {
            "memory.current": "8192\n",
            "memory.max": "max\n",
            "memory.high": "16384\n",
            "memory.swap.max": "0\n",
            "memory.events": "low 0\noom_kill 2\n",
            "memory.stat": "anon 4096\nfile 4096\n",
        }
    )
    assert stat is not None
    assert (stat.current, stat.max, stat.high, stat.swap_max) == (8192, MAX, 16384, 0)
    assert stat.peak is None
    assert stat.swap_current is None
    assert stat.events["oom_kill"] == 2
    assert stat.stat == {"anon": 4096, "file": 4096}


# cpu


@pytest.mark.parametrize(
    ("limits", "wishes"),
    [
        ({"max": "150%"}, ["cpu.max = cpus=1500000"]),
        ({"max": 2, "period": "50ms"}, ["cpu.max = cpus=2000000 period=50000"]),
        ({"period": "50ms"}, ["cpu.max = period=50000"]),
        ({"max": "max"}, ["cpu.max = cpus=max"]),
        ({"burst": "20ms"}, ["cpu.max.burst = 20000"]),
        ({"weight": 200}, ["cpu.idle = 0", "cpu.weight = 200"]),
        ({"weight": "idle"}, ["cpu.idle = 1"]),
    ],
)
def test_cpu_time(limits: dict[str, Any], wishes: list[str]) -> None:
    assert asked({"cpu": limits}) == wishes


def test_a_weight_does_without_idle_on_kernels_that_lack_it() -> None:
    idle, weight = ask({"cpu": {"weight": 100}})
    assert idle.if_there
    assert not weight.if_there


@pytest.mark.parametrize("limits", [{"cpu": {"weight": "idle"}}, {"cpu": {"weight": 5}}, {"files": {"cpu.idle": "1"}}])
def test_switching_idle_disturbs_the_weight(limits: dict[str, Any]) -> None:
    assert ask(limits)[0].file.disturbs == (cpu.WEIGHT,)


def test_cpu_is_read_in_cpus() -> None:
    stat = cpu.parse({"cpu.stat": "usage_usec 5\nnr_throttled 1\n", "cpu.max": "50000 20000\n", "cpu.weight": "100\n"})
    assert stat == cpu.CpuStat({"usage_usec": 5, "nr_throttled": 1}, 2.5, 100)


def test_cpu_is_read_where_the_controller_is_not_enabled() -> None:
    assert cpu.parse({"cpu.stat": "usage_usec 5\n"}) == cpu.CpuStat({"usage_usec": 5}, None, None)


# cpuset


def test_lists_are_written_in_normal_form_and_may_be_empty() -> None:
    assert asked({"cpuset": {"cpus": "3,1-2", "mems": "", "partition": "root"}}) == [
        "cpuset.cpus = 1-3",
        "cpuset.mems =",
        "cpuset.cpus.partition = root",
    ]


def test_a_cpuset_is_read_with_what_is_in_effect() -> None:
    stat = cpuset.parse(
        {"cpuset.cpus": "1\n", "cpuset.cpus.effective": "0\n", "cpuset.mems.effective": "0-1\n", "cpuset.mems": "\n"}
    )
    assert stat == cpuset.CpusetStat(Ranges((1,)), Ranges((0,)), Ranges((0, 1)))


# io


def test_io_limits_are_written_by_device_and_only_what_is_given() -> None:
    limits = {"max": {"8:0": {"rbps": "20MB/s", "wiops": 500}, "8:16": {"wbps": "max"}, "8:32": {}}, "weight": 50}
    assert asked({"io": limits}) == [
        "io.weight default = 50",
        "io.bfq.weight default = 50",
        "io.max 8:0 = rbps=20000000 wiops=500",
        "io.max 8:16 = wbps=max",
    ]


def test_io_latency_is_written_by_device_in_microseconds() -> None:
    limits = {"latency": {"8:0": {"target": "10ms"}, "8:16": {"target": "max"}, "8:32": {}}}
    assert asked({"io": limits}) == ["io.latency 8:0 = target=10000", "io.latency 8:16 = target=max"]


@pytest.mark.parametrize("target", [0, "0.1us", "5m", 1 << 62, "-1", "1MB/s"])
def test_io_latency_that_the_kernel_would_take_for_none_or_not_at_all_is_refused(target: object) -> None:
    with pytest.raises(UsageError, match=r"^io\.latency\.8:0\.target: .* Write (it like 10ms|5min$|max$)"):
        asked({"io": {"latency": {"8:0": {"target": target}}}})


@pytest.mark.parametrize("device", ["vda", "/dev/vda", "8", "8:0:1", "", "٨:٠"])
def test_io_limits_need_a_resolved_device(device: str) -> None:
    limits = decode({"io": {"max": {device: {"rbps": "1M"}}}}, HOST)
    with pytest.raises(ValueError, match="is not MAJOR:MINOR"):
        io.writes(limits.io, HOST)


def test_io_is_read_by_device() -> None:
    stat = io.parse(
        {
            "io.stat": "8:0 rbytes=4096 rios=1 cost.vrate=100.00\n8:16 \n",
            "io.max": "8:0 rbps=1048576 wbps=max riops=max wiops=120\n",
        }
    )
    assert stat is not None
    assert stat.stat == {"8:0": {"rbytes": 4096, "rios": 1}, "8:16": {}}
    assert stat.max == {"8:0": {"rbps": 1048576, "wbps": MAX, "riops": MAX, "wiops": 120}}


# pids


@pytest.mark.parametrize(("value", "text"), [(500, "500"), (0, "0"), ("max", "max")])
def test_processes(value: object, text: str) -> None:
    assert asked({"pids": {"max": value}}) == [f"pids.max = {text}"]


def test_processes_are_read_with_the_forks_that_failed() -> None:
    texts = {"pids.current": "5\n", "pids.max": "max\n", "pids.events": "max 3\n"}
    assert pids.parse(texts) == pids.PidsStat(5, MAX, 3)


# huge pages


@pytest.mark.parametrize(
    ("page", "size", "text"),
    [
        ("2MB", "5M", "4194304"),
        ("1GB", "1.5G", "1073741824"),
        ("64KB", 65537, "65536"),
        ("2MB", "max", "max"),
        ("2MB", 2**63 - 1, "max"),
        ("1GB", 2**63 - 2**30 - 1, str(2**63 - 2**31)),
        ("2MB.rsvd", "5M", "4194304"),
    ],
)
def test_huge_pages_are_written_whole(page: str, size: object, text: str) -> None:
    assert asked({"hugetlb": {page: size}}) == [f"hugetlb.{page}.max = {text}"]


@pytest.mark.parametrize("page", ["2M", "2048", "0MB", "", "2MB.max", "../x", "2mb", "2MB.rsvd.rsvd", "rsvd", ".rsvd"])
def test_what_is_no_page_size_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match=r"is not a page size\. Write it as the kernel does: 2MB or 1GB"):
        hugetlb.file(page)


def test_huge_pages_are_read_by_page_size_without_reservations() -> None:
    texts = {
        "hugetlb.2MB.current": "4194304\n",
        "hugetlb.2MB.max": "max\n",
        "hugetlb.2MB.rsvd.current": "0\n",
        "hugetlb.1GB.current": "0\n",
        "hugetlb.1GB.max": "0\n",
    }
    assert hugetlb.parse(texts) == {"2MB": (4194304, MAX), "1GB": (0, 0)}


# pressure


def test_pressure_is_read_by_resource() -> None:
    text = "some avg10=1.00 avg60=2.00 avg300=3.00 total=4\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    found = pressure.parse({"memory.pressure": text, "cpu.stat": ""})
    assert list(found) == ["memory"]
    assert found["memory"]["some"] == Pressure(1.0, 2.0, 3.0, 4)


# core


def test_the_cgroup_itself() -> None:
    texts = {"cgroup.events": "populated 1\nfrozen 0\n", "cgroup.stat": "nr_descendants 3\n"}
    assert core.parse(texts) == core.CoreStat(populated=True, frozen=False, descendants=3)
    assert core.parse({}) == core.CoreStat(populated=False, frozen=False)


def test_controllers_are_enabled_in_one_write() -> None:
    assert core.enable_text(["memory", "cpu"]) == "+cpu +memory"
    assert core.enable_text(["cpu"], "-") == "-cpu"


# verbatim files


@pytest.mark.parametrize(
    ("name", "value", "key", "wanted"),
    [
        ("misc.max", "res_a 3", "", "res_a 3"),
        ("memory.max", "1G", "", "1073741824"),
        ("cpu.max", "50000 100000", "", "50000 100000"),
        ("io.max", "8:0 rbps=1048576", "8:0", "rbps=1048576"),
        ("io.weight", "8:0 50", "8:0", "50"),
        ("hugetlb.2MB.max", "3M", "", "2097152"),
        ("cgroup.max.depth", 5, "", "5"),
        ("cpuset.cpus", "0,1", "", "0-1"),
    ],
)
def test_a_verbatim_file_with_a_name_is_read_like_the_limit_itself(
    name: str, value: str | int, key: str, wanted: str
) -> None:
    (write,) = ask({"files": {name: value}})
    assert (write.file.name, write.key, write.wanted) == (name, key, wanted)


def test_only_files_without_a_name_may_read_back_in_another_form() -> None:
    known, other = ask({"files": {"memory.max": "1G", "cgroup.max.depth": "1"}})
    assert known.exact
    assert not other.exact


def test_lowering_a_verbatim_memory_limit_is_seen_as_lowering() -> None:
    (write,) = ask({"files": {"memory.max": "1G"}})
    assert write.file.lowers("max", write.wanted)


@pytest.mark.parametrize(
    "name",
    [
        "memory",
        "",
        "memory/max",
        "../memory.max",
        "/memory.max",
        "memory.max/../x",
        "Memory.max",
        "memory..max",
        ".max",
        "memory.max\n",
        "memory.max\x00",
        "memory.mäx",
        "m m.max",
        "m" * 127 + ".x",
    ],
)
def test_a_name_that_is_no_interface_file_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of an interface file"):
        core.writes({name: "1"}, core.verbatim, HOST)


@pytest.mark.parametrize("name", [core.PROCS, "cgroup.threads", core.SUBTREE_CONTROL, core.KILL, "cgroup.type"])
def test_files_that_move_processes_or_shape_the_tree_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not a limit\. Use rctl"):
        core.writes({name: "1"}, core.verbatim, HOST)


def test_a_file_that_acts_and_holds_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="acts once and stores no value"):
        core.writes({"memory.reclaim": "1G"}, core.verbatim, HOST)


@pytest.mark.parametrize("value", ["", " ", "1\n2", "\0", "\x1b[0m", "1\r", "x" * 4096, "\ud800", "\t"])
def test_a_value_that_is_not_one_printable_line_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must be one line of printable text"):
        core.writes({"misc.max": value}, core.verbatim, HOST)


@given(st.text(), st.text())
def test_any_verbatim_file_is_a_write_or_a_value_error(name: str, value: str) -> None:
    with contextlib.suppress(ValueError):
        (write,) = core.writes({name: value}, core.verbatim, HOST)
        assert write.wanted == value.strip()


# All controllers

COUNTS = st.integers(0, U64_MAX)


@pytest.mark.parametrize(
    "parse", [memory.parse, cpuset.parse, io.parse, pids.parse, cpu.parse], ids=lambda parse: parse.__module__
)
def test_a_controller_that_is_not_there_has_no_reading(parse: Callable[[dict[str, str]], object]) -> None:
    assert parse({}) is None


@given(current=COUNTS, limit=st.one_of(COUNTS, st.just(MAX)), events=st.dictionaries(st.sampled_from("abc"), COUNTS))
def test_memory_reads_back_what_the_kernel_prints(current: int, limit: object, events: dict[str, int]) -> None:
    lines = "".join(f"{name} {count}\n" for name, count in events.items())
    texts = {"memory.current": f"{current}\n", "memory.max": f"{limit}\n", "memory.high": "max\n"}
    stat = memory.parse({**texts, "memory.events": lines})
    assert stat == memory.MemoryStat(current, limit, MAX, events=events)  # type: ignore[arg-type]


TEXTS = st.dictionaries(
    st.sampled_from(
        [
            "memory.current",
            "memory.max",
            "memory.high",
            "memory.peak",
            "memory.swap.max",
            "memory.events",
            "memory.stat",
            "cpu.stat",
            "cpu.max",
            "cpu.weight",
            "cpuset.cpus",
            "cpuset.cpus.effective",
            "cpuset.mems.effective",
            "io.stat",
            "io.max",
            "pids.current",
            "pids.max",
            "hugetlb.2MB.current",
            "cpu.pressure",
            "cgroup.events",
        ]
    ),
    st.one_of(st.text(), st.from_regex(r"[a-z0-9:=. \n]{0,30}", fullmatch=True)),
)


@given(
    st.sampled_from(
        [memory.parse, cpu.parse, cpuset.parse, io.parse, pids.parse, hugetlb.parse, pressure.parse, core.parse]
    ),
    TEXTS,
)
def test_any_texts_are_a_reading_or_a_value_error(
    parse: Callable[[dict[str, str]], object], texts: dict[str, str]
) -> None:
    with contextlib.suppress(ValueError):
        parse(texts)


def test_every_named_limit_has_a_file() -> None:
    everything = {
        "memory": {
            "max": 0,
            "high": 0,
            "low": 0,
            "min": 0,
            "swap": {"max": 0, "high": 0},
            "zswap": {"max": 0, "writeback": 0},
        }
        | {"oom": {"group": 1}},
        "cpu": {"max": 1, "burst": 0, "weight": 1},
        "cpuset": {"cpus": "0", "mems": "0", "partition": "member", "exclusive": "0"},
        "io": {"weight": 1, "max": {"8:0": {"rbps": 5}}, "latency": {"8:0": {"target": 5}}},
        "pids": {"max": 1},
        "files": {"cgroup.freeze": 0, "cgroup.pressure": 1},
    }
    assert {write.file for write in ask(everything)} == set(FILES)
