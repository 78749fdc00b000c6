"""A dry run and the run refuse the same, in the same words; what only the kernel knows is said as not checked."""

from __future__ import annotations

import random

import pytest

from tests.unit.fake_files import HOME
from tests.unit.shell import Shell

MIB = 1 << 20


def with_exclusive_lists(shell: Shell) -> None:
    """As since Linux 6.7."""
    shell.kernel.lacks.remove("cpuset.cpus.exclusive")
    for path in ("/rctl-web1", "/rctl-web2"):
        shell.kernel.node(path).files["cpuset.cpus.exclusive"] = ""


def refused_alike(shell: Shell, *words: str) -> str:
    """The one line of both runs."""
    before = shell.kernel.limits()
    told = []
    for dry in (("--dry-run",), ()):
        status, out, err = shell.run(*words, *dry)
        assert (status, out) == (1, ""), err
        told.append(err.splitlines()[0])
        assert shell.kernel.limits() == before
    assert told[0] == told[1]
    return told[0]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("cpuset.cpus=99", "cpuset.cpus: cannot write '99' on /rctl-web1: ERANGE: there is no such CPU"),
        ("cpuset.cpus=0-4", "cpuset.cpus: cannot write '0-4' on /rctl-web1: ERANGE: there is no such CPU"),
        ("files.cpuset.cpus=99", "ERANGE: there is no such CPU"),
        ("cpuset.mems=7", "cpuset.mems: cannot write '7' on /rctl-web1: EINVAL: there is no such memory node"),
        ("cpuset.exclusive=99", "cpuset.cpus.exclusive: cannot write '99' on /rctl-web1: ERANGE: there is no such CPU"),
        ("cpuset.exclusive=1-2", "EINVAL: a sibling has some of these CPUs"),
        ("hugetlb.2MB=2M", "EBUSY: more is in use"),
        ("hugetlb.2MB=0", "EBUSY: more is in use"),
    ],
)
def test_what_the_kernel_refuses_is_refused_in_a_dry_run(shell: Shell, word: str, reason: str) -> None:
    with_exclusive_lists(shell)
    shell.run("set", "web2", "cpuset.exclusive=2")
    shell.run("set", "web1", "hugetlb.2MB=100M")
    shell.kernel.node("/rctl-web1").huge = 4 * MIB
    assert reason in refused_alike(shell, "set", "web1", "pids.max=9", word)


def test_a_partition_without_cpus_of_its_own_is_refused(shell: Shell) -> None:
    line = refused_alike(shell, "set", "web1", "cpuset.partition=root")
    assert "/rctl-web1 has no CPUs of its own and cannot be a partition. Set cpuset.cpus, too" in line


def test_a_partition_with_cpus_of_others_is_refused(shell: Shell) -> None:
    shell.run("set", "web2", "cpuset.cpus=1-3")
    line = refused_alike(shell, "set", "web1", "cpuset.cpus=0-1", "cpuset.partition=root")
    assert "/rctl-web1 cannot be a partition: /rctl-web2 may run on its CPUs, too" in line
    assert shell.run("set", "web1", "web2", "cpuset.cpus=2", "-n")[0] == 0
    status, _, err = shell.run("set", "web1", "cpuset.cpus=0", "cpuset.partition=root", "-n")
    assert (status, err.count("not checked: the kernel tells only when it is written")) == (0, 1)


def test_a_list_beside_a_partition_is_not_checked_and_says_so(shell: Shell) -> None:
    shell.run("set", "web2", "cpuset.cpus=1", "cpuset.partition=root")
    status, _, err = shell.run("set", "web1", "cpuset.cpus=0-1", "-n")
    assert (status, err.count("not checked: /rctl-web2 is a partition with some of these CPUs")) == (0, 1)
    assert shell.run("set", "web1", "cpuset.cpus=0", "-n")[2] == ""


def test_a_file_that_rctl_does_not_know_is_not_checked_and_says_so(shell: Shell) -> None:
    shell.monkeypatch.setitem(HOME, "cgroup.max.depth", "")
    shell.kernel.node("/rctl-web1").files["cgroup.max.depth"] = "max"
    status, out, err = shell.run("set", "web1", "files.cgroup.max.depth=x", "-n")
    assert (status, out) == (0, "web1: planned\n  cgroup.max.depth: max -> x\n"), err
    assert "cgroup.max.depth: not checked: only the kernel knows which values this file takes" in err


def test_new_ves_are_looked_at_beside_one_another(shell: Shell) -> None:
    with_exclusive_lists(shell)
    shell.run("set", "web2", "cpuset.exclusive=2")
    for lists, reason in (
        ((1, 1), "a sibling has some of these CPUs"),
        ((1, 2), "a sibling has some of these CPUs"),
        ((1, 99), "there is no such CPU"),
    ):
        new = "".join(f"[ve.new{n}.limits]\ncpuset.exclusive = {cpu}\n" for n, cpu in enumerate(lists))
        (shell.folder / "site.toml").write_text(f"version = 1\n{new}")
        assert reason in refused_alike(shell, "apply", "site.toml")
    (shell.folder / "site.toml").write_text(
        "version = 1\n[ve.new1.limits]\ncpuset.exclusive = 2\n[ve.web2.limits]\ncpuset.exclusive = 3\n"
    )
    assert shell.run("apply", "site.toml", "-n")[0] == 0
    assert shell.run("apply", "site.toml")[0] == 0


WORDS = {
    "cpuset.cpus": ("0", "1", "0-1", "9", ""),
    "cpuset.mems": ("0", "1", ""),
    "cpuset.exclusive": ("1", "2", "0-1", "9", ""),
    "pids.max": ("5", "max"),
    "cpu.max": ("1", "0.5", "max"),
    "cpu.burst": ("0", "100ms", "10ms"),
    "cpu.weight": ("50", "idle"),
    "hugetlb.2MB": ("0", "2M", "8M", "max"),
}


def test_dry_runs_and_runs_agree_on_random_words(shell: Shell) -> None:
    with_exclusive_lists(shell)
    shell.kernel.node("/rctl-web2").huge = 4 * MIB
    chance = random.Random(5)
    refusals = 0
    for number in range(150):
        names = chance.sample(["web1", "web2"], chance.choice((1, 1, 2)))
        words = [f"{key}={chance.choice(WORDS[key])}" for key in chance.sample(list(WORDS), chance.choice((1, 2, 3)))]
        planned, done = shell.run("set", *names, *words, "-n"), shell.run("set", *names, *words)
        assert planned[0] == done[0], (words, planned, done)
        if done[0]:
            assert planned[2].splitlines()[0] == done[2].splitlines()[0]
            refusals += 1
        else:
            assert planned[1].replace(": planned", ": changed") == done[1]
        if number % 5 == 4 and (planned := shell.run("undo", "-n", "--last", "3"))[0] == 0:
            done = shell.run("undo", "--last", "3")
            assert planned[1].replace("would undo", "undo").replace(": planned", ": changed") == done[1]
    assert 20 < refusals < 130
