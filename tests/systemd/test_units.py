"""A unit's limits are set through its manager, so that it keeps them: after a reload, a restart, a new execution."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rctl import session
from rctl.systemd.bus import Bus
from tests.systemd.helpers import (
    AS_ALICE,
    MOUNT,
    data,
    done,
    drop_ins,
    held,
    prop,
    rctl,
    reload,
    stop_and_forget,
    told,
    unit,
    until,
)

NGINX = "/system.slice/nginx.service"
EVERY = {
    "memory.max": "128M", "memory.high": "100M", "memory.low": "16M", "memory.min": "8M", "memory.swap.max": "64M",
    "cpu.max": "0.5", "cpu.weight": "50", "cpuset.cpus": "0", "cpuset.mems": "0", "pids.max": "300", "io.weight": "200",
    "io.max": "vdc rbps=1048576 wiops=50",
}  # fmt: skip
SHOWN = {
    "memory.max": "134217728", "memory.high": "104857600", "memory.low": "16777216", "memory.min": "8388608",
    "memory.swap.max": "67108864", "cpu.max": "50000 100000", "cpu.weight": "50", "cpuset.cpus": "0",
    "cpuset.mems": "0", "pids.max": "300", "io.weight": "default 200",
    "io.max": "254:32 rbps=1048576 wbps=max riops=max wiops=50",
}  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    with unit("app.service") as path:
        yield path


@pytest.fixture
def app(running: str) -> Iterator[str]:
    """A running service whose limits are at their defaults."""
    yield running
    stop_and_forget("app.service")
    done("systemctl", "start", "app.service")


def words(limits: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in limits.items()]


def test_every_limit_that_systemd_has_is_set_and_survives_reload_reexec_and_restart(app: str) -> None:
    rctl("set", "app.service", *words(EVERY))
    assert {file: held(app, file) for file in SHOWN} == SHOWN
    for again in (("daemon-reload",), ("daemon-reexec",), ("restart", "app.service")):
        done("systemctl", *again)
        assert {file: held(app, file) for file in SHOWN} == SHOWN, again
    assert prop("app.service", "MemoryMax") == "134217728"


def test_a_service_is_set_by_its_path_too() -> None:
    rctl("set", NGINX, "memory.max=1G")
    reload()
    assert held(NGINX, "memory.max") == str(1 << 30)
    rctl("undo")
    assert held(NGINX, "memory.max") == "max"


def test_the_plan_says_through_whom_each_limit_goes(app: str) -> None:
    plan = rctl("set", "app.service", "memory.max=1G", "cpu.max=1", "cpu.burst=50ms", "--dry-run")
    assert set(plan.splitlines()) == {
        "app.service: planned",
        "  cpu.max: max 100000 -> 100000 100000, through systemd",
        "  cpu.max.burst: 0 -> 50000",
        "  memory.max: max -> 1G, through systemd",
    }
    assert held(app, "memory.max") == "max"


def test_what_systemd_cannot_say_and_does_not_reset_goes_to_the_file(app: str) -> None:
    rctl("set", "app.service", "cpu.max=1", "cpu.burst=50ms", "memory.swap.high=32M")
    for again in ("daemon-reload", "daemon-reexec"):
        done("systemctl", again)
        assert (held(app, "cpu.max.burst"), held(app, "memory.swap.high")) == ("50000", str(32 << 20))
    rctl("undo")
    assert (held(app, "cpu.max.burst"), held(app, "memory.swap.high")) == ("0", "max")


def test_what_systemd_would_reset_is_refused_with_the_setting(app: str) -> None:
    said = rctl("set", "app.service", "memory.max=1G", "memory.oom.group=1", status=1)
    assert "OOMPolicy=" in said
    assert "systemctl edit app.service" in said
    assert held(app, "memory.max") == "max"
    assert drop_ins("app.service") == []


def test_undo_makes_unset_what_was_not_set(app: str) -> None:
    rctl("set", "app.service", "memory.max=1G", "cpu.weight=200", "io.max=vdc wbps=1048576")
    assert drop_ins("app.service") == ["etc CPUWeight", "etc IOWriteBandwidthMax", "etc MemoryMax"]
    rctl("undo")
    assert drop_ins("app.service") == []
    assert prop("app.service", "CPUWeight") == "[not set]"
    reload()
    assert held(app, "memory.max") == "max"


def test_a_second_undo_makes_unset_too(app: str) -> None:
    for _ in range(2):  # the manager still lists the drop-ins that the first undo removed
        rctl("set", "app.service", "cpu.weight=200")
        rctl("undo")
        assert drop_ins("app.service") == []


def test_undo_keeps_what_was_set_to_the_default_as_set(app: str) -> None:
    done("systemctl", "set-property", "app.service", "CPUWeight=100", "MemoryMax=infinity")
    rctl("set", "app.service", "memory.max=1G", "cpu.weight=200")
    rctl("undo")
    assert drop_ins("app.service") == ["etc CPUWeight", "etc MemoryMax"]
    assert (prop("app.service", "CPUWeight"), prop("app.service", "MemoryMax")) == ("100", "infinity")


def test_the_manager_is_asked_only_for_what_its_drop_ins_do_not_tell(app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    get = Bus.get

    def noted(self: Bus, unit: str, kind: str, names: Iterable[str]) -> dict[str, Any]:
        asked.extend(names := list(names))
        return get(self, unit, kind, names)

    monkeypatch.setattr(Bus, "get", noted)
    numbers = {"memory.max": "300M", "memory.swap.max": "max", "cpu.weight": 50, "cpu.max": 0.5, "pids.max": 40}
    with session() as ours:
        ours.adjust({"app.service": {**numbers, "io.weight": 200}})
        assert set(asked) > {"MemoryMax", "TasksMax"}
        asked.clear()
        ours.adjust(
            {"app.service": {**numbers, "memory.max": "max", "cpu.max": 0.25, "pids.max": 50, "io.weight": 100}}
        )
        assert asked == []
        (MOUNT / app[1:] / "pids.max").write_text("77")
        ours.adjust({"app.service": {"pids.max": 60}})
        assert asked == ["TasksMax"]


def test_undo_puts_back_what_somebody_wrote_over_a_stored_limit(app: str) -> None:
    rctl("set", "app.service", "pids.max=50")
    (MOUNT / app[1:] / "pids.max").write_text("77")
    rctl("set", "app.service", "pids.max=60")
    rctl("undo")
    assert held(app, "pids.max") == "77"
    assert prop("app.service", "TasksMax") == "50"
    done("systemctl", "restart", "app.service")  # a reload is enough for 252
    assert held(app, "pids.max") == "50"


def test_undo_puts_back_what_only_the_file_had(app: str) -> None:
    """Somebody else wrote to the files, and the manager does not know it."""
    (MOUNT / app[1:] / "memory.max").write_text("500M")
    (MOUNT / app[1:] / "io.max").write_text("254:32 rbps=2000000")
    rctl("set", "app.service", "memory.max=1G", "io.max=vdc wbps=1048576")
    assert drop_ins("app.service") == ["etc IOReadBandwidthMax", "etc IOWriteBandwidthMax", "etc MemoryMax"]
    rctl("undo")
    assert held(app, "memory.max") == str(500 << 20)
    assert held(app, "io.max") == "254:32 rbps=2000000 wbps=max riops=max wiops=max"
    assert drop_ins("app.service") == []
    rctl("set", "app.service", "io.max=vdc rbps=max")
    assert held(app, "io.max") == ""


def test_runtime_limits_of_a_transient_unit_can_be_set_again() -> None:
    done("systemd-run", "--quiet", "--unit=once", "sleep", "1000")
    try:
        for size in (100, 120):
            rctl("set", "once.service", f"memory.max={size}M", "--runtime")
            assert held("/system.slice/once.service", "memory.max") == str(size << 20)
        reload()
        rctl("undo", "--last", "2")
        assert held("/system.slice/once.service", "memory.max") == "max"
    finally:
        done("systemctl", "stop", "once.service")


def test_undo_of_one_disk_keeps_the_others(app: str) -> None:
    done("systemctl", "set-property", "app.service", "IOWriteBandwidthMax=/dev/vda 5M")
    rctl("set", "app.service", "io.max=vdc wbps=1048576")
    rctl("undo")
    assert held(app, "io.max") == "254:0 rbps=max wbps=5000000 riops=max wiops=max"
    reload()
    assert held(app, "io.max") == "254:0 rbps=max wbps=5000000 riops=max wiops=max"


def test_values_of_the_units_own_file_come_back() -> None:
    with unit("own.service", "MemoryMax=300M", "CPUQuota=70%", "TasksMax=40") as own:
        rctl("set", "own.service", "memory.max=200M", "cpu.max=max", "pids.max=50")
        assert (held(own, "memory.max"), held(own, "cpu.max"), held(own, "pids.max")) == (
            str(200 << 20), "max 100000", "50",
        )  # fmt: skip
        rctl("undo")
        assert drop_ins("own.service") == []
        reload()
        assert (held(own, "memory.max"), held(own, "cpu.max"), held(own, "pids.max")) == (
            str(300 << 20), "70000 100000", "40",
        )  # fmt: skip


def test_setting_the_same_again_changes_nothing(app: str) -> None:
    rctl("set", "app.service", *words(EVERY))
    assert data("set", "app.service", *words(EVERY))["id"] is None


def test_idle_and_back(app: str) -> None:
    rctl("set", "app.service", "cpu.weight=200")
    rctl("set", "app.service", "cpu.weight=idle")
    assert (held(app, "cpu.idle"), prop("app.service", "CPUWeight")) == ("1", "idle")
    rctl("undo")
    assert (held(app, "cpu.idle"), held(app, "cpu.weight")) == ("0", "200")


def test_runtime_lasts_until_the_next_boot_only(app: str) -> None:
    rctl("set", "app.service", "memory.max=1G", "--runtime")
    assert drop_ins("app.service") == ["run MemoryMax"]
    reload()
    assert held(app, "memory.max") == str(1 << 30)
    rctl("set", "app.service", "pids.max=100")
    said = rctl("set", "app.service", "pids.max=50", "--runtime", status=1)
    assert "stored for good" in said
    assert "--runtime" in said


def test_a_drop_in_that_wins_at_the_next_reload_is_told(app: str) -> None:
    folder = Path("/run/systemd/system/app.service.d")
    folder.mkdir()
    (folder / "override.conf").write_text("[Service]\nMemoryMax=400M\n")
    reload()
    said = told("set", "app.service", "memory.max=200M")
    assert "override.conf sets MemoryMax=" in said
    (folder / "override.conf").unlink()
    folder.rmdir()


@pytest.fixture
def _a_read_only_folder(app: str) -> Iterator[None]:
    """The folder in which systemd stores limits, as on a host whose /etc is read-only."""
    folder = Path("/etc/systemd/system.control")
    folder.mkdir(exist_ok=True)
    done("mount", "-t", "tmpfs", "-o", "ro", "none", str(folder))
    yield
    done("umount", str(folder))


@pytest.mark.usefixtures("_a_read_only_folder")
def test_a_limit_that_systemd_cannot_store_is_told(app: str) -> None:
    said = told("set", "app.service", "memory.max=200M")
    assert "systemd could not store MemoryMax= in /etc/systemd/system.control. " in said
    assert "not store" not in told("set", "app.service", "pids.max=100", "--runtime")
    reload()
    assert prop("app.service", "MemoryMax") == "infinity"


def test_a_part_of_a_cpu_limit_that_a_reload_will_take_away_is_told(app: str) -> None:
    """systemd 252 stores whole per cent, 257 hundredths of one."""
    said = told("set", "app.service", "cpu.max=0.33333")
    assert held(app, "cpu.max") == "33333 100000"
    found = re.search(r"cpu\.max is ([0-9.]+)% after the next daemon-reload", said)
    assert found
    reload()
    done("systemctl", "restart", "app.service")  # 257 leaves the file as it is before that
    assert held(app, "cpu.max") == f"{round(float(found[1]) * 1000)} 100000"
    assert "daemon-reload" not in told("set", "app.service", "cpu.max=0.5")


def test_limits_of_a_unit_that_cannot_start_with_them_are_undone() -> None:
    with unit("small.service"):
        rctl("set", "small.service", "memory.max=1G")
        done("systemctl", "stop", "small.service")
        said = rctl("set", "small.service", "memory.max=2G", status=1)
        assert said.endswith("has no cgroup. Start it first: systemctl start small.service\n")
        assert drop_ins("small.service") == ["etc MemoryMax"]
        assert "small.service: is stopped; it gets this when it starts" in told("undo")
        assert drop_ins("small.service") == []
        done("systemctl", "start", "small.service")
        assert held("/system.slice/small.service", "memory.max") == "max"


def test_memory_in_use_is_freed_first(tmp_path: Path) -> None:
    script = tmp_path / "fill.py"
    script.write_text("import time\nx = bytearray(96 << 20)\ntime.sleep(1000)\n")
    with unit("big.service", command=f"/usr/bin/python3 {script}") as big:
        until(lambda: int(held(big, "memory.current")) > 96 << 20)
        rctl("set", "big.service", "memory.max=64M")
        assert held(big, "memory.max") == str(64 << 20)
        assert held(big, "memory.high") == "max"
        assert "oom_kill 0" in held(big, "memory.events")


def test_a_scope_and_a_slice_are_set_the_same_way() -> None:
    done(
        "systemd-run",
        "--quiet",
        "--unit=job",
        "--scope",
        "--slice=batch.slice",
        "sh",
        "-c",
        "sleep 1000 >/dev/null 2>&1 &",
    )
    try:
        rctl("set", "/batch.slice", "memory.max=1G")
        rctl("set", "/batch.slice/job.scope", "memory.max=200M", "pids.max=30")
        reload()
        assert held("/batch.slice", "memory.max") == str(1 << 30)
        assert (held("/batch.slice/job.scope", "memory.max"), held("/batch.slice/job.scope", "pids.max")) == (
            str(200 << 20), "30",
        )  # fmt: skip
        rctl("undo", "--last", "2")
        assert held("/batch.slice/job.scope", "memory.max") == "max"
    finally:
        done("systemctl", "stop", "job.scope", "batch.slice")


def test_many_units_change_together_or_not_at_all(app: str) -> None:
    with unit("two.service") as two:
        rctl("set", "app.service", "two.service", "memory.max=200M")
        assert held(app, "memory.max") == held(two, "memory.max") == str(200 << 20)
        said = rctl("set", "app.service", "two.service", "memory.max=100M", "memory.oom.group=1", status=1)
        assert "OOMPolicy" in said
        assert held(app, "memory.max") == held(two, "memory.max") == str(200 << 20)


def test_doctor_says_that_limits_can_be_set_here() -> None:
    assert rctl("doctor").endswith("\nLimits can be set here.\n")


# A user's manager.

ALICES = "/user.slice/user-1001.slice/user@1001.service"


@pytest.fixture
def job() -> Iterator[str]:
    run = ("systemd-run", "--quiet", "--machine=alice@", "--user", "--unit=job", "sleep", "1000")
    done(*run)
    yield f"{ALICES}/app.slice/job.service"
    done("systemctl", "--user", "--machine=alice@", "stop", "job.service")


def test_root_sets_a_users_unit_through_the_users_manager(job: str) -> None:
    rctl("set", job, "memory.max=50M", "pids.max=20")
    done("systemctl", "--user", "--machine=alice@", "daemon-reload")
    assert (held(job, "memory.max"), held(job, "pids.max")) == (str(50 << 20), "20")
    assert prop("job.service", "MemoryMax", "--user", "--machine=alice@") == str(50 << 20)
    done("systemctl", "--user", "--machine=alice@", "set-property", "job.service", "CPUWeight=50")
    assert (held(job, "memory.max"), held(job, "pids.max")) == (str(50 << 20), "20")


def test_a_user_sets_her_own_units(job: str) -> None:
    done(*AS_ALICE, "/usr/local/bin/rctl", "set", job, "memory.max=60M")
    done("systemctl", "--user", "--machine=alice@", "daemon-reload")
    assert held(job, "memory.max") == str(60 << 20)
    done(*AS_ALICE, "/usr/local/bin/rctl", "undo")
    assert held(job, "memory.max") == "max"


def test_a_user_may_not_set_a_unit_of_the_system() -> None:
    said = done(*AS_ALICE, "/usr/local/bin/rctl", "set", NGINX, "memory.max=60M", status=1)
    assert "as root" in said
    assert held(NGINX, "memory.max") == "max"


def test_the_unit_of_systemd_itself_is_not_frozen() -> None:
    assert "process 1 runs in it" in done("/usr/local/bin/rctl", "freeze", "init.scope", status=2)
    assert held("/init.scope", "cgroup.freeze") == "0"


def test_a_controller_that_systemd_leaves_alone_is_enabled_for_a_unit(app: str) -> None:
    before = held("/system.slice", "cgroup.subtree_control")  # docker enables all controllers there
    rctl("set", "app.service", "hugetlb.2MB=4M")
    for again in ("daemon-reload", "daemon-reexec"):
        done("systemctl", again)
        assert held(app, "hugetlb.2MB.max") == str(4 << 20)
    with unit("beside.service"):
        assert held(app, "hugetlb.2MB.max") == str(4 << 20)
    rctl("undo")
    assert held("/system.slice", "cgroup.subtree_control") == before
