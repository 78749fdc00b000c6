"""One spec for units, containers and VEs of rctl's own: each through its owner, all of them or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl import session
from rctl.spec import Spec, Ve
from tests.kernel.killer import killed_at
from tests.systemd.dockers import Web
from tests.systemd.helpers import MOUNT, done, drop_ins, held, prop, ran, rctl, reload, told, unit
from tests.systemd.kills import moments

M = 1 << 20
APP = "/system.slice/app.service"


class Place:
    """A unit, a container of docker and one of podman, and a file for a spec."""

    def __init__(self, web: Web, shop: str, file: Path) -> None:
        self.web, self.shop, self.file = web, f"/machine.slice/libpod-{shop}.scope/container", str(file)

    def write(self, **ves: dict[str, str | int]) -> None:
        """A spec: limits by name."""
        lines = ["version = 1"]
        for name, limits in ves.items():
            lines += [f"[ve.{json.dumps(name)}.limits]", *(f"{key} = {json.dumps(to)}" for key, to in limits.items())]
        Path(self.file).write_text("\n".join(lines))

    def limits(self) -> tuple[str, ...]:
        """memory.max of the unit, of docker's container, pids.max of podman's."""
        return held(APP, "memory.max"), held(self.web.path, "memory.max"), held(self.shop, "pids.max")


ALL: dict[str, dict[str, str | int]] = {
    "new": {"pids.max": 7},
    "app.service": {"memory.max": "64M"},
    "docker:web": {"memory.max": "128M"},
    "podman:shop": {"pids.max": 99},
}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Web, str]]:
    web = Web()
    shop = done("podman", "run", "-d", "--name", "shop", "--network", "none", "box", "sleep", "1000").strip()
    yield web, shop
    web.remove()
    done("podman", "rm", "-f", "-t", "0", "shop")


@pytest.fixture
def place(running: tuple[Web, str], tmp_path: Path) -> Iterator[Place]:
    with unit("app.service"):
        yield Place(*running, tmp_path / "site.toml")
    for name in ("own", "new"):
        ran("rm", "--kill", name)


def test_each_is_changed_through_its_owner_and_undone_as_one(place: Place) -> None:
    before = place.limits()
    place.write(**ALL)
    plan = rctl("diff", place.file).splitlines()
    assert {"+ new", "~ new: pids.max: max -> 7"} < set(plan)
    assert "~ app.service: memory.max: max -> 64M, through systemd" in plan
    assert "~ docker:web: memory.max: max -> 128M, through docker" in plan
    assert place.limits() == before
    assert rctl("diff", place.file, "--exit-code", status=1) == ""
    rctl("apply", place.file)
    assert place.limits() == (str(64 * M), str(128 * M), "99")
    assert held("/rctl-new.service", "pids.max") == "7"
    assert place.web.stored("Memory") == 128 * M
    reload()
    assert rctl("diff", place.file, "--exit-code") == ""
    assert "unchanged" in rctl("apply", place.file)
    rctl("undo")
    assert place.limits() == before
    assert not (MOUNT / "rctl-new.service").exists()
    assert drop_ins("app.service") == []


@pytest.mark.parametrize(
    ("name", "limits", "said"),
    [
        ("gone.service", {"pids.max": 5}, "gone.service: no unit that runs has this name"),
        ("docker:gone", {"pids.max": 5}, "docker:gone: no container that runs has this name"),
        ("/system.slice/gone.service", {"pids.max": 5}, "/system.slice/gone.service: there is no such cgroup"),
        ("docker:web", {"memory.max": "128M", "memory.oom.group": 1}, "OOMPolicy="),
        ("unit:app", {"pids.max": 5}, "unit:app: is the same VE as app.service. Name it once"),
    ],
)
def test_one_that_cannot_be_changed_leaves_all_as_they_were(
    place: Place, name: str, limits: dict[str, str | int], said: str
) -> None:
    before = place.limits()
    place.write(**{**ALL, name: limits})
    for words in (("apply",), ("apply", "--dry-run"), ("diff",), ("apply", "--batch", "100%")):
        found = ran(*words[:1], place.file, *words[1:])
        assert found.status != 0
        assert said in found.err + found.out
    assert place.limits() == before
    assert not (MOUNT / "rctl-new.service").exists()
    assert drop_ins("app.service") == []


def test_a_kernel_that_refuses_the_last_one_puts_the_others_back(place: Place) -> None:
    """Processes in a cgroup hold its memory, so its limit cannot go below that in time."""
    before = place.limits()
    held_memory = int(held(place.web.path, "memory.current"))
    place.write(**{**ALL, "docker:web": {"memory.max": 4096}})
    assert held_memory > 4096
    found = ran("apply", place.file, "--deadline", "1s")
    assert found.status == 1, found.out
    assert place.limits() == before
    assert not (MOUNT / "rctl-new.service").exists()


def test_a_kill_at_any_moment_leaves_all_old_or_all_new(place: Place) -> None:
    place.write(**ALL)

    def apply() -> None:
        with session() as s:
            s.apply(place.file)

    def undo() -> None:
        with session() as s:
            s.undo()

    def now() -> tuple[object, ...]:
        return (
            *place.limits(),
            (MOUNT / "rctl-new.service").exists(),
            drop_ins("app.service"),
            place.web.stored("Memory"),
        )

    apply()
    new = now()
    undo()
    old = now()  # docker stores another form of no limit after the first undo
    ends = {"old": 0, "new": 0}
    for at in moments(apply, undo):
        ended = killed_at(at, apply)
        rctl("recover")
        assert now() in (old, new), (at, ended.calls[-1])
        ends["new" if now() == new else "old"] += 1
        if now() == new:
            undo()
    assert min(ends.values()) > 0, ends


def test_prune_leaves_what_rctl_did_not_make(place: Place) -> None:
    rctl("run", "own", "--", "true")
    place.write(**ALL)
    rctl("apply", place.file, "--prune")
    assert not (MOUNT / "rctl-own.service").exists()
    assert place.limits() == (str(64 * M), str(128 * M), "99")
    rctl("undo")


def test_until_the_next_boot_systemd_stores_nothing_for_good(place: Place) -> None:
    place.write(**{"app.service": {"memory.max": "64M"}})
    rctl("apply", place.file, "--runtime")
    assert drop_ins("app.service") == ["run MemoryMax"]
    rctl("undo")


def test_batches_reach_units_and_containers(place: Place) -> None:
    before = place.limits()
    place.write(**ALL)
    rctl("apply", place.file, "--batch", "1", "--check", "true")
    assert place.limits() == (str(64 * M), str(128 * M), "99")
    assert rctl("diff", place.file, "--exit-code") == ""
    rctl("undo")
    assert place.limits() == before


def test_drift_knows_what_a_spec_asked_for(place: Place) -> None:
    place.write(**{"app.service": {"memory.max": "64M"}})
    rctl("apply", place.file)
    assert rctl("drift", "app.service") == ""
    done("systemctl", "set-property", "app.service", "MemoryMax=32M")
    assert "memory.max" in ran("drift", "app.service").out
    rctl("apply", place.file)
    assert prop("app.service", "MemoryMax") == str(64 * M)
    rctl("forget", "app.service")


def test_what_is_exported_changes_nothing_when_it_is_applied(place: Place) -> None:
    rctl("run", "own", "--memory", "300M", "--", "true")
    place.write(**{**ALL, "user:alice": {"memory.high": "1G"}})
    rctl("apply", place.file)
    names = ("own", "new", "app.service", place.web.path, "podman:shop", "user:alice")
    text = rctl("export", *names)
    tables = [line for line in text.splitlines() if line.startswith("[")]
    kinds = ("own", "new", '"unit:app.service"', '"docker:web"', '"podman:shop"', '"user:alice"')
    assert tables == [f"[ve.{name}.limits]" for name in kinds]
    assert "pids.max = 99" in text
    assert text.count("pids.max") == 2, "the default of systemd is no limit that anybody set"
    Path(place.file).write_text(text)
    assert rctl("diff", place.file, "--exit-code") == ""
    rctl("apply", place.file)
    assert drop_ins("app.service") == ["etc MemoryMax"]
    rctl("undo")


def test_limits_that_podman_gives_a_container_are_no_change(place: Place) -> None:
    Path(place.file).write_text(rctl("export", "podman:shop", "docker:web"))
    assert rctl("diff", place.file, "--exit-code") == ""


def test_what_a_unit_has_by_itself_is_left_out_and_said(place: Place) -> None:
    with unit("lim.service", "MemoryMax=200M"):
        assert "lim.service: left out, because its owner sets it anyway: memory.max" in told("export", "lim.service")
        done("systemctl", "set-property", "lim.service", "CPUQuota=50%")
        text = rctl("export", "lim.service")
        assert text == 'version = 1\n\n[ve."unit:lim.service".limits]\ncpu.max = 0.5\n'


def test_python_takes_the_same_names(place: Place) -> None:
    with session() as s:
        spec = Spec({"app.service": Ve(s.typed({"memory.max": "64M"})), "new": Ve(s.typed({"pids.max": 7}))})
        assert s.diff(spec).made == ("new",)
        assert s.apply(spec).made == ("new",)
        assert held(APP, "memory.max") == str(64 * M)
        assert s.apply(spec).account.id is None
        s.undo()
    assert held(APP, "memory.max") == "max"
