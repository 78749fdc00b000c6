"""From the name of a disk, or of anything on it, to the number that ``io.max`` takes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rctl.cgroupfs.devices import disk_name, lasting_name, resolve
from rctl.errors import KernelError, UsageError


class Machine:
    """A machine that is described, not there: /sys, mounts, and what stat(2) says of paths."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sys = root / "sys"
        self.mountinfo = root / "mountinfo"
        self.paths: dict[str, os.stat_result] = {}
        for folder in ("dev/block", "class/block", "devices", "fs/btrfs"):
            (self.sys / folder).mkdir(parents=True)
        self.mountinfo.write_text("")

    def disk(self, name: str, number: str, *slaves: str) -> Path:
        home = self.sys / "devices" / name
        (home / "slaves").mkdir(parents=True)
        for slave in slaves:
            (home / "slaves" / slave).symlink_to((self.sys / "class/block" / slave).resolve())
        return self._known(home, number)

    def array(self, name: str, number: str, *members: str) -> None:
        (self.disk(name, number, *members) / "md").mkdir()

    def partition(self, disk: str, name: str, number: str) -> Path:
        home = self.sys / "devices" / disk / name
        home.mkdir()
        (home / "partition").write_text("1\n")
        return self._known(home, number)

    def _known(self, home: Path, number: str) -> Path:
        (home / "dev").write_text(f"{number}\n")
        (self.sys / "dev/block" / number).symlink_to(home)
        (self.sys / "class/block" / home.name).symlink_to(home)
        return home

    def btrfs(self, *devices: str) -> None:
        folder = self.sys / "fs/btrfs/0ddba11" / "devices"
        folder.mkdir(parents=True)
        for device in devices:
            (folder / device).symlink_to((self.sys / "class/block" / device).resolve())

    def node(self, path: str, number: str, kind: int = stat.S_IFBLK) -> None:
        self.paths[path] = self._stat(kind | 0o600, "0:5", number)

    def file(self, path: str, number: str) -> None:
        self.paths[path] = self._stat(stat.S_IFREG | 0o644, number, "0:0")

    @staticmethod
    def _stat(mode: int, dev: str, rdev: str) -> os.stat_result:
        st_dev, st_rdev = (os.makedev(*map(int, number.split(":"))) for number in (dev, rdev))
        return os.stat_result((mode, 1, st_dev, 1, 0, 0, 0, 0, 0, 0), {"st_rdev": st_rdev})

    def mount(self, point: str, kind: str, source: str, options: str = "rw") -> None:
        with self.mountinfo.open("a") as file:
            file.write(f"36 35 0:42 / {point} rw,noatime shared:1 - {kind} {source} {options}\n")

    def stat(self, path: str) -> os.stat_result:
        if path not in self.paths:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.paths[path]

    def resolve(self, name: str) -> str:
        return resolve(name, self.sys, self.mountinfo, self.stat)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Two disks; the first one has a partition."""
    made = Machine(tmp_path)
    made.disk("vda", "254:0")
    made.partition("vda", "vda1", "254:1")
    made.disk("vdb", "254:16")
    return made


def refusal(machine: Machine, name: str) -> str:
    with pytest.raises(UsageError) as caught:
        machine.resolve(name)
    return str(caught.value)


def test_a_disk_is_known_by_its_kernel_name(machine: Machine) -> None:
    assert machine.resolve("vdb") == "254:16"


def test_the_name_that_outlives_a_boot_is_that_of_udev(machine: Machine, tmp_path: Path) -> None:
    """The number of a disk may be that of another one after a boot."""
    ids = tmp_path / "by-id"
    ids.mkdir()
    for name, number in (("ata-a", "8:0"), ("wwn-1", "8:0"), ("ata-b", "8:16"), ("ata-b x", "8:32")):
        (ids / name).touch()
        machine.node(str(ids / name), number)
    machine.disk("vdz", "254:99")
    names = [lasting_name(one, machine.sys, str(ids), machine.stat) for one in ("8:0", "8:16", "8:32", "254:99")]
    assert names == [f"{ids}/wwn-1", f"{ids}/ata-b", "8:32", "vdz"], "else the kernel's, else the number"


def test_a_disk_is_known_by_its_number(machine: Machine) -> None:
    assert machine.resolve("254:16") == "254:16"


def test_a_disk_is_known_by_its_device_node(machine: Machine) -> None:
    machine.node("/dev/vdb", "254:16")
    assert machine.resolve("/dev/vdb") == "254:16"


@pytest.mark.parametrize("name", ["vda1", "254:1", "/dev/vda1", "/dev/disk/by-label/root"])
def test_a_partition_stands_for_its_disk(machine: Machine, name: str) -> None:
    machine.node("/dev/vda1", "254:1")
    machine.node("/dev/disk/by-label/root", "254:1")
    assert machine.resolve(name) == "254:0"


def test_a_file_stands_for_the_disk_that_it_lies_on(machine: Machine) -> None:
    machine.file("/srv/data", "254:1")
    assert machine.resolve("/srv/data") == "254:0"


def test_a_relative_path_is_a_path_when_it_has_a_slash(machine: Machine) -> None:
    machine.file("./data", "254:16")
    assert machine.resolve("./data") == "254:16"


def test_lvm_on_dm_crypt_on_a_partition_leads_to_the_disk(machine: Machine) -> None:
    machine.disk("dm-0", "253:0", "vda1")
    machine.disk("dm-1", "253:1", "dm-0")
    machine.node("/dev/mapper/vg-home", "253:1")
    machine.file("/home", "253:1")
    assert {machine.resolve(name) for name in ("/dev/mapper/vg-home", "/home", "dm-1")} == {"254:0"}


@pytest.mark.parametrize("members", [("vdb",), ("vda1", "vdb")], ids=["degraded", "whole"])
def test_an_md_array_is_limited_on_its_own_number_by_name_path_number_and_file(
    machine: Machine, members: tuple[str, ...]
) -> None:
    machine.array("md0", "9:0", *members)
    machine.partition("md0", "md0p1", "259:0")
    machine.node("/dev/md0", "9:0")
    machine.node("/dev/md/data", "9:0")
    machine.file("/srv/data", "9:0")
    machine.file("/home/file", "259:0")
    names = ("md0", "/dev/md0", "/dev/md/data", "9:0", "/srv/data", "md0p1", "259:0", "/home/file")
    assert {machine.resolve(name) for name in names} == {"9:0"}


def test_a_volume_on_an_md_array_leads_to_the_array(machine: Machine) -> None:
    machine.array("md0", "9:0", "vda1", "vdb")
    machine.disk("dm-0", "253:0", "md0")
    machine.file("/srv", "253:0")
    assert machine.resolve("/srv") == "9:0"


def test_a_volume_of_several_disks_is_limited_on_its_own_number(machine: Machine) -> None:
    machine.disk("dm-0", "253:0", "vda1", "vdb")
    machine.disk("dm-1", "253:1", "dm-0")
    machine.file("/srv", "253:1")
    assert {machine.resolve(name) for name in ("dm-0", "dm-1", "/srv")} == {"253:0"}


def test_two_volumes_of_one_disk_are_one_disk(machine: Machine) -> None:
    machine.partition("vda", "vda2", "254:2")
    machine.disk("dm-0", "253:0", "vda1", "vda2")
    assert machine.resolve("dm-0") == "254:0"


def test_a_loop_device_is_a_disk_of_its_own(machine: Machine) -> None:
    machine.disk("loop0", "7:0")
    assert machine.resolve("loop0") == "7:0"


def test_overlay_leads_to_the_disk_of_its_writable_layer(machine: Machine) -> None:
    machine.mount("/", "ext4", "/dev/vda1")
    machine.mount("/ve/web1", "overlay", "overlay", "rw,lowerdir=/t:/b,upperdir=/srv/my\\040disk/upper,workdir=/w")
    machine.file("/ve/web1/etc/passwd", "0:42")
    machine.file("/srv/my disk/upper", "254:16")
    assert machine.resolve("/ve/web1/etc/passwd") == "254:16"


def test_a_read_only_overlay_leads_to_the_disk_of_its_uppermost_layer(machine: Machine) -> None:
    machine.mount("/ve/web1", "overlay", "overlay", "ro,lowerdir=/top:/base")
    machine.file("/ve/web1", "0:42")
    machine.file("/top", "254:16")
    assert machine.resolve("/ve/web1") == "254:16"


def test_an_overlay_that_hides_its_own_layers_is_refused(machine: Machine) -> None:
    machine.mount("/", "overlay", "overlay", "rw,lowerdir=/base,upperdir=/upper,workdir=/work")
    machine.file("/", "0:42")
    machine.file("/upper", "0:42")
    assert "overlay, which shows no disk here" in refusal(machine, "/")


def test_btrfs_leads_to_the_disk_that_it_was_mounted_from(machine: Machine) -> None:
    machine.mount("/pool", "btrfs", "/dev/vda1", "rw,subvol=/")
    machine.node("/dev/vda1", "254:1")
    machine.file("/pool/web1", "0:42")
    assert machine.resolve("/pool/web1") == "254:0"


def test_btrfs_on_several_disks_asks_for_each_of_them(machine: Machine) -> None:
    machine.mount("/pool", "btrfs", "/dev/vda1", "rw,subvol=/")
    machine.node("/dev/vda1", "254:1")
    machine.btrfs("vda1", "vdb")
    machine.file("/pool/web1", "0:42")
    assert refusal(machine, "/pool/web1") == (
        "'/pool/web1': lies on a btrfs of several disks: vda, vdb. Give a limit for each of them"
    )
    assert machine.resolve("/dev/vda1") == "254:0"


def test_btrfs_on_an_array_leads_to_the_array(machine: Machine) -> None:
    machine.array("md0", "9:0", "vda1", "vdb")
    machine.mount("/pool", "btrfs", "/dev/md0", "rw,subvol=/")
    machine.node("/dev/md0", "9:0")
    machine.btrfs("md0")
    machine.file("/pool/web1", "0:42")
    assert machine.resolve("/pool/web1") == "9:0"


@pytest.mark.parametrize("name", ["vdb", "vda1", "/pool/web1"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_running_out_of_open_files_is_said_and_not_taken_for_no_disk(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    machine.file("/pool/web1", "0:42")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(KernelError, match=f"cannot read: {errno.errorcode[number]}: this .* may open no more files"):
        machine.resolve(name)


def test_running_out_of_open_files_hides_no_members(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "")

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(KernelError, match="EMFILE"):
        machine.resolve("vdb")


def test_the_innermost_and_latest_mount_counts(machine: Machine) -> None:
    machine.mount("/", "tmpfs", "none")
    machine.mount("/pool", "nfs", "server:/export")
    machine.mount("/pool", "btrfs", "/dev/vdb")
    machine.mount("/pool2", "tmpfs", "none")
    machine.node("/dev/vdb", "254:16")
    machine.file("/pool/x", "0:42")
    assert machine.resolve("/pool/x") == "254:16"


@pytest.mark.parametrize("kind", ["tmpfs", "9p", "nfs4", "fuse.sshfs", "zfs"])
def test_what_lies_on_no_disk_is_refused_by_the_file_systems_name(machine: Machine, kind: str) -> None:
    machine.mount("/mnt", kind, "host:/share")
    machine.file("/mnt/file", "0:42")
    assert refusal(machine, "/mnt/file").startswith(
        f"'/mnt/file': lies on {kind}, which shows no disk here. Name a disk"
    )


def test_a_path_that_no_mount_explains_is_refused(machine: Machine) -> None:
    machine.file("/x", "0:42")
    assert "unknown file system" in refusal(machine, "/x")


@pytest.mark.parametrize("name", ["vdz", "8:0", "/dev/vdz", "", ".", "..", "vd\na", "/x\0y", "1:2:3", "-1:0", "٣:٠"])
def test_what_is_not_there_is_refused_in_one_line_with_a_remedy(machine: Machine, name: str) -> None:
    message = refusal(machine, name)
    assert message.isprintable()
    assert "lsblk" in message


@pytest.mark.parametrize("name", ["/nosuch", "/dev/stale"])
def test_a_path_is_named_once(machine: Machine, name: str) -> None:
    machine.node("/dev/stale", "8:0")
    assert refusal(machine, name).count(name) == 1


def test_a_character_device_is_refused(machine: Machine) -> None:
    machine.node("/dev/null", "1:3", stat.S_IFCHR)
    assert "character device" in refusal(machine, "/dev/null")


def test_a_node_without_a_device_behind_it_is_refused(machine: Machine) -> None:
    machine.node("/dev/stale", "8:0")
    assert "there is no device 8:0" in refusal(machine, "/dev/stale")


def test_a_number_becomes_a_name_again(machine: Machine) -> None:
    assert disk_name("254:16", machine.sys) == "vdb"


def test_a_name_with_a_slash_is_spelled_as_people_do(machine: Machine) -> None:
    machine.disk("cciss!c0d0", "104:0")
    assert disk_name("104:0", machine.sys) == "cciss/c0d0"


@pytest.mark.parametrize("number", ["8:0", "../../devices", "", "x"])
def test_a_number_without_a_device_stays_a_number(machine: Machine, number: str) -> None:
    assert disk_name(number, machine.sys) == number


@pytest.fixture
def answer(machine: Machine) -> Callable[[str], str]:
    """What a person sees: the number, or why there is none."""

    def say(name: str) -> str:
        try:
            return machine.resolve(name)
        except UsageError as error:
            return str(error)

    return say


@given(name=st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_disk_or_a_usage_error_in_one_line(answer: Callable[[str], str], name: str) -> None:
    assert answer(name).isprintable()
