"""Limits that last, where systemd ends processes with their unit, and containers start again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.systemd.helpers import AS_ALICE, MOUNT, data, done, drop_ins, held, prop, ran, rctl, reload, unit, until


@pytest.fixture
def app() -> Iterator[str]:
    with unit("app.service") as path:
        yield path
    ran("forget", "app.service")


def scopes(*options: str) -> str:
    """The scopes of processes that wait for the end of a timer."""
    return done("systemctl", *options, "list-units", "--plain", "--no-legend", "rctl-timers-*.scope")


def test_a_timer_outlives_the_unit_that_set_it(app: str) -> None:
    done("systemd-run", "--quiet", "--wait", "rctl", "set", "app.service", "memory.max=200M", "--for", "5s")
    assert held(app, "memory.max") == str(200 << 20)
    assert "Timed limits go back" in scopes()
    until(lambda: held(app, "memory.max") == "max")
    until(lambda: scopes() == "")


def test_a_timer_of_a_user_outlives_her_unit() -> None:
    done("systemd-run", "--quiet", "--machine=alice@", "--user", "--unit=job", "sleep", "1000")
    job = "/user.slice/user-1001.slice/user@1001.service/app.slice/job.service"
    try:
        done(*AS_ALICE, "/usr/local/bin/rctl", "set", job, "memory.max=50M", "--for", "5s")
        assert held(job, "memory.max") == str(50 << 20)
        until(lambda: held(job, "memory.max") == "max")
    finally:
        done("systemctl", "--user", "--machine=alice@", "stop", "job.service")


def test_a_timed_limit_of_a_unit_is_stored_until_the_next_boot_only(app: str) -> None:
    rctl("set", "app.service", "memory.max=200M", "cpu.weight=50", "--for", "1h")
    assert drop_ins("app.service") == ["run CPUWeight", "run MemoryMax"]
    reload()
    assert held(app, "memory.max") == str(200 << 20)
    rctl("undo")
    assert (drop_ins("app.service"), held(app, "memory.max")) == ([], "max")


def test_over_a_stored_limit_it_is_stored_and_restore_ends_it_after_a_boot(app: str) -> None:
    """The process that waits for timers ends with a boot; here it is killed."""
    rctl("set", "app.service", "memory.max=300M")
    said = ran("set", "app.service", "memory.max=200M", "--for", "3s").err
    over = time.time() + 3
    done("systemctl", "kill", "--signal=KILL", "rctl-timers-*.scope")
    assert "app.service: systemd stores memory.max for good, as before. If the host boots meanwhile, rctl" in said
    assert drop_ins("app.service") == ["etc MemoryMax"]
    until(lambda: time.time() > over)
    rctl("restore", "app.service")
    assert (held(app, "memory.max"), prop("app.service", "MemoryMax")) == (str(300 << 20), str(300 << 20))
    rctl("undo")
    assert drop_ins("app.service") == []


def test_docker_does_not_store_a_timed_limit() -> None:
    done("docker", "run", "-d", "--name", "web", "--network", "none", "--memory", "300m", "box", "sleep", "1000")
    try:
        rctl("set", "docker:web", "memory.max=200M", "--for", "1h")
        assert rctl("get", "docker:web", "memory.max").strip() == str(200 << 20)
        assert done("docker", "inspect", "-f", "{{.HostConfig.Memory}}", "web").strip() == str(300 << 20)
        rctl("undo")
        assert rctl("get", "docker:web", "memory.max").strip() == str(300 << 20)
    finally:
        done("docker", "rm", "-f", "web")
    assert "rctl set docker:web memory.max=200M --for 1h" in rctl("history", "docker:web"), "also when it is gone"


@pytest.fixture
def keeping() -> Iterator[None]:
    """``rctl keep`` as a service."""
    done("systemd-run", "--quiet", "--unit=keep", "--service-type=notify", "rctl", "keep")
    yield
    done("systemctl", "stop", "keep.service")


@pytest.mark.usefixtures("keeping")
def test_a_container_that_starts_again_gets_back_what_its_manager_forgot() -> None:
    done("docker", "run", "-d", "--name", "web", "--network", "none", "box", "sleep", "1000")
    try:
        rctl("set", "docker:web", "memory.high=40M")
        done("docker", "restart", "-t", "0", "web")
        until(lambda: rctl("get", "docker:web", "memory.high").strip() == str(40 << 20))
    finally:
        done("docker", "rm", "-f", "web")
        ran("forget", "docker:web")


@pytest.mark.usefixtures("keeping")
def test_a_unit_that_starts_again_gets_back_what_systemd_does_not_know(app: str) -> None:
    rctl("set", "app.service", "memory.swap.high=32M")
    done("systemctl", "restart", "app.service")
    until(lambda: held(app, "memory.swap.high") == str(32 << 20))


def test_limits_are_copied_between_a_ve_and_a_unit(app: str) -> None:
    rctl("run", "copied", "-d", "--memory", "64M", "--", "sleep", "1000")
    try:
        changed = [line.split()[0] for line in rctl("copy", "copied", "app.service").splitlines()[1:]]
        assert {*changed} <= {"memory.max:", "pids.max:"}  # systemd gives the service TasksMax=
        assert held(app, "memory.max") == str(64 << 20)
        rctl("undo")
        assert held(app, "memory.max") == "max"
    finally:
        rctl("rm", "--kill", "copied")


def test_drift_and_timers_show_the_names_that_people_use(app: str) -> None:
    rctl("set", "app.service", "pids.max=50", "--for", "1h")
    assert [one["limits"][0]["ve"] for one in data("timers")] == ["app.service"]
    (MOUNT / app[1:] / "pids.max").write_text("60")
    said = ran("drift", "app.service")
    assert said.status == 1
    assert said.out.splitlines()[1].split()[:4] == ["app.service", "pids.max", "50", "60"]
    rctl("undo", "--force")


def test_drift_names_the_property_that_was_changed_in_systemd(app: str) -> None:
    rctl("set", "app.service", "memory.max=200M", "cpu.weight=50", "cpu.max=0.5")
    since = time.time()
    done("systemctl", "set-property", "app.service", "MemoryMax=300M", "CPUQuota=60%")
    (MOUNT / app[1:] / "cpu.weight").write_text("70")
    [drifted] = data("drift", "app.service", status=1)["drifted"]
    found = {one["limit"]: one for one in drifted["differences"]}
    assert {name: one["systemd"] for name, one in found.items()} == {
        "memory.max": ["MemoryMax"],
        "cpu.max": ["CPUQuota"],
        "cpu.weight": [],
    }
    assert since - 1 < found["memory.max"]["changed_at"] < time.time()
    assert "MemoryMax= was changed in systemd, 20" in ran("drift", "app.service").out
    rctl("drift", "app.service", "--fix")
    assert (held(app, "memory.max"), held(app, "cpu.weight"), held(app, "cpu.max")) == (
        str(200 << 20),
        "50",
        "50000 100000",
    )
