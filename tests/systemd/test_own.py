"""rctl's own VEs on a host that systemd runs: each is a unit, and nothing has to be prepared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.helpers import MOUNT, data, done, held, prop, rctl, reload, until

WEB1 = "/rctl-web1.service"
TRANSIENT = Path("/run/systemd/transient")


def there(path: str = WEB1) -> bool:
    return (MOUNT / path.strip("/")).is_dir()


def loaded(unit: str = "rctl-web1.service") -> bool:
    return prop(unit, "LoadState") == "loaded"


def left() -> list[str]:
    """What is left of VEs: units, their files, cgroups."""
    units = done("systemctl", "list-units", "--all", "--plain", "--no-legend", "rctl-*").split()[::5]
    return [*units, *(path.name for place in (TRANSIENT, MOUNT) for path in place.glob("rctl-*"))]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    assert left() == []
    yield
    names = [one["name"] for one in data("ls")]
    if names:
        rctl("rm", "--kill", *names)
    assert left() == []


@pytest.fixture
def web1() -> str:
    rctl("run", "--detach", "web1", "--memory", "256M", "--", "sleep", "1000")
    return WEB1


def test_a_ve_is_made_found_set_and_removed(web1: str) -> None:
    assert [(one["name"], one["state"]) for one in data("ls")] == [("web1", "running")]
    assert held(web1, "memory.max") == str(256 << 20)
    rctl("set", "web1", "memory.max=100M")
    reload()
    assert held(web1, "memory.max") == str(100 << 20)
    rctl("rm", "--kill", "web1")
    assert (there(), loaded(), data("ls")) == (False, False, [])


@pytest.mark.parametrize("again", ["daemon-reload", "daemon-reexec"])
def test_ves_with_and_without_processes_outlive_a_reload(web1: str, again: str) -> None:
    rctl("run", "empty", "--cpus", "0.5", "--pids", "50", "--", "true")
    until(lambda: data("ls", "empty")[0]["state"] == "empty")
    done("systemctl", again)
    assert [one["name"] for one in data("ls")] == ["empty", "web1"]
    assert (held("/rctl-empty.service", "cpu.max"), held("/rctl-empty.service", "pids.max")) == ("50000 100000", "50")
    assert held(web1, "memory.max") == str(256 << 20)


def test_isolate_leaves_it(web1: str) -> None:
    done("systemctl", "isolate", "multi-user.target")
    assert data("ls")[0]["state"] == "running"


def test_stopping_its_unit_ends_that_ve_alone(web1: str) -> None:
    rctl("run", "--detach", "web2", "--", "sleep", "1000")
    done("systemctl", "stop", "rctl-web1.service")
    assert [(one["name"], one["state"]) for one in data("ls")] == [("web2", "running")]


def test_any_name_works(tmp_path: Path) -> None:
    names = sorted(["a@b+c", "e.f_g-h", "x.service", "n" * 64])
    spec = tmp_path / "ves.toml"
    spec.write_text("version = 1\n" + "".join(f'[ve."{name}"]\nmemory.max = "64M"\n' for name in names))
    rctl("apply", str(spec))
    assert [one["name"] for one in data("ls")] == names
    rctl("set", *names, "memory.max=65M")
    rctl("rm", *names)


def test_a_name_of_another_unit_is_refused() -> None:
    other = Path("/run/systemd/system/rctl-other.service")
    other.parent.mkdir(exist_ok=True)
    other.write_text("[Service]\nExecStart=/bin/true\n")
    try:
        said = rctl("run", "other", "--", "true", status=1)
    finally:
        other.unlink()
        reload()
    assert said == (f"rctl: rctl-other.service: is another unit of systemd ({other}). Choose another name for the VE\n")
