"""Verbatim files and the cgroup's own switches."""

import pytest

from rctl.errors import KernelError, NotAvailableError, UsageError
from tests.kernel.helpers import Ve, lacks, refused
from tests.kernel.workload import burner, until, window


def test_freeze_stops_every_process_and_thaws(ve: Ve) -> None:
    burner(ve.dir)
    ve.set({"files.cgroup.freeze": 1})
    until(lambda: ve.count("cgroup.events", "frozen"), "the VE to be frozen")
    used = ve.count("cpu.stat", "usage_usec")
    window(0.2)
    assert ve.count("cpu.stat", "usage_usec") == used
    ve.set({"files.cgroup.freeze": 0})
    until(lambda: ve.count("cpu.stat", "usage_usec") > used, "the VE to run again")


def test_pressure_accounting_is_switched(ve: Ve) -> None:
    if lacks(ve, "cgroup.pressure", {"files.cgroup.pressure": 0}):
        return
    ve.set({"files.cgroup.pressure": "0"})
    assert ve.text("cgroup.pressure") == "0"
    assert not ve.has("cpu.pressure")
    ve.set({"files.cgroup.pressure": "1"})
    assert ve.has("cpu.pressure")


def test_verbatim_file_is_the_limit_of_that_name(ve: Ve) -> None:
    ve.set({"files.memory.max": "64M", "files.cpu.max": "25000 50000"})
    assert (ve.text("memory.max"), ve.text("cpu.max")) == (str(64 << 20), "25000 50000")


def test_file_that_rctl_has_no_word_for(ve: Ve) -> None:
    ve.set({"files.cgroup.max.descendants": 3})
    assert ve.text("cgroup.max.descendants") == "3"
    with refused(KernelError, "cgroup.max.descendants: .* EINVAL", ve):
        ve.set({"files.cgroup.max.descendants": "three", "pids.max": 7})


def test_file_that_is_not_there(ve: Ve) -> None:
    with refused(NotAvailableError, "^memory.nothing: this kernel has no such file on", ve):
        ve.set({"files.memory.nothing": 1, "pids.max": 7})


@pytest.mark.parametrize("file", ["cgroup.procs", "cgroup.kill", "cgroup.subtree_control", "memory.reclaim"])
def test_what_acts_is_no_limit(ve: Ve, file: str) -> None:
    with refused(UsageError, file, ve):
        ve.set({f"files.{file}": "1"})
