"""Which of several cgroup2 mounts rctl works on, and where a process lies in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rctl.cgroupfs.mounts import cgroup_mounts, find, inside
from rctl.errors import NotAvailableError, UsageError


def mountinfo(tmp_path: Path, *lines: str) -> str:
    place = tmp_path / "mountinfo"
    place.write_text("".join(line + "\n" for line in lines))
    return str(place)


def mount(mountinfo: str, shows: dict[str, int], named: str | None = None) -> str:
    """What is found where paths show file systems of these devices (0:30 as 30)."""
    return find(named, mountinfo, lambda path: os.stat_result((0, 0, shows.get(path, 0), 0, 0, 0, 0, 0, 0, 0))).point


ROOT = "24 1 8:1 / / rw - ext4 /dev/vda1 rw"
V1 = "33 32 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


def test_the_first_cgroup2_mount_is_taken(tmp_path: Path) -> None:
    first = "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
    again = "90 24 0:30 /x /mnt/cgroup rw - cgroup2 none rw"
    assert mount(mountinfo(tmp_path, ROOT, first, again), {"/sys/fs/cgroup": 30}) == "/sys/fs/cgroup"


def test_a_mount_that_another_file_system_lies_over_is_passed_over(tmp_path: Path) -> None:
    first = "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
    over = "36 35 0:77 / /sys/fs/cgroup rw - tmpfs tmpfs rw"
    again = "90 24 0:30 / /mnt/cgroup rw - cgroup2 none rw"
    shows = {"/sys/fs/cgroup": 77, "/mnt/cgroup": 30}
    assert mount(mountinfo(tmp_path, ROOT, first, over, again), shows) == "/mnt/cgroup"
    with pytest.raises(NotAvailableError, match=r"over /sys/fs/cgroup\. Unmount it"):
        mount(mountinfo(tmp_path, ROOT, first, over), shows)


def test_a_hybrid_host_has_it_beside_v1(tmp_path: Path) -> None:
    unified = "42 32 0:39 / /sys/fs/cgroup/unified rw shared:9 master:1 - cgroup2 cgroup2 rw"
    shows = {"/sys/fs/cgroup/unified": 39}
    assert mount(mountinfo(tmp_path, ROOT, V1, unified), shows) == "/sys/fs/cgroup/unified"


def test_blanks_and_backslashes_in_the_mount_point_are_read_back(tmp_path: Path) -> None:
    line = r"35 24 0:30 / /mnt/a\040b\011c\134d rw - cgroup2 none rw"
    assert mount(mountinfo(tmp_path, line), {"/mnt/a b\tc\\d": 30}) == "/mnt/a b\tc\\d"


def test_a_mount_point_that_is_not_utf8_is_read_too(tmp_path: Path) -> None:
    place = tmp_path / "mountinfo"
    place.write_bytes(b"24 1 8:1 / /\xff rw - ext4 x rw\n35 24 0:30 / /sys/fs/cgroup rw - cgroup2 none rw\n")
    assert mount(str(place), {"/sys/fs/cgroup": 30}) == "/sys/fs/cgroup"


def test_without_cgroup2_the_remedy_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotAvailableError, match=r"not mounted on this host\. Boot with systemd\."):
        find(None, mountinfo(tmp_path, ROOT, V1))


# Several mounts, as a container sees them that has the host's bound in

HOSTS = "50 24 0:30 /../.. /host/sys/fs/cgroup rw - cgroup2 cgroup2 rw"
OWN = "60 24 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
PART = "70 24 0:31 /sub /mnt/part rw - cgroup2 none rw"
SHOWS = {"/sys/fs/cgroup": 31, "/host/sys/fs/cgroup": 30, "/mnt/part": 31, "/mnt/own": 31}


def test_wrong_mount_is_not_taken_though_it_comes_first(tmp_path: Path) -> None:
    assert mount(mountinfo(tmp_path, ROOT, HOSTS, PART, OWN), SHOWS) == "/sys/fs/cgroup"


def test_of_equal_mounts_the_usual_place_is_taken_else_the_first(tmp_path: Path) -> None:
    again = "80 24 0:31 / /mnt/own rw - cgroup2 none rw"
    assert mount(mountinfo(tmp_path, again, OWN), SHOWS) == "/sys/fs/cgroup"
    assert mount(mountinfo(tmp_path, HOSTS, again), SHOWS) == "/mnt/own"


def test_of_two_mounts_at_one_place_the_upper_one_counts(tmp_path: Path) -> None:
    over = "71 60 0:31 /sub /sys/fs/cgroup rw - cgroup2 none rw"
    with pytest.raises(NotAvailableError, match=r"only: /sys/fs/cgroup \(/sub\)"):
        mount(mountinfo(tmp_path, OWN, over), SHOWS)


def test_only_mounts_of_other_roots_are_refused_and_the_way_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        NotAvailableError, match=r"namespace's root, only: /host/sys/fs/cgroup \(/\.\./\.\.\).*RCTL_MOUNT=PATH"
    ):
        mount(mountinfo(tmp_path, ROOT, HOSTS), SHOWS)


def test_rctl_mount_names_another_mount(tmp_path: Path) -> None:
    info = mountinfo(tmp_path, ROOT, HOSTS, OWN, V1)
    assert mount(info, SHOWS, "/host/sys/fs/cgroup/") == "/host/sys/fs/cgroup"
    for wrong in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/sub", "/", "nowhere"):
        with pytest.raises(UsageError, match=f"^RCTL_MOUNT={wrong}: not a cgroup2 mount"):
            mount(info, SHOWS, wrong)


def test_what_is_mounted_over_a_cgroup_is_known(tmp_path: Path) -> None:
    over = "90 60 0:99 / /sys/fs/cgroup/rctl-web1 rw - tmpfs none rw"
    beside = "91 24 0:99 / /sys/fs/cgroup-2/x rw - tmpfs none rw"
    assert [mount.over for mount in cgroup_mounts("\n".join((ROOT, OWN, over, beside)))] == [("/rctl-web1",)]


@pytest.mark.parametrize(
    ("part", "path", "found"),
    [
        ("/", "/", "/"),
        ("/", "/a/b", "/a/b"),
        ("/", "/../other", None),
        ("/sub", "/sub", "/"),
        ("/sub", "/sub/x", "/x"),
        ("/sub", "/submarine", None),
        ("/sub", "/", None),
        ("/..", "/../other/x", "/other/x"),
        ("/..", "/..", "/"),
        ("/..", "/x", None),
        ("/..", "/../../other", None),
    ],
)
def test_where_a_process_lies_in_a_mount(part: str, path: str, found: str | None) -> None:
    assert inside(part, path) == found
