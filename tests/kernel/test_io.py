"""Block I/O: rates that are obeyed, and the many names of one disk."""

import ctypes
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rctl.cgroupfs import devices
from rctl.errors import UsageError
from rctl.formats import nested_keyed
from tests.kernel.helpers import Ve, lacks, refused
from tests.kernel.shell import rctl
from tests.kernel.workload import MIB, disk_user, syncer, until, window

KIB = 1 << 10


def io_stat(ve: Ve, device: str) -> dict[str, int]:
    """Counters of one device; all 0 where the VE has not used it."""
    found = nested_keyed(ve.text("io.stat")).get(device, {})
    return {key: int(found.get(key, 0)) for key in ("rbytes", "wbytes", "rios", "wios")}


@contextmanager
def partition(disk: Path) -> Iterator[Path]:
    """A partition on a disk, for as long as the block lasts, without writing to the disk (BLKPG in blkpg.h)."""
    add, remove, blkpg = 1, 2, 0x1269

    def ask(what: int) -> None:
        part = ctypes.create_string_buffer(struct.pack("qqi64s64s4x", MIB, 16 * MIB, 1, b"", b""))
        fd = os.open(disk, os.O_RDWR)
        try:
            fcntl.ioctl(fd, blkpg, struct.pack("iiiP", what, 0, len(part), ctypes.addressof(part)))
        finally:
            os.close(fd)

    ask(add)
    try:
        yield Path(f"{disk}1")
    finally:
        ask(remove)


@pytest.fixture
def bfq(rawdisk: Path, as_root: None) -> Iterator[None]:
    """A scratch disk served by BFQ, whose file io.bfq.weight comes with the module."""
    scheduler = Path(f"/sys/block/{rawdisk.name}/queue/scheduler")
    before = scheduler.read_text().partition("[")[2].partition("]")[0]
    subprocess.run(["modprobe", "bfq"], check=True, capture_output=True)
    scheduler.write_text("bfq")
    yield
    scheduler.write_text(before)
    subprocess.run(["modprobe", "-r", "bfq"], check=True, capture_output=True)


@pytest.mark.usefixtures("bfq")
def test_weight_is_set_for_bfq_too_by_the_adjustment_that_enables_the_controller(ve: Ve) -> None:
    assert not ve.has("io.weight"), "the controller is not enabled yet"
    assert rctl("set", "web1", "io.weight=200").status == 0
    assert (ve.text("io.weight"), ve.text("io.bfq.weight")) == ("default 200", "default 109")
    assert rctl("get", "web1", "io.weight").out == "200\n"
    assert rctl("undo").status == 0
    assert not ve.has("io.weight"), "the controller went with the limit"


@pytest.mark.parametrize(
    ("limit", "block", "write", "counter"),
    [
        ({"rbps": 2 * MIB}, 64 * KIB, False, "rbytes"),
        ({"wbps": 2 * MIB}, 64 * KIB, True, "wbytes"),
        ({"riops": 60}, 4 * KIB, False, "rios"),
        ({"wiops": 60}, 4 * KIB, True, "wios"),
    ],
)
def test_rate_is_obeyed(ve: Ve, rawdisk: Path, limit: dict[str, int], block: int, write: bool, counter: str) -> None:
    ((key, rate),) = limit.items()
    ve.set({f"io.max.{rawdisk.name}.{key}": rate})
    device = devices.resolve(rawdisk.name)
    assert nested_keyed(ve.text("io.max"))[device][key] == str(rate)
    disk_user(ve.dir, rawdisk, block, write=write)
    until(lambda: io_stat(ve, device)[counter] >= rate / 4, "the first use of the disk")
    before = io_stat(ve, device)[counter]
    seconds = window(2)
    assert (io_stat(ve, device)[counter] - before) / seconds == pytest.approx(rate, rel=0.3)


def test_rate_can_be_lifted_while_the_disk_is_in_use(ve: Ve, rawdisk: Path) -> None:
    device = devices.resolve(rawdisk.name)
    ve.set({"io.max": f"{rawdisk} wbps=1M"})
    disk_user(ve.dir, rawdisk, 64 * KIB, write=True)
    until(lambda: io_stat(ve, device)["wbytes"], "the first write")
    ve.set({"io.max": f"{rawdisk} wbps=max"})
    assert ve.text("io.max") == ""
    before = io_stat(ve, device)["wbytes"]
    seconds = window(0.5)
    assert (io_stat(ve, device)["wbytes"] - before) / seconds > 3e6


@pytest.mark.usefixtures("as_root")
def test_write_back_through_a_file_system_is_held_to_the_rate(ve: Ve, disk: Path) -> None:
    """The folder's name is enough; ext4 charges what fsync writes back to the VE."""
    path = disk / f"rctl-io-{os.getpid()}"
    ve.set({f"io.max.{disk}.wbps": "2MiB/s"} if "." not in str(disk) else {"io.max": f"{disk} wbps=2MiB/s"})
    device = devices.resolve(str(disk))
    try:
        syncer(ve.dir, path)
        until(lambda: io_stat(ve, device)["wbytes"] > 512 * KIB, "the first writes")
        before = io_stat(ve, device)["wbytes"]
        seconds = window(2)
        assert (io_stat(ve, device)["wbytes"] - before) / seconds < 2 * MIB * 1.3
    finally:
        path.unlink()


def test_each_key_keeps_the_others(ve: Ve, rawdisk: Path) -> None:
    ve.set({"io.max": f"{rawdisk} rbps=1M wiops=50"})
    ve.set({"io.max": f"{rawdisk} rbps=2M"})
    entry = nested_keyed(ve.text("io.max"))[devices.resolve(rawdisk.name)]
    assert entry == {"rbps": "2000000", "wbps": "max", "riops": "max", "wiops": "50"}


def test_folder_node_name_number_and_partition_are_one_disk(ve: Ve, rawdisk: Path, disk: Path) -> None:
    info = os.stat(rawdisk).st_rdev
    device = f"{os.major(info)}:{os.minor(info)}"
    with partition(rawdisk) as part:
        names = (rawdisk.name, str(rawdisk), device, str(part), part.name)
        assert {devices.resolve(name) for name in names} == {device}
        ve.set({"io.max": f"{part} rbps=1M"})
        assert ve.text("io.max").startswith(f"{device} rbps=1000000")
    mounted = Path(os.environ["LAB_DISKS"].split()[0])
    assert devices.resolve(str(disk)) == devices.resolve(mounted.name) != device


def test_one_disk_by_two_names_is_refused(ve: Ve, rawdisk: Path) -> None:
    with refused(UsageError, "which is named already", ve):
        ve.set({f"io.max.{rawdisk.name}.rbps": "1M", f"io.max.{rawdisk}.wbps": "1M"})


@pytest.mark.parametrize("name", ["nosuchdisk", "/dev/null", "/proc", "240:77"])
def test_what_is_no_disk_is_used_wrongly(ve: Ve, name: str) -> None:
    with refused(UsageError, name, ve):
        ve.set({"io.max": f"{name} rbps=1M", "pids.max": 10})


def test_weight_is_written_and_read_back(ve: Ve) -> None:
    ve.set({"io.weight": 50})
    assert ve.text("io.weight") == "default 50"
    ve.set({"io.weight": 100})
    assert ve.text("io.weight") == "default 100"


def test_latency_is_protected_where_the_kernel_is_built_for_it_and_refused_with_the_option_elsewhere(
    ve: Ve, rawdisk: Path
) -> None:
    """Debian leaves CONFIG_BLK_CGROUP_IOLATENCY out."""
    wanted = {"io.latency": f"{rawdisk} target=10ms", "io.weight": 50}
    if lacks(ve, "io.latency", wanted):
        found = rctl("set", "web1", f"io.latency={rawdisk.name} target=10ms")
        assert "it came with Linux 4.19, and needs CONFIG_BLK_CGROUP_IOLATENCY" in found.err
        return
    ve.set(wanted)
    assert ve.text("io.latency") == f"{devices.resolve(rawdisk.name)} target=10000"
    assert rctl("reset", "web1", "io.latency").status == 0
    assert ve.text("io.latency") == ""
