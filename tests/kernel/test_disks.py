"""Disks made of several: arrays, volumes, btrfs. A VE is held to the rate on the device that rctl finds."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rctl.cgroupfs import devices
from rctl.cgroupfs.files import this_host
from rctl.errors import UsageError
from rctl.formats import nested_keyed
from tests.kernel.helpers import Ve, refused
from tests.kernel.test_io import io_stat
from tests.kernel.workload import MIB, disk_user, syncer, until, window

KIB = 1 << 10
SIZE = 128 * MIB
RATE = 2 * MIB
NO_UDEV = {"DM_DISABLE_UDEV": "1"}
"""dmsetup(8) makes the node itself then, and does not wait for udev, which the lab does without."""

pytestmark = pytest.mark.usefixtures("as_root")


def run(*command: str | Path) -> str:
    """What a program prints; it must succeed."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=os.environ | NO_UDEV)
    return done.stdout.strip()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[list[Path]]:
    """Two disks: loop devices on sparse files."""
    run("modprobe", "loop")
    with ExitStack() as stack:
        found = []
        for name in ("a", "b"):
            with (tmp_path / name).open("wb") as file:
                file.truncate(SIZE)
            found.append(Path(run("losetup", "--find", "--show", tmp_path / name)))
            stack.callback(run, "losetup", "--detach", found[-1])
        yield found


@contextmanager
def array(level: str, members: list[Path]) -> Iterator[Path]:
    """An md array without a superblock (https://docs.kernel.org/admin-guide/md.html), stopped at the end."""
    run("modprobe", "-a", "md-mod", "raid456" if level == "raid5" else level)
    Path("/sys/module/md_mod/parameters/new_array").write_text("md77")
    md = Path("/sys/block/md77/md")
    facts = {"level": level, "metadata_version": "none", "raid_disks": len(members), "chunk_size": 64 * KIB}
    for name, value in facts.items():
        (md / name).write_text(str(value))
    for slot, member in enumerate(members):
        (md / "new_dev").write_text(devices.resolve(str(member)))
        (md / f"dev-{member.name}" / "size").write_text(str((SIZE - MIB) // KIB))
        (md / f"dev-{member.name}" / "slot").write_text(str(slot))
    (md / "component_size").write_text(str((SIZE - MIB) // KIB))
    (md / "array_state").write_text("active")
    try:
        until(Path("/dev/md77").is_block_device, "the array's node")
        yield Path("/dev/md77")
    finally:
        until(lambda: _stopped(md), "the end of the array")


def _stopped(md: Path) -> bool:
    try:
        (md / "array_state").write_text("clear")
    except FileNotFoundError:
        return True
    except OSError:  # a writer's last blocks are under way
        return False
    return not md.exists()


@contextmanager
def volume(members: list[Path]) -> Iterator[Path]:
    """A volume that begins on one disk and goes on on the next, as LVM makes them (dmsetup(8))."""
    half = 16 * MIB // 512
    table = "\n".join(f"{i * half} {half} linear {member} 0" for i, member in enumerate(members))
    run("modprobe", "dm-mod")
    run("dmsetup", "create", "rctl-test", "--table", table)
    try:
        yield Path("/dev/mapper/rctl-test")
    finally:
        run("dmsetup", "remove", "--retry", "rctl-test")


@contextmanager
def mounted(device: Path, point: Path) -> Iterator[Path]:
    """A file system, for as long as the block lasts."""
    point.mkdir(exist_ok=True)
    run("mount", device, point)
    try:
        yield point
    finally:
        run("umount", point)


def obeyed(ve: Ve, device: Path, number: str) -> bool:
    """Whether what the VE writes to a device stays at the rate, as counted on a number; a busy host may slow it."""
    worker = disk_user(ve.dir, device, 64 * KIB, write=True)
    until(lambda: io_stat(ve, number)["wbytes"] >= RATE / 4, "the first writes")
    before = io_stat(ve, number)["wbytes"]
    seconds = window(1.5)
    rate = (io_stat(ve, number)["wbytes"] - before) / seconds
    worker.kill()
    return RATE / 4 < rate < RATE * 1.3


@pytest.mark.parametrize("level", ["raid1", "raid5"])
def test_md_array_by_path_name_and_file_is_held_to_the_rate_on_its_own_number(
    ve: Ve, pair: list[Path], tmp_path: Path, level: str
) -> None:
    with array(level, pair) as md:
        run("mkfs.ext4", "-q", "-F", md)
        with mounted(md, tmp_path / "mnt") as point:
            (point / "file").touch()
            names = (md.name, str(md), str(point / "file"), "9:77")
            assert {devices.resolve(name) for name in names} == {"9:77"}
            ve.set({"io.max": f"{point}/file wbps={RATE}"})
        assert nested_keyed(ve.text("io.max")).keys() == {"9:77"}
        assert obeyed(ve, md, "9:77")
        said = ve.set({"io.max": f"{pair[1]} wbps={RATE}"}).notes
        words = f"no limit for writes to {md.name}" if level == "raid5" else f"of the members of {md.name} (raid1)"
        assert [words in line for line in said] == [True]
        host = this_host()
        assert [host.queues(devices.resolve(str(one))) for one in (md, *pair)] == [False, True, True]
        assert host.arrays == {disk.name: (md.name, level) for disk in pair}


def test_volume_of_several_disks_is_held_to_the_rate_on_its_own_number(ve: Ve, pair: list[Path]) -> None:
    with volume(pair) as device:
        info = os.stat(device).st_rdev
        number = f"{os.major(info)}:{os.minor(info)}"
        ve.set({"io.max": f"{device} wbps={RATE}"})
        assert not this_host().queues(number)
        assert nested_keyed(ve.text("io.max")).keys() == {number}
        assert obeyed(ve, device, number)


def test_btrfs_on_several_disks_names_them_and_holds_the_limit_of_each(
    ve: Ve, pair: list[Path], tmp_path: Path
) -> None:
    run("modprobe", "btrfs")
    run("mkfs.btrfs", "-q", "-f", "-d", "raid0", "-m", "raid0", *pair)
    with mounted(pair[0], tmp_path / "mnt") as point:
        names = ", ".join(disk.name for disk in pair)
        with refused(UsageError, f"lies on a btrfs of several disks: {names}. Give a limit for each", ve):
            ve.set({"io.max": f"{point} wbps={RATE}"})
        ve.set({f"io.max.{disk.name}.wbps": RATE for disk in pair})
        numbers = [devices.resolve(str(disk)) for disk in pair]
        worker = syncer(ve.dir, point / "file")
        until(lambda: all(io_stat(ve, number)["wbytes"] for number in numbers), "writes on both disks")
        before = [io_stat(ve, number)["wbytes"] for number in numbers]
        seconds = window(2)
        rates = [(io_stat(ve, n)["wbytes"] - b) / seconds for n, b in zip(numbers, before, strict=True)]
        worker.kill()
    assert all(rate < RATE * 1.3 for rate in rates)


def test_btrfs_on_one_disk_is_found_by_a_file_on_it(ve: Ve, pair: list[Path], tmp_path: Path) -> None:
    run("modprobe", "btrfs")
    run("mkfs.btrfs", "-q", "-f", pair[0])
    with mounted(pair[0], tmp_path / "mnt") as point:
        assert os.major(os.stat(point).st_dev) == 0, "btrfs shows a number that is no disk's"
        ve.set({"io.max": f"{point} wbps={RATE}"})
        number = devices.resolve(str(pair[0]))
        assert nested_keyed(ve.text("io.max")).keys() == {number}
        assert obeyed(ve, point / "file", number)
