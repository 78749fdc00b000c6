"""The machine under the kernel tests has what they need. Run them with `make test-kernel`."""

import os
from pathlib import Path

import pytest

CGROUP = Path("/sys/fs/cgroup")

in_lab = pytest.mark.skipif("LAB" not in os.environ, reason="not in the lab: RCTL_TESTS=host")


@pytest.mark.parametrize("controller", ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"])
def test_controller_is_available(controller: str) -> None:
    assert controller in (CGROUP / "cgroup.controllers").read_text().split()


@pytest.mark.parametrize("resource", ["cpu", "io", "memory"])
def test_pressure_is_measured(resource: str) -> None:
    assert Path("/proc/pressure", resource).read_text().startswith("some avg10=")


@in_lab
def test_two_scratch_disks_of_256_mib() -> None:
    disks = [Path(name) for name in os.environ["LAB_DISKS"].split()]
    sizes = [int(Path("/sys/block", disk.name, "size").read_text()) * 512 for disk in disks]
    assert [disk.is_block_device() for disk in disks] == [True, True]
    assert sizes == [256 << 20, 256 << 20]


@in_lab
def test_first_disk_is_mounted_as_ext4_and_writable() -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    mount = Path(os.environ["LAB_MOUNT"])
    assert [os.environ["LAB_DISKS"].split()[0], str(mount), "ext4"] in [line[:3] for line in mounts]
    (mount / "probe").write_text("written")
    (mount / "probe").unlink()


@in_lab
def test_swap_is_on_zram() -> None:
    names = [line.split()[0] for line in Path("/proc/swaps").read_text().splitlines()[1:]]
    assert names == ["/dev/zram0"]


@in_lab
@pytest.mark.parametrize("folder", ["/tmp", "/run", "/var/lib", "."])
def test_folder_is_writable(folder: str) -> None:
    probe = Path(folder, "rctl-probe")
    probe.write_text("written")
    probe.unlink()
