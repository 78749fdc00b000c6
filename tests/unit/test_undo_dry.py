"""``rctl undo --last N --dry-run``: it shows what each of the N would do, and they then do that."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.unit.shell import Shell


def shown(text: str) -> list[str]:
    """What is done to each VE, whether it was or would be."""
    return text.replace("would undo", "undo").replace(": planned", ": changed").splitlines()


@pytest.mark.parametrize(
    "commands",
    [
        ["set web1 pids.max=5", "set web1 pids.max=6", "set web1 pids.max=7"],
        ["set web1 pids.max=5 cpu.max=1", "set web2 pids.max=6", "set web1 cpu.max=2 cpu.burst=10ms"],
        ["set web1 cpu.weight=50", "set web1 cpu.weight=idle", "set web1 pids.max=9"],
        ["set web1 memory.max=900M", "set web1 memory.max=1G", "set web1 memory.max=2G"],
        [
            "set web1 io.max='8:0 rbps=1000000'",
            "set web1 io.max='8:0 wbps=2000000'",
            "set web1 io.max='8:0 rbps=3000000'",
        ],
        ["set web1 io.weight=200", "set web1 io.weight=300"],
        ["set web1 cpuset.cpus=0-1", "set web1 cpuset.cpus=1"],
    ],
)
def test_a_dry_run_of_several_shows_what_each_then_does(shell: Shell, commands: list[str]) -> None:
    for command in commands:
        assert shell.run(*shlex.split(command))[0] == 0
    count = str(len(commands))
    status, planned, _ = shell.run("undo", "--last", count, "--dry-run")
    before = shell.kernel.limits()
    assert (status, planned.count("would undo")) == (0, len(commands))
    status, done, told = shell.run("undo", "--last", count)
    assert status == 0, told
    assert shown(planned) == shown(done)
    assert before != shell.kernel.limits()


def test_the_controller_that_only_both_needed_goes_with_the_second(shell: Shell) -> None:
    shell.kernel.put("/", "cgroup.subtree_control", "-pids")
    shell.run("set", "web1", "pids.max=5")
    shell.run("set", "web2", "pids.max=6")
    planned = shell.run("undo", "--last", "2", "--dry-run")[1]
    assert planned.splitlines()[-1] == "  cgroup.subtree_control: -pids"
    assert planned.count("subtree_control") == 1
    assert shown(planned) == shown(shell.run("undo", "--last", "2")[1])


def test_a_later_change_stops_the_dry_run_where_it_stops_the_undo(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5", "cpu.weight=50")
    shell.run("set", "web1", "pids.max=6")
    shell.kernel.put("/rctl-web1", "cpu.weight", "70")
    planned = shell.run("undo", "--last", "2", "--dry-run")
    done = shell.run("undo", "--last", "2")
    assert planned[0] == done[0] == 1
    assert shown(planned[1]) == shown(done[1])
    assert planned[2] == done[2]


def test_what_the_kernel_alone_knows_is_said_for_each(shell: Shell) -> None:
    shell.run("set", "web2", "pids.max=4")
    shell.run("set", "web1", "files.cpu.weight.nice=5")
    shell.run("set", "web1", "cpu.weight=300")
    status, out, err = shell.run("undo", "--last", "3", "--dry-run")
    assert (status, err) == (0, "")
    heads = [line.split(": ", 2)[-1] for line in out.splitlines() if line.startswith("would undo")]
    assert len(heads) == 3
    assert "cannot be planned before those above are undone: cpu.weight.nice: the kernel alone knows" in out
    assert "  pids.max: 4 -> max" in out
    data = json.loads(shell.run("undo", "--last", "3", "--dry-run", "--json")[1])
    assert ["unreckoned" in one for one in data] == [False, True, False]
