"""`rctl bench virtual` boots a real machine: under QEMU's emulation here, so that no KVM is needed to see it work."""

from pathlib import Path
from shutil import which

import pytest

from rctl.bench.parts import virtual
from rctl.bench.parts.virtual import Hardware, guest
from tests.lab.base import search_path
from tests.lab.kernel import choose, prepare


def test_a_virtual_machine_boots_and_does_the_work_that_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual, "_WORKS", {"cpu": "true", "disk": "echo written >$1"})
    kernel = prepare(choose())
    qemu, busybox = (which(name, path=search_path()) for name in ("qemu-system-x86_64", "busybox"))
    assert qemu
    assert busybox
    hardware = Hardware(qemu, busybox, str(kernel.image), kernel.release, "tcg", str(kernel.root))
    with guest(hardware, str(tmp_path), patience=120) as machine:
        assert machine.seconds("cpu") > 0
        assert machine.seconds("disk") > 0
