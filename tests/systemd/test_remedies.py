"""What messages advise is done here as it stands, and then works. Other advice: in the tests of its subject."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.helpers import MOUNT, data, done, edited, held, rctl, unit

DELEGATED = """/bin/sh -c '\\
  cd /sys/fs/cgroup/system.slice/ours.service && mkdir own ves && echo $$$$ > own/cgroup.procs && \\
  systemd-notify --ready && exec sleep infinity'"""
"""A program of a unit with Delegate=yes: it leaves the unit's cgroup for one below it, and makes another for VEs."""


@pytest.fixture
def app() -> Iterator[str]:
    with unit("app.service") as path:
        yield path


def advised(said: str, words: str) -> list[str]:
    """The command that a message advises, from these words on."""
    found = re.search(rf"{re.escape(words)}[^.;,\n]*(\.\w+[^.;,\n]*)*", said)
    assert found, said
    return found[0].split()


def test_a_limit_that_systemd_sets_at_the_start_is_set_with_systemctl_edit(app: str) -> None:
    said = rctl("set", "app.service", "memory.oom.group=1", status=1)
    assert "Set OOMPolicy= in the unit's file: systemctl edit app.service" in said
    with edited("app.service", "[Service]\nOOMPolicy=kill\n"):
        done("systemctl", "restart", "app.service")
        assert held(app, "memory.oom.group") == "1"
        assert data("set", "app.service", "memory.oom.group=1")["id"] is None
        rctl("set", "app.service", "memory.swap.high=50M")

    # It is desired now, and cannot come back through rctl. Other limits still do.
    done("systemctl", "restart", "app.service")
    assert "app.service: cannot get all its limits back: memory.oom.group: " in rctl("restore", status=1)
    assert held(app, "memory.swap.high") == str(50 << 20)


def test_a_ve_below_a_unit_with_delegate_has_what_systemd_sets_on_units(monkeypatch: pytest.MonkeyPatch) -> None:
    rctl("run", "web1", "--", "true")
    try:
        said = rctl("set", "web1", "memory.oom.group=1", status=1)
    finally:
        rctl("rm", "web1")
    assert "set RCTL_TREE to a cgroup below a unit with Delegate=yes" in said
    with unit("ours.service", "Type=notify", "NotifyAccess=all", "Delegate=yes", command=DELEGATED) as ours:
        monkeypatch.setenv("RCTL_TREE", f"{ours}/ves")
        rctl("run", "web1", "--memory", "64M", "--", "true")
        rctl("set", "web1", "memory.oom.group=1")
        done("systemctl", "daemon-reload")
        assert held(f"{ours}/ves/web1", "memory.oom.group") == "1"
        assert held(f"{ours}/ves/web1", "memory.max") == str(64 << 20)
        rctl("rm", "web1")


def test_without_rctl_tree_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCTL_TREE", "/system.slice")
    assert "Unset RCTL_TREE" in rctl("run", "web1", "--", "true", status=1)
    monkeypatch.delenv("RCTL_TREE")
    rctl("run", "--rm", "web1", "--", "true")


def test_a_units_processes_are_ended_with_systemctl(app: str) -> None:
    said = rctl("rm", "unit:app.service", status=2)
    done(*advised(said, "systemctl stop"))
    assert not (MOUNT / app[1:]).exists()


def test_a_container_is_removed_with_docker() -> None:
    done("docker", "run", "-d", "--name", "web", "--network", "none", "box", "sleep", "1000")
    try:
        done(*advised(rctl("rm", "docker:web", status=2), "docker rm"))
        assert done("docker", "ps", "-aq") == ""
    finally:
        done("sh", "-c", "docker rm -f web || true")


def test_weights_of_a_disk_count_after_what_doctor_advises() -> None:
    def disk() -> dict[str, str]:
        (check,) = [one for one in data("doctor") if one["name"] == "disk vdc"]
        return dict(check)

    advice = 'echo "MAJOR:MINOR enable=1" > io.cost.qos in the cgroup2 root'
    assert advice in disk()["remedy"] or disk()["remedy"] == "same remedy as above"
    number = f"{os.major(os.stat('/dev/vdc').st_rdev)}:{os.minor(os.stat('/dev/vdc').st_rdev)}"
    qos = Path(MOUNT, "io.cost.qos")
    qos.write_text(f"{number} enable=1")
    try:
        assert disk()["state"] == "ok"
    finally:
        qos.write_text(f"{number} enable=0")


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_stopped_container_is_started_with_the_command_that_is_named(engine: str) -> None:
    done(engine, "create", "--name", "off", "--network", "none", "box", "sleep", "1000")
    try:
        for name in ("off", f"{engine}:off"):
            said = rctl("set", name, "pids.max=50", status=1)
        done(*advised(said, f"{engine} start"))
        rctl("set", f"{engine}:off", "pids.max=50")
    finally:
        done(engine, "rm", "-f", *(["-t", "0"] if engine == "podman" else []), "off")
