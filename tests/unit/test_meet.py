"""Limits that meet: two names for one value, values that another limit rules out, files that hold no limit."""

from __future__ import annotations

import json

import pytest

from rctl.console.flags import LIMIT_FLAGS, asked
from rctl.controllers import cpuset
from rctl.limits import decode, writes
from tests.unit.fake_kernel import FakeKernel
from tests.unit.shell import Shell


@pytest.mark.parametrize(
    "words",
    [
        ["files.cpu.idle=1", "files.cpu.weight=300"],
        ["cpu.weight=idle", "files.cpu.weight.nice=3"],
        ["cpu.weight=300", "files.cpu.weight.nice=3"],
    ],
)
def test_two_wishes_about_one_weight_are_refused(shell: Shell, words: list[str]) -> None:
    err = shell.refused("set", "web1", *words)
    assert "both set the VE's share of the CPU. Give one: cpu.weight=100, or idle" in err


@pytest.mark.parametrize("kind", ["cpu", "memory", "io", "irq"])
def test_a_trigger_of_pressure_is_no_limit(shell: Shell, kind: str) -> None:
    err = shell.refused("set", "web1", f"files.{kind}.pressure=some 150000 1000000")
    assert f"files: {kind}.pressure takes a trigger for the program that has it open, not a limit" in err


def test_a_peak_cannot_be_reset_for_others(shell: Shell) -> None:
    assert "memory.peak is reset only for the program that has it open" in shell.refused(
        "set", "web1", "files.memory.peak=0"
    )


@pytest.mark.parametrize(("text", "reason"), [("x", "not a nice value"), ("20", "at most 19"), ("-21", "at least -20")])
def test_what_is_no_nice_value_is_refused(shell: Shell, text: str, reason: str) -> None:
    assert reason in shell.refused("set", "web1", f"files.cpu.weight.nice={text}")


def test_a_refused_partition_gives_the_kernels_reason() -> None:
    shown = "root invalid (Cpu list in cpuset.cpus not exclusive)"
    assert cpuset.PARTITION.refused(shown) == "The kernel's reason: Cpu list in cpuset.cpus not exclusive"
    assert not cpuset.PARTITION.holds(shown, "root")
    without = "root invalid (Invalid cpu list in cpuset.cpus.exclusive)"
    assert cpuset.PARTITION.refused(without).endswith(
        "Invalid cpu list in cpuset.cpus.exclusive. Set cpuset.exclusive here and in each cgroup above"
    )


def test_a_childs_partition_may_wait_for_its_parents() -> None:
    assert cpuset.PARTITION.holds("root invalid (Parent is not a partition root)", "root")
    assert not cpuset.PARTITION.holds("isolated invalid (Parent is not a partition root)", "root")


def test_a_period_that_changes_the_cpus_by_rounding_says_so(shell: Shell) -> None:
    shell.run("set", "web1", "cpu.max=0.333333")
    out = shell.run("set", "web1", "cpu.period=7ms")[1]
    assert "cpu.max: 33333 100000 -> 2333 7000  (0.333286 CPUs, not 0.33333: a quota is whole microseconds)" in out
    assert "CPUs, not" not in shell.run("set", "web1", "cpu.period=14ms")[1]


def test_get_reads_what_cannot_be_set(shell: Shell) -> None:
    assert shell.run("get", "web1", "files.memory.pressure")[0] == 0


def test_undo_of_nice_puts_the_weight_back_and_not_the_nice_value(shell: Shell) -> None:
    shell.run("set", "web1", "cpu.weight=150")
    shell.run("set", "web1", "files.cpu.weight.nice=3")
    shell.kernel.put("/rctl-web1", "cpu.weight", "52")  # as the kernel does, which keeps one value for both
    begin = len(shell.kernel.writes)
    assert shell.run("undo")[0] == 0
    assert [w.file for w in shell.kernel.writes[begin:]] == ["cpu.weight"]
    assert shell.kernel.get("/rctl-web1", "cpu.weight") == "150"


def test_reclaim_frees_in_steps_and_says_how_much(shell: Shell) -> None:
    shell.kernel.make("/rctl-web1", cache=100 << 20, anon=20 << 20)
    steps: list[str] = []
    shell.kernel.watch = lambda o: steps.append(o.text) if o.file == "memory.reclaim" else None
    status, out, err = shell.run("reclaim", "web1", "80M")
    assert (status, err) == (0, "")
    assert out == "web1: 80M of 80M freed, 40M in use\n"
    assert steps == [str(32 << 20), str(32 << 20), str(16 << 20)]


def test_reclaim_that_finds_no_more_says_so_and_ends_with_1(shell: Shell) -> None:
    shell.kernel.make("/rctl-web1", cache=40 << 20, anon=20 << 20)
    status, out, _ = shell.run("reclaim", "web1", "1G", "--json")
    assert (status, json.loads(out)["asked"]) == (1, 1 << 30)
    assert json.loads(out)["freed"] == 60 << 20  # the cache, and into swap the rest
    assert shell.run("reclaim", "web1", "1G", "-q")[0] == 1


def test_reclaim_with_swappiness_0_takes_the_file_cache_alone(shell: Shell) -> None:
    shell.kernel.knows_swappiness = True
    shell.kernel.make("/rctl-web1", cache=40 << 20, anon=20 << 20)
    steps: list[str] = []
    shell.kernel.watch = lambda o: steps.append(o.text) if o.file == "memory.reclaim" and o.text else None
    status, out, _ = shell.run("reclaim", "web1", "50M", "--swappiness", "0")
    assert (status, out.partition(" freed")[0]) == (1, "web1: 40M of 50M")
    assert steps[0] == f"{32 << 20} swappiness=0"
    assert shell.run("reclaim", "web1", "10M", "--swappiness", "200")[0] == 0


def test_reclaim_with_swappiness_that_the_kernel_does_not_know_is_refused_with_the_reason(shell: Shell) -> None:
    shell.kernel.make("/rctl-web1", cache=40 << 20)
    said = "rctl: memory.reclaim: this kernel takes no swappiness (it came with Linux 6.11). Leave --swappiness out\n"
    assert shell.run("reclaim", "web1", "10M", "--swappiness", "0") == (1, "", said)
    assert "--swappiness: 201 is out of range 0..200" in shell.refused("reclaim", "web1", "10M", "--swappiness", "201")


@pytest.mark.parametrize(
    ("size", "said"), [("max", "not an amount to free"), ("0", "not an amount to free"), ("x", "not understood")]
)
def test_reclaim_without_a_size_is_refused(shell: Shell, size: str, said: str) -> None:
    assert said in shell.refused("reclaim", "web1", size)


def test_a_default_and_a_devices_entry_of_one_file_go_together() -> None:
    host = FakeKernel().host
    data = asked(["files.io.weight=default 50", "files.io.weight=8:0 30"], dict.fromkeys(LIMIT_FLAGS))
    found = writes(decode(data, host), host)
    assert [(w.file.name, w.key, w.wanted) for w in found] == [
        ("io.weight", "default", "50"),
        ("io.weight", "8:0", "30"),
    ]


def test_one_entry_of_one_file_is_given_once(shell: Shell) -> None:
    assert "asked for twice" in shell.refused("set", "web1", "files.io.weight=50", "files.io.weight=default 60")
    assert "given twice" in shell.refused("set", "web1", "files.pids.max=5", "files.pids.max=6")
