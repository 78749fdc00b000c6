"""The kernel's refusals, as a line with a remedy."""

from __future__ import annotations

import errno
import os

import pytest

from rctl.adjust.enabling.enable import absent
from rctl.adjust.recovery.rollback import roll_back
from rctl.adjust.steps import Disable
from rctl.cgroupfs.cgroup import Cgroup
from rctl.errors import KernelError
from rctl.formats import File


def told(file: str, number: int) -> str:
    return str(KernelError("/web1", file, "1", number))


@pytest.mark.parametrize("file", ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", "hugetlb.1GB.max"])
def test_a_huge_page_limit_below_use_says_what_ebusy_means_there(file: str) -> None:
    assert told(file, errno.EBUSY) == (
        f"{file}: cannot write '1' on /web1: EBUSY: more is in use (its .current), and huge pages are not reclaimed. "
        "Give more, or end programs that use them"
    )


def test_a_files_own_remedy_comes_before_the_one_for_all_files() -> None:
    assert "children still use those CPUs" in told("cpuset.cpus", errno.EBUSY)
    assert "cannot have children with controllers" in told("cgroup.subtree_control", errno.EBUSY)
    assert "does not take this value" in told("hugetlb.2MB.max", errno.EINVAL)


def test_an_errno_without_a_remedy_is_told_in_the_systems_words() -> None:
    assert told("memory.max", errno.EIO).endswith("EIO: Input/output error")


def test_what_cannot_be_put_back_for_want_of_open_files_says_how_to_raise_the_limit() -> None:
    class Full(Cgroup):
        def write(self, name: str, text: str) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/proc/7/stat")

    step = Disable("/a", ("cpu",))
    (left,) = roll_back([step], {"/a": Full("/a", -1)}, 1)
    assert left.startswith("/proc/7/stat: this process may open no more files. Raise its limit")


def test_a_file_that_needs_an_option_of_the_kernel_is_missed_with_the_option_and_not_with_a_newer_kernel() -> None:
    assert absent(File("io.some", "io", since="4.19", config="CONFIG_SOME"), "/web1") == (
        "io.some: this kernel has no such file on /web1 (it came with Linux 4.19, and needs CONFIG_SOME). "
        "Leave it out, or boot one that is built with it"
    )
