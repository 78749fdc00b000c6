"""Lists of disks as a unit has them: by device node, by another name of it, or by a file on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rctl.cgroupfs import devices
from rctl.errors import UsageError
from rctl.systemd.drop_ins import STORED
from rctl.systemd.unit import Unit
from rctl.systemd.unit_properties import UnitProperties

RATE = "IOReadBandwidthMax"
DISKS = {"/dev/sda": "8:0", "/dev/disk/by-id/wwn-1": "8:0", "/var/lib/mysql": "8:0", "/dev/sdb": "8:16"}


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(path: str) -> str:
        if path not in DISKS:
            raise UsageError(f"{path!r}: No such file or directory")
        return DISKS[path]

    monkeypatch.setattr(devices, "resolve", resolve)
    monkeypatch.setattr(devices, "disk_name", {"8:0": "sda", "8:16": "sdb", "8:32": "sdc"}.get)


def unit(*given: tuple[str, int]) -> UnitProperties:
    drop_ins = {RATE: [(STORED, f"/etc/systemd/system.control/db.service.d/50-{RATE}.conf")]}
    return UnitProperties(Unit("db.service", None), {RATE: list(given)}, drop_ins)


def lists(seen: UnitProperties, **wanted: int | None) -> Sequence[Any]:
    numbers = {"sda": "8:0", "sdb": "8:16", "sdc": "8:32"}
    found = seen.to_set([(numbers[disk], (RATE, value, STORED)) for disk, value in wanted.items()])
    assert {(name, kind) for name, (kind, _) in found} == {(RATE, "a(st)")}
    return [pairs for _, (_, pairs) in found]


@pytest.mark.parametrize("path", ["/dev/sda", "/dev/disk/by-id/wwn-1", "/var/lib/mysql"])
def test_the_limit_of_a_disk_is_seen_and_set_under_the_name_that_it_has(path: str) -> None:
    seen = unit((path, 10), ("/dev/sdb", 20))
    assert seen.entry(RATE, "8:0") == (RATE, 10, STORED)
    assert lists(seen, sda=5) == [[(path, 5)]]


def test_two_names_of_a_disk_get_the_same_limit() -> None:
    assert lists(unit(("/dev/sda", 10), ("/var/lib/mysql", 20)), sda=5) == [[("/dev/sda", 5), ("/var/lib/mysql", 5)]]


def test_a_disk_that_is_not_in_the_list_has_its_usual_name_or_its_number() -> None:
    assert unit(("/gone", 10)).entry(RATE, "8:16") == (RATE, None, "")
    assert lists(unit(("/gone", 10)), sdb=5, sdc=6) == [[("/dev/sdb", 5), ("/dev/block/8:32", 6)]]


def test_a_disk_is_left_out_under_each_of_its_names() -> None:
    seen = unit(("/dev/sda", 10), ("/dev/sdb", 20), ("/var/lib/mysql", 10))
    assert lists(seen, sda=None) == [[], [("/dev/sdb", 20)]]
    assert lists(seen, sda=None, sdb=5) == [[], [("/dev/sdb", 5)]]
