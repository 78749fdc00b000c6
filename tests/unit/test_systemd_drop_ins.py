"""A unit's drop-ins: where a property is stored, when they tell its value, and what is removed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from rctl.systemd import drop_ins, unit
from rctl.systemd.drop_ins import RUNTIME, STORED, DropIns, remove
from rctl.systemd.properties import Value
from rctl.systemd.unit import Unit
from rctl.systemd.unit_properties import UnitProperties, overruled

APP = Unit("app.service", None)
HEAD = '# This is a drop-in unit file extension, created via "systemctl set-property"\n[Service]\n'
HELD = {"MemoryMax": 1 << 30, "CPUQuotaPerSecUSec": 500_000, "TasksMax": 40, "IOReadBandwidthMax": []}
"""What the manager has."""


class Manager:
    """A manager that notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get(self, name: str, kind: str, names: Any) -> dict[str, Any]:
        assert (name, kind) == ("app.service", "Service")
        found = {name: HELD[name] for name in names}
        self.asked += found
        return found


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Manager:
    made = Manager()
    monkeypatch.setattr(unit, "_bus", lambda *_: made)
    return made


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    places = ((STORED, "etc"), (RUNTIME, "run"), (RUNTIME, "transient"))
    monkeypatch.setattr(
        drop_ins, "folders", lambda _: [(place, f"{tmp_path}/{name}/app.service.d") for place, name in places]
    )
    return tmp_path


def stored(host: Path, line: str, place: str = "etc") -> None:
    folder = host / place / "app.service.d"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"50-{line.partition('=')[0]}.conf").write_text(f"{HEAD}{line}\n")


def there(host: Path) -> list[str]:
    return sorted(str(path.relative_to(host)) for path in host.rglob("*"))


def test_for_good_comes_before_the_next_boot(host: Path) -> None:
    assert DropIns.of(APP).where("TasksMax") == ""
    stored(host, "TasksMax=1", "run")
    assert DropIns.of(APP).where("TasksMax") == RUNTIME
    stored(host, "TasksMax=1")
    assert DropIns.of(APP).where("TasksMax") == STORED


def test_a_unit_without_a_file_of_its_own_is_transient(host: Path) -> None:
    assert not DropIns.of(APP).transient
    (host / "transient").mkdir()
    (host / "transient" / "app.service").write_text("")
    assert DropIns.of(APP).transient


def test_a_value_that_file_and_drop_in_have_is_not_asked_for(host: Path, manager: Manager) -> None:
    for line in ("MemoryMax=1073741824", "CPUQuota=50%", "TasksMax=infinity"):
        stored(host, line)
    shown = {"MemoryMax": 1 << 30, "CPUQuota": 500_000, "TasksMax": (1 << 64) - 1}
    found = UnitProperties.of(APP, shown, shown)
    assert manager.asked == []
    assert found.entry("MemoryMax", "") == ("MemoryMax", 1 << 30, STORED)
    assert found.entry("TasksMax", "") == ("TasksMax", (1 << 64) - 1, STORED)


@pytest.mark.parametrize(
    ("line", "quota"), [("50%", 500_000), ("50.00%", 500_000), ("33.30%", 333_000), ("0.05%", 500)]
)
def test_a_cpu_limit_in_per_cent_or_in_hundredths_of_one_is_known(
    host: Path, manager: Manager, line: str, quota: int
) -> None:
    stored(host, f"CPUQuota={line}")
    found = UnitProperties.of(APP, ["CPUQuota"], {"CPUQuota": quota})
    assert (manager.asked, found.entry("CPUQuota", "")) == ([], ("CPUQuota", quota, STORED))


@pytest.mark.parametrize(
    ("line", "name", "shown"),
    [
        ("MemoryMax=2147483648", "MemoryMax", 1 << 30),  # somebody wrote to the file, or the manager is to be reloaded
        ("MemoryMax=1G", "MemoryMax", 1 << 30),  # somebody wrote the drop-in
        ("CPUQuota=50%", "CPUQuota", 504_000),  # the drop-in has whole per cent, the manager may have more
        ("CPUQuota=50.00%", "CPUQuota", 500_040),
        ("MemoryMax=1073741824\nMemoryMax=1", "MemoryMax", 1 << 30),
        ("IOReadBandwidthMax=/dev/vdc 1", "IOReadBandwidthMax", None),
    ],
)
def test_any_other_value_is_asked_for(host: Path, manager: Manager, line: str, name: str, shown: int | None) -> None:
    stored(host, line)
    UnitProperties.of(APP, [name], {name: shown})
    assert manager.asked == [{"CPUQuota": "CPUQuotaPerSecUSec"}.get(name, name)]


def test_without_a_drop_in_and_with_two_the_manager_is_asked(host: Path, manager: Manager) -> None:
    UnitProperties.of(APP, ["TasksMax"], {"TasksMax": 40})
    stored(host, "TasksMax=40")
    stored(host, "TasksMax=40", "run")
    UnitProperties.of(APP, ["TasksMax"], {"TasksMax": 40})
    assert manager.asked == ["TasksMax", "TasksMax"]


@pytest.mark.parametrize(
    ("line", "shares"), [("TasksMax=10%", ["TasksMax=10%"]), ("TasksMax=44", []), ("CPUQuota=60%", [])]
)
def test_what_is_stored_as_a_share_of_the_host_is_known(
    host: Path, manager: Manager, line: str, shares: list[str]
) -> None:
    stored(host, line)
    assert UnitProperties.of(APP, ["TasksMax", "CPUQuota"], {"TasksMax": 40, "CPUQuota": 500_000}).shares() == shares


def test_what_is_stored_elsewhere_is_removed_and_the_folder_with_the_last(host: Path) -> None:
    for line in ("TasksMax=1", "MemoryMax=1"):
        stored(host, line)
        stored(host, line, "run")
    remove(APP, {"TasksMax": STORED, "MemoryMax": ""})
    assert there(host) == ["etc", "etc/app.service.d", "etc/app.service.d/50-TasksMax.conf", "run"]


def test_a_transient_unit_has_one_place(host: Path) -> None:
    stored(host, "TasksMax=1", "transient")
    remove(APP, {"TasksMax": STORED})
    assert len(there(host)) == 3
    remove(APP, {"TasksMax": ""})
    assert there(host) == ["transient"]


def test_a_drop_in_of_a_user_that_is_a_fifo_is_not_waited_for(host: Path, manager: Manager) -> None:
    folder = host / "etc" / "app.service.d"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "50-TasksMax.conf")
    UnitProperties.of(APP, ["TasksMax"], {"TasksMax": 40})
    assert manager.asked == ["TasksMax"]


def test_a_fifo_among_the_drop_ins_that_win_is_not_waited_for(host: Path) -> None:
    os.mkfifo(host / "override.conf")
    assert overruled(APP, [str(host / "override.conf")], ["TasksMax"]) == []


def test_a_drop_in_that_is_a_link_may_win(host: Path) -> None:
    (host / "shared").write_text("[Service]\nCPUWeight=1\n TasksMax = 3\n")
    (host / "override.conf").symlink_to(host / "shared")
    assert overruled(APP, [str(host / "override.conf")], ["TasksMax"]) == [(str(host / "override.conf"), "TasksMax")]


@pytest.mark.parametrize("link", ["etc", "etc/app.service.d"])
def test_a_link_of_a_user_to_the_folder_of_somebody_else_is_not_followed(host: Path, link: str) -> None:
    stored(host, "TasksMax=1")
    (host / link).rename(host / "theirs")
    (host / link).symlink_to(host / "theirs")
    remove(Unit("app.service", os.getuid() + 1), {"TasksMax": ""})
    assert len([*(host / "theirs").rglob("*.conf")]) == 1


def test_a_users_own_drop_in_is_removed(host: Path) -> None:
    stored(host, "TasksMax=1")
    remove(Unit("app.service", os.getuid()), {"TasksMax": ""})
    assert there(host) == ["etc"]


def test_of_rctls_own_ve_the_files_tell_what_has_a_drop_in(host: Path, manager: Manager) -> None:
    stored(host, "MemoryMax=5")
    stored(host, "AllowedCPUs=0-1")
    shown: dict[str, Value] = {"MemoryMax": 1 << 20, "AllowedCPUs": "03", "TasksMax": 7}
    found = UnitProperties.of(APP, shown, shown, own=True)
    assert found.entry("MemoryMax", "") == ("MemoryMax", 1 << 20, STORED)
    assert found.entry("AllowedCPUs", "") == ("AllowedCPUs", "03", STORED)
    assert found.entry("TasksMax", "") == ("TasksMax", 40, "")
    assert manager.asked == ["TasksMax"]


STORED_NOW = 2_000_000_000_000_000_000
"""Nanoseconds: when the manager was asked to store."""


def _written(host: Path, place: str, when: int) -> None:
    stored(host, "MemoryMax=1048576", place)
    os.utime(host / place / "app.service.d" / "50-MemoryMax.conf", ns=(when, when))


def _not_stored(value: int = 1 << 20) -> list[str]:
    known = [str(path) for _, folder in drop_ins.folders(APP) for path in Path(folder).glob("*.conf")]
    return drop_ins.not_stored(APP, {"MemoryMax": value}, known, STORED_NOW)


@pytest.mark.parametrize("where", ["etc", "transient"])
def test_what_the_manager_wrote_is_stored(host: Path, where: str) -> None:
    _written(host, where, STORED_NOW)
    assert _not_stored() == []


def test_what_it_wrote_until_the_next_boot_is_not_stored(host: Path) -> None:
    _written(host, "run", STORED_NOW)
    assert _not_stored() == ["MemoryMax"]


def test_nothing_was_stored(host: Path) -> None:
    assert _not_stored() == ["MemoryMax"]


@pytest.mark.parametrize(("value", "missing"), [(1 << 20, []), (1 << 21, ["MemoryMax"])])
def test_an_old_drop_in_counts_if_it_has_the_value(host: Path, value: int, missing: list[str]) -> None:
    """The clock of a file server may be late."""
    _written(host, "etc", 1)
    assert _not_stored(value) == missing
