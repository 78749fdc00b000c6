"""The Python API: attributes that read and write, and blocks that are one transaction."""

import os
from pathlib import Path

import pytest

import rctl
from rctl import transaction
from rctl.adjust.records.history import history
from rctl.adjust.state_folder import State
from rctl.errors import GoneError, KernelError, NotFoundError, UsageError
from tests.kernel.helpers import Ve, refused
from tests.kernel.workload import MIB, sleeper


def test_attributes_write_limits_and_read_files(ve: Ve) -> None:
    with rctl.open("web1") as opened:
        opened.memory.max = "64M"
        opened.cpu.max = 0.5
        opened.pids.max = 100
        opened.io.weight = 50
        opened.cpuset.cpus = "0"
        assert opened.memory.max == 64 * MIB
        assert (opened.cpu.max, opened.cpu.period) == (0.5, 100000)
        assert (opened.pids.max, opened.io.weight) == (100, 50)
        assert str(opened.cpuset.cpus) == "0"
        opened.memory.max = rctl.MAX
        assert opened.memory.max is rctl.MAX
    assert ve.text("cpu.max") == "50000 100000"


@pytest.mark.parametrize("key", ["/etc/passwd", "../cgroup.procs", "below/pids.max", "", "."])
def test_files_takes_only_names_of_interface_files(ve: Ve, key: str) -> None:
    with rctl.open("web1") as opened:
        with pytest.raises(UsageError, match="is not the name of a file"):
            opened.files[key]
        with pytest.raises(UsageError):
            opened.hugetlb[f"../{key}"]
        assert opened.files["cgroup.max.depth"] == "max"


def test_attributes_of_groups_within_groups(ve: Ve) -> None:
    with rctl.open("web1") as opened:
        opened.memory.swap.max = 0
        opened.memory.oom.group = True
        assert opened.memory.swap.max == 0
        assert opened.memory.oom.group is True


def test_reading_counters_and_a_sample(ve: Ve) -> None:
    sleeper(ve.dir)
    with rctl.open("web1") as opened:
        opened.memory.max = "64M"
        opened.pids.max = 10
        assert opened.pids.current == 1
        assert opened.memory.events["oom_kill"] == 0
        sample = opened.sample()
        assert sample.pids is not None
        assert (sample.name, sample.pids.current) == ("web1", 1)
        with pytest.raises(UsageError, match=r"memory\.current: is read-only"):
            opened.memory.current = 1


def test_block_is_one_transaction(ve: Ve, state: State) -> None:
    with rctl.open("web1") as opened:
        with opened.adjust() as wanted:
            wanted.memory.max = "64M"
            wanted.cpu.max = 0.5
            wanted.ask("vcpus", 1)
            assert not ve.has("memory.max")
        assert (opened.memory.max, opened.cpu.max) == (64 * MIB, 0.5)
    assert len(list(history(state))) == 1


def test_exception_in_the_block_changes_nothing(ve: Ve) -> None:
    before = ve.snapshot()

    def change(opened: rctl.VE) -> None:
        with opened.adjust() as wanted:
            wanted.memory.max = "64M"
            raise ZeroDivisionError

    with rctl.open("web1") as opened, pytest.raises(ZeroDivisionError):
        change(opened)
    assert ve.snapshot() == before


def test_refused_block_changes_nothing(ve: Ve, other: Ve) -> None:
    with rctl.open("web1") as first, rctl.open("web2") as second:
        with refused(KernelError, "cgroup.max.depth", ve, other), transaction(first, second) as (one, two):
            one.pids.max = 10
            two.pids.max = 20
            two.ask("files.cgroup.max.depth", "deep")
        with transaction(first, second) as (one, two):
            one.pids.max = 10
            two.pids.max = 20
    assert (ve.text("pids.max"), other.text("pids.max")) == ("10", "20")


def test_a_ve_is_named_once_in_a_transaction(ve: Ve) -> None:
    with rctl.open("web1") as first, rctl.open(ve.path) as second:  # noqa: SIM117
        with refused(UsageError, "^transaction: web1 given twice", ve), transaction(first, second):
            pass


def test_max_within_a_disks_limits(ve: Ve, rawdisk: Path) -> None:
    with rctl.open("web1") as opened:
        opened.io.max = {str(rawdisk): {"wbps": "1MB", "rbps": "2MB"}}
        opened.io.max = {str(rawdisk): {"wbps": rctl.MAX}}
    assert "wbps=max" in ve.text("io.max")


def test_a_name_that_is_no_limit_is_an_error(ve: Ve) -> None:
    with rctl.open("web1") as opened, opened.adjust() as wanted:
        for target in (opened, wanted):
            with pytest.raises(AttributeError):
                target.memry = 1  # type: ignore[union-attr]


def test_set_by_keys_returns_the_account(ve: Ve) -> None:
    with rctl.open("web1") as opened:
        account = opened.set({"pids.max": 10, "hugetlb.2MB": "4M"})
        assert {outcome.name: outcome.status for outcome in account.outcomes}["web1"] == "changed"
        assert opened.set({"pids.max": 10}).id is None


def test_wrong_values_are_told_at_once(ve: Ve) -> None:
    with rctl.open("web1") as opened:
        with refused(UsageError, r"^memory\.max: 'lots' is not understood", ve):
            opened.memory.max = "lots"
        with refused(UsageError, r"^memory\.max: cannot be set to None", ve):
            opened.memory.max = None


def test_options_hold_for_everything_done_through_the_handle(ve: Ve) -> None:
    with rctl.open("web1", rctl.Options(dry_run=True)) as opened:
        opened.pids.max = 10
    assert not ve.has("pids.max")


def test_ve_that_is_not_there() -> None:
    with pytest.raises(NotFoundError, match="web9"):
        rctl.open("web9")


def test_ve_removed_while_it_is_held(ve: Ve) -> None:
    with rctl.open("web1") as opened:
        opened.pids.max = 10
        ve.dir.rmdir()
        with refused(NotFoundError, "^web1: "):
            opened.pids.max = 20
        with pytest.raises(GoneError, match="removed"):
            opened.pids.current  # noqa: B018


def test_ve_made_again_under_the_same_name_is_not_the_one_that_is_held(ve: Ve) -> None:
    with rctl.open("web1") as opened:
        opened.pids.max = 10
        ve.dir.rmdir()
        ve.dir.mkdir()
        with refused(GoneError, "removed", ve):
            opened.pids.max = 20


def test_one_that_is_not_closed_is_closed_when_nobody_has_it_any_more(ve: Ve) -> None:
    before = len(os.listdir("/proc/self/fd"))
    opened = rctl.open(ve.name)
    assert opened.name == ve.name
    with pytest.warns(ResourceWarning, match="^web1: not closed"):
        del opened
    assert len(os.listdir("/proc/self/fd")) == before
