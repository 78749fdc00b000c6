"""``rctl keep``: what it does when the kernel reports something. The reports are given; the real ones: tests/kernel."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import rctl
from rctl.adjust.records.record_format import Record, encode, version_of
from rctl.adjust.request import Options
from rctl.adjust.steps import Set
from rctl.cgroupfs.watch import DirectoryChange
from rctl.over_time import keeping
from rctl.over_time.keeping import Keeper, KeepEvent
from tests.unit.fake_calls import Operation
from tests.unit.shell import Shell


class Reports:
    """In the place of the kernel's watches. ``lost``: the queue has overflowed."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.waiting: list[DirectoryChange] = []
        self.lost = False

    def add(self, directory: int) -> int:
        self.names.append("")
        return len(self.names)

    def changes(self) -> Iterator[DirectoryChange]:
        if self.lost:
            self.lost = False
            raise keeping.LostError
        while self.waiting:
            yield self.waiting.pop(0)

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        pass


SCOPE, NEXT = (f"/machine.slice/libpod-{digit * 64}.scope" for digit in "ab")


class Kept:
    """A keeper, its reports, and what it told."""

    def __init__(self, keeper: Keeper, reports: Reports, told: list[KeepEvent]) -> None:
        self.keeper, self.reports, self.told = keeper, reports, told

    def made(self, path: str) -> None:
        """The kernel reports a new cgroup, and the keeper looks."""
        above, _, name = path.rpartition("/")
        self.reports.waiting.append(DirectoryChange(self.keeper._watched._by_path[above], name, True))
        self.keeper.step()

    def texts(self, what: str) -> list[str]:
        return [event.text for event in self.told if event.what == what]


@pytest.fixture
def names() -> dict[str, str]:
    """The names of containers, by path."""
    return {}


@pytest.fixture
def kept(
    shell: Shell, clock: Callable[[float], None], names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Kept]:
    """A keeper of web1, which has a limit of pids, and of a container whose runtime sets the limits in an inner cgroup.

    The files of the container's manager are not there: its names are given.
    """
    assert shell.run("set", "web1", "pids.max=50")[0] == 0
    shell.kernel.make("/machine.slice", enable=False)
    pids = (Set(f"{SCOPE}/container", "pids.max", "max", "9"),)
    record = Record(
        "20260101-000000-000-00000000", 1.0, shell.kernel.host.boot_id, "rctl set", {f"{SCOPE}/container": 7}, pids,
        version=version_of(pids, lasting=True), names={f"{SCOPE}/container": "podman:web"},
    )  # fmt: skip
    with Path(shell.state, "history.jsonl").open("ab") as history:
        history.write(encode(record) + b"\n")
    reports, told = Reports(), list[KeepEvent]()
    monkeypatch.setattr(keeping, "Watch", lambda: reports)
    with rctl.session(command="rctl keep") as s:
        site = msgspec.structs.replace(s.site, named=lambda path: names.get(path, ""))
        keeper = Keeper(site, Options(command="rctl keep"), enforce=False, tell=told.append)
        keeper.step()
        yield Kept(keeper, reports, told)
        keeper.close()


def made_anew(shell: Shell, name: str = "web1") -> None:
    shell.kernel.remove(f"/rctl-{name}")
    shell.kernel.make(f"/rctl-{name}")


def test_what_cannot_be_put_back_is_told_once_and_tried_again(
    shell: Shell, kept: Kept, clock: Callable[[float], None]
) -> None:
    def refused(operation: Operation) -> int | None:
        return errno.EBUSY if (operation.kind, operation.file) == ("write", "pids.max") else None

    made_anew(shell)
    shell.kernel.broken = refused
    kept.reports.lost = True
    kept.keeper.step()
    assert len(kept.texts("failed")) == 1
    assert kept.texts("failed")[0].startswith("web1: cannot get all its limits back: ")
    clock(31)
    kept.keeper.step()
    assert len(kept.texts("failed")) == 1
    shell.kernel.broken = lambda _: None
    clock(31)
    kept.keeper.step()
    assert shell.kernel.get("/rctl-web1", "pids.max") == "50"
    assert len(kept.texts("restored")) == 1


def test_a_limit_that_cannot_come_back_does_not_keep_the_others_away(shell: Shell, kept: Kept) -> None:
    assert shell.run("set", "web1", "memory.max=1G")[0] == 0
    made_anew(shell)
    shell.kernel.broken = lambda operation: (
        errno.EBUSY if (operation.kind, operation.file) == ("write", "pids.max") else None
    )
    kept.reports.lost = True
    kept.keeper.step()
    assert shell.kernel.get("/rctl-web1", "memory.max") == str(1 << 30)
    assert [text.partition(" anew")[0] for text in kept.texts("restored")] == ["web1: was made"]
    assert len(kept.texts("failed")) == 1


def test_a_container_made_anew_is_found_by_its_inner_cgroup(
    shell: Shell, kept: Kept, clock: Callable[[float], None], names: dict[str, str]
) -> None:
    """The kernel reports the scope alone: nobody watches it yet."""
    shell.kernel.make(f"{NEXT}/container", enable=False)
    names[f"{NEXT}/container"] = "podman:web"
    kept.made(NEXT)
    clock(1)
    kept.keeper.step()
    assert shell.kernel.get(f"{NEXT}/container", "pids.max") == "9"


def test_an_inner_cgroup_that_comes_later_is_found_too(
    shell: Shell, kept: Kept, clock: Callable[[float], None], names: dict[str, str]
) -> None:
    """Until then the scope has the container's name."""
    shell.kernel.make(NEXT, enable=False)
    names[NEXT] = "podman:web"
    kept.made(NEXT)
    clock(1)
    kept.keeper.step()
    shell.kernel.make(f"{NEXT}/container", enable=False)
    names[f"{NEXT}/container"] = names.pop(NEXT)
    kept.made(f"{NEXT}/container")
    clock(1)
    kept.keeper.step()
    assert shell.kernel.get(f"{NEXT}/container", "pids.max") == "9"


def test_after_lost_reports_a_cgroup_that_was_made_anew_is_watched(shell: Shell, kept: Kept) -> None:
    before = kept.keeper._watched._by_path["/rctl-web1"]
    made_anew(shell)
    kept.reports.lost = True
    kept.keeper.step()
    assert kept.keeper._watched._by_path["/rctl-web1"] != before
    kept.reports.waiting.append(DirectoryChange(before, "pids.max", False))
    kept.keeper.step()
    assert kept.keeper._looks == {}, "nothing is told by a watch of the cgroup that was removed"
