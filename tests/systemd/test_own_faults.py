"""rctl is killed while it makes or removes a VE that is a unit: after recovery all of it is there, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rctl
from rctl.adjust.state_folder import default_state
from tests.systemd.helpers import MOUNT, held, until
from tests.systemd.kills import kills

WEB1 = "/rctl-web1.service"
SPEC = Path("/run/two.toml")
SPEC_TEXT = 'version = 1\n[ve.web1.limits]\nmemory.max = "64M"\npids.max = 9\n[ve.web2]\n'


def left() -> list[str]:
    """The units of VEs, by their files in the manager's folder, and the cgroups of VEs."""
    places = Path("/run/systemd/transient"), MOUNT
    return sorted({str(path) for place in places for path in place.glob("rctl-web*")})


def make() -> None:
    with rctl.session() as session:
        session.apply(str(SPEC))


def run() -> None:
    with rctl.session() as session:
        session.run("web1", ["sleep", "1000"], {"memory.max": "64M", "pids.max": 9}, detach=True)


def remove() -> None:
    with rctl.session() as session:
        session.remove("web*", kill=True)


def undo() -> None:
    with rctl.session() as session:
        session.undo()


def recover() -> None:
    with rctl.session() as session:
        session.recover()
    assert list(Path(default_state().journals).iterdir()) == []


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    assert left() == []
    SPEC.write_text(SPEC_TEXT)
    yield
    if left():
        remove()
    SPEC.unlink()


def check_whole(what: str) -> None:
    """What is there of the VEs is all of it."""
    assert (held(WEB1, "memory.max"), held(WEB1, "pids.max")) == (str(64 << 20), "9"), what
    assert [path for path in left() if path.endswith("web1.service")], what


def check(change: Callable[[], None], before: Callable[[], None], *, family: bool = False) -> None:
    """Kill the change before its calls in turn. Each of its two ends must be seen."""
    ends = {"there": 0, "gone": 0}

    def again() -> None:
        if left():
            remove()
        before()

    before()
    for kill in kills(change, again, recover, family=family):
        ends["there" if left() else "gone"] += 1
        if left():
            check_whole(kill)
            remove()
            assert left() == [], kill
        before()
    assert min(ends.values()) > 0, ends


def nothing() -> None:
    """Nothing is there before."""


def test_making() -> None:
    check(make, nothing)


def test_making_for_a_command() -> None:
    check(run, nothing, family=True)


def test_removing() -> None:
    check(remove, make)


def test_undo_of_a_making() -> None:
    check(undo, make)


def test_a_unit_without_a_cgroup_is_in_nobodys_way() -> None:
    make()
    (MOUNT / "rctl-web1.service").rmdir()
    until(lambda: not (MOUNT / "rctl-web1.service").exists())
    make()
    check_whole("made anew")
