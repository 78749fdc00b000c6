"""Beside a virtual machine: what is said where there is none, the script that all places run, the machine's archive."""

from __future__ import annotations

import lzma
import stat
from pathlib import Path

import pytest

from rctl.adjust.site import Site
from rctl.adjust.state_folder import State
from rctl.bench.parts import initramfs, virtual
from rctl.bench.parts.virtual import script, station
from rctl.bench.stage.place import WorkError
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.host import Host

WORKS = {"cpu": "true", "disk": "echo written >$1"}


@pytest.fixture(autouse=True)
def _short_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "_WORKS", WORKS)


def test_without_kvm_every_row_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "found", lambda: "/dev/kvm: no such file or directory")
    site = Site(Tree(Cgroup("/", -1)), Host(lambda path: ""), State("/nowhere/run", "/nowhere"))
    figures = virtual.measure(site, "/", rounds=6, tell=lambda text: None)
    assert [figure.name for figure in figures] == [
        "cpu: VE",
        "cpu: virtual machine",
        "disk: VE",
        "disk: virtual machine",
    ]
    assert {(figure.value, figure.verdict) for figure in figures} == {(None, "not measured")}
    assert {figure.origin for figure in figures} == {"not measured here: /dev/kvm: no such file or directory"}


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such/folder")
    assert virtual.found() == "qemu-system-x86_64, busybox, modprobe not installed"


def test_a_place_does_the_work_that_it_is_told_and_says_how_long_it_took(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with station(("sh", "-c", script(disk=str(disk))), None, 20) as place:
        assert place.seconds("cpu") > 0
        assert not disk.exists()
        assert place.seconds("disk") > 0
    assert disk.read_text() == "written\n"


def test_a_place_that_never_is_ready_is_ended() -> None:
    with (
        pytest.raises(WorkError, match=r"sh: ended, or did not answer within 0\.2 s"),
        station(("sh", "-c", "read forever"), None, 0.2),
    ):
        pass


def test_a_place_that_ends_is_an_error_and_no_figure() -> None:
    ends = ("sh", "-c", f"echo {virtual._READY}; read word")
    with station(ends, None, 20) as place, pytest.raises(WorkError, match="sh: ended"):
        place.seconds("cpu")


def entries(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Name to mode and content, as the kernel reads them (newc)."""
    found, at = {}, 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, length = fields[6], fields[11]
        name = archive[at + 110 : at + 109 + length].decode()
        start = at + (110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], archive[start : start + size])
        at = start + (size + 3) // 4 * 4


def test_the_machine_starts_with_busybox_a_script_and_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busybox, module = tmp_path / "busybox", tmp_path / "virtio.ko.xz"
    busybox.write_bytes(b"program")
    module.write_bytes(lzma.compress(b"module"))
    monkeypatch.setattr(initramfs, "modules", lambda root, release: [str(module)])
    found = entries(initramfs.archive("echo up", str(busybox), "/", "6.1"))
    assert found["bin/busybox"] == (stat.S_IFREG | 0o755, b"program")
    assert found["bin/sh"] == (stat.S_IFLNK | 0o777, b"busybox")
    assert found["0.ko"] == (stat.S_IFREG | 0o644, b"module")
    assert found["init"][1] == b"#!/bin/sh\nexport PATH=/bin\necho up"
    assert found["dev"][0] == stat.S_IFDIR | 0o755
