"""rctl's own VEs on a host that systemd runs: each is a unit, and nothing has to be prepared."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rctl as rctl_package
from tests.systemd.helpers import MOUNT, data, done, held, prop, ran, rctl, reload, told, unit, until

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


def test_it_is_found_from_any_shell_and_any_unit_with_nothing_exported(web1: str) -> None:
    unit_of_its_own = ("systemd-run", "--quiet", "--pipe", "--wait", "--collect", "sh", "-c")
    for shell in (("env", "-i", "sh", "-c"), ("su", "-", "root", "-c"), unit_of_its_own):
        assert [one["name"] for one in json.loads(done(*shell, "rctl ls --json"))] == ["web1"], shell
        assert 've="web1"' in done(*shell, "rctl exporter once"), shell
    done(*unit_of_its_own, "rctl set web1 memory.max=128M")
    assert held(web1, "memory.max") == str(128 << 20)


def test_the_end_of_a_program_of_rctl_leaves_it(web1: str) -> None:
    done("systemd-run", "--quiet", "--unit=keep", "--service-type=notify", "rctl", "keep")
    try:
        done("systemctl", "kill", "--signal=KILL", "keep.service")
        until(lambda: prop("keep.service", "ActiveState") == "failed")
        assert [(one["name"], one["state"]) for one in data("ls")] == [("web1", "running")]
        assert held(web1, "memory.max") == str(256 << 20)
    finally:
        done("systemctl", "reset-failed", "keep.service")


@pytest.mark.parametrize("place", [MOUNT, TRANSIENT], ids=["cgroup", "unit"])
def test_the_ves_of_a_benchmark_that_is_killed_are_removed(place: Path) -> None:
    """Also a unit that has no cgroup yet."""
    with subprocess.Popen(["rctl", "bench", "life", "--rounds", "10000"], stdout=subprocess.DEVNULL) as bench:
        until(lambda: list(place.glob("rctl-bench-*")) != [])
        bench.kill()
    until(lambda: left() == [])


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
    names = sorted(["a@b+c", "e.f_g-h", "x.y", "n" * 64])
    spec = tmp_path / "ves.toml"
    spec.write_text("version = 1\n" + "".join(f'[ve."{name}".limits]\nmemory.max = "64M"\n' for name in names))
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


def test_a_service_whose_command_is_run_in_a_ve_leaves_nothing() -> None:
    program = shutil.which("rctl")
    children = "sh -c 'sleep 1000 & setsid sleep 1001 & wait'"
    settings = "TimeoutStopSec=60", f"ExecStopPost=-{program} rm --kill web1"
    with unit("app.service", *settings, command=f"{program} run --rm web1 --memory 64M -- {children}"):
        until(lambda: there() and len(held(WEB1, "cgroup.procs").split()) == 3)
        done("systemctl", "stop", "app.service")
        assert left() == []
        done("systemctl", "start", "app.service")
        until(lambda: there() and len(held(WEB1, "cgroup.procs").split()) == 3)
        done("systemctl", "kill", "--kill-who=main", "--signal=KILL", "app.service")
        until(lambda: prop("app.service", "ActiveState") == "failed")
        assert left() == []
        done("systemctl", "reset-failed", "app.service")


def test_a_service_that_becomes_the_command_is_told_what_its_stop_leaves() -> None:
    with unit("app.service", command=f"{shutil.which('rctl')} run web1 -- sleep 1000"):
        until(lambda: there() and held(WEB1, "cgroup.procs") != "")
        said = done("journalctl", "-u", "app.service", "-o", "cat")
        assert "Use: rctl run --rm, and ExecStopPost=-rctl rm --kill web1" in said


def test_a_services_main_process_that_is_taken_out_comes_back_with_undo(web1: str) -> None:
    workers = "/bin/sh -c 'sleep 1000 & sleep 1001 & wait'"
    with unit("app.service", command=workers) as app:
        until(lambda: len(held(app, "cgroup.procs").split()) == 3)
        main, every = prop("app.service", "MainPID"), held(app, "cgroup.procs").split()
        said = told("attach", "web1", main)
        assert (
            "app.service: these processes are no longer a part of this service, so systemd does not end them with it. "
            "2 other process(es) stay in it, without the limits of the VE. "
            "To limit the whole service instead, use: rctl undo, then rctl set app.service KEY=VALUE"
        ) in said
        assert main in held(web1, "cgroup.procs").split()
        assert len(held(app, "cgroup.procs").split()) == 2
        rctl("undo")
        rctl("set", "app.service", "pids.max=50")
        assert (sorted(held(app, "cgroup.procs").split()), held(app, "pids.max")) == (sorted(every), "50")


def test_a_service_whose_processes_are_all_taken_out_gets_them_back_with_undo(web1: str) -> None:
    with unit("app.service", command="/bin/sh -c 'sleep 1000 & sleep 1001 & wait'") as app:
        until(lambda: len(held(app, "cgroup.procs").split()) == 3)
        every = sorted(held(app, "cgroup.procs").split())
        said = told("attach", "web1", *every)
        assert "no longer a part of this service" in said
        assert "stay in it" not in said
        assert {*every} < {*held(web1, "cgroup.procs").split()}
        assert prop("app.service", "ActiveState") == "active"
        rctl("undo")
        assert sorted(held(app, "cgroup.procs").split()) == every
        assert "no longer a part" not in told("attach", "web1", held(web1, "cgroup.procs"))
        done("systemctl", "stop", "app.service")
        assert not Path("/proc", every[0]).exists()


def test_undo_gives_it_the_properties_that_it_had(web1: str) -> None:
    def stored() -> list[str]:
        return sorted(path.stem.removeprefix("50-") for path in (TRANSIENT / "rctl-web1.service.d").iterdir())

    before = stored()
    rctl("set", "web1", "memory.max=100M", "cpu.weight=50")
    rctl("set", "web1", "memory.max=50M", "pids.max=20", "--runtime")
    assert (held(web1, "memory.max"), held(web1, "pids.max")) == (str(50 << 20), "20")
    rctl("undo", "--last", "2")
    assert (held(web1, "memory.max"), held(web1, "cpu.weight"), held(web1, "pids.max")) == (
        str(256 << 20), "100", "max",
    )  # fmt: skip
    assert stored() == before


def test_its_cpus_and_nodes_are_set_again_and_undone(web1: str) -> None:
    for cpus in ("0", "0-1", "1"):
        rctl("set", "web1", f"cpuset.cpus={cpus}", "cpuset.mems=0")
        assert held(web1, "cpuset.cpus") == cpus
    rctl("undo")
    reload()
    assert (held(web1, "cpuset.cpus"), held(web1, "cpuset.mems")) == ("0-1", "0")


def test_what_systemd_has_no_property_for_goes_to_the_file(web1: str) -> None:
    rctl("set", "web1", "cpu.max=1", "cpu.burst=50ms", "hugetlb.2MB=4M")
    rctl("freeze", "web1")
    rctl("label", "web1", "env=prod")
    for again in ("daemon-reload", "daemon-reexec"):
        done("systemctl", again)
        shown = held(web1, "cpu.max.burst"), held(web1, "hugetlb.2MB.max"), held(web1, "cgroup.freeze")
        assert shown == ("50000", str(4 << 20), "1")
    assert [one["name"] for one in data("ls", "label:env=prod")] == ["web1"]
    rctl("thaw", "web1")


def test_what_systemd_resets_is_refused_with_a_remedy_that_fits(web1: str) -> None:
    said = rctl("set", "web1", "memory.oom.group=1", status=1)
    assert "sets it on VEs that are its units, and would undo a change. VEs elsewhere can have it: set" in said
    assert held(web1, "memory.oom.group") == "0"


def test_a_neighbours_oom_kill_leaves_it_alone(web1: str) -> None:
    fill = "import time; kept = bytearray(200 << 20); time.sleep(1000)"
    rctl("run", "--detach", "web2", "--memory", "20M", "--swap", "0", "--", "python3", "-c", fill)
    until(lambda: "oom_kill 1" in held("/rctl-web2.service", "memory.events"))
    assert [(one["name"], one["state"]) for one in data("ls")] == [("web1", "running"), ("web2", "empty")]


def test_it_is_shown_as_rctls_own_with_its_unit(web1: str) -> None:
    assert {key: data("show", "web1")[0].get(key) for key in ("owner", "unit")} == {
        "owner": "rctl", "unit": "rctl-web1.service",
    }  # fmt: skip
    page = rctl("exporter", "once")
    assert "rctl_ve_info{" in page
    assert any('ve="web1"' in line and 'owner="rctl"' in line for line in page.splitlines() if "rctl_ve_info{" in line)
    assert "web1" in rctl("ls", "--all")


def test_doctor_finds_nothing_to_fix() -> None:
    found = {check["name"]: check for check in data("doctor")}
    assert found["systemd"]["found"] == "runs this host, and makes a unit for each VE, such as rctl-web1.service"
    assert [name for name, check in found.items() if check["state"] == "fail"] == []
    assert found["run"]["state"] == "ok"


def test_who_joins_a_ve_or_takes_the_name_of_a_unit_is_told(web1: str) -> None:
    assert "web1: exists. The command joins its processes: 1" in errors("run", "web1", "--", "true")
    assert errors("run", "web2", "--", "true") == errors("run", "web2", "--", "true") == ""
    said = errors("run", "nginx", "--", "true")
    assert said == "rctl: nginx: is the name of the new VE from now on; for the unit, write unit:nginx.service\n"
    assert rctl("get", "unit:nginx.service", "pids.max") != ""


def errors(*words: str) -> str:
    """What a verb that succeeds says on standard error."""
    found = ran(*words)
    assert found.status == 0, found.err
    return found.err


def test_a_renamed_ve_is_another_unit_with_the_same_limits() -> None:
    rctl("run", "web1", "--memory", "64M", "--pids", "20", "--", "true")
    rctl("label", "web1", "env=prod")
    rctl("rename", "web1", "web2")
    assert (there(), loaded(), loaded("rctl-web2.service")) == (False, False, True)
    assert (held("/rctl-web2.service", "memory.max"), held("/rctl-web2.service", "pids.max")) == (str(64 << 20), "20")
    assert [one["name"] for one in data("ls", "label:env=prod")] == ["web2"]
    reload()
    assert held("/rctl-web2.service", "memory.max") == str(64 << 20)
    (MOUNT / "rctl-web2.service/memory.max").write_text("max")
    rctl("drift", "web2", "--fix")
    assert held("/rctl-web2.service", "memory.max") == str(64 << 20), "its wishes have come with it"


def test_a_ve_outlives_an_upgrade_and_the_new_rctl_manages_it(tmp_path: Path) -> None:
    """Given a VE and a timer of an rctl in another folder, when that folder is gone, then the new one has both."""
    old = tmp_path / "old"
    shutil.copytree(Path(rctl_package.__file__).parent, old / "rctl")
    program = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(old)!r}); from rctl.start import main; main()",
    ]
    subprocess.run([*program, "run", "-d", "web1", "--memory", "64M", "--", "sleep", "1000"], check=True)
    subprocess.run([*program, "set", "web1", "pids.max=20", "--for", "1h"], check=True)
    shutil.rmtree(old)
    [pid] = held(WEB1, "cgroup.procs").split()
    rctl("set", "web1", "memory.max=50M")
    assert (held(WEB1, "memory.max"), held(WEB1, "pids.max")) == (str(50 << 20), "20")
    rctl("undo", "--last", "2")
    assert (held(WEB1, "memory.max"), held(WEB1, "pids.max"), data("timers")) == (str(64 << 20), "max", [])
    assert held(WEB1, "cgroup.procs").split() == [pid]
    rctl("rm", "--kill", "web1")
    until(lambda: left() == [])


def test_bench_explain_measures_below_a_ve_of_its_own() -> None:
    words = ("bench", "explain", "--only", "fork and wait", "--time", "20s", "--clock", "wall", "--json")
    found = json.loads(done("rctl", *words))  # it takes longer than a forked rctl may
    assert "/rctl-bench-" in found["machine"]["depth"]
    measured = {figure["name"] for figure in found["figures"] if figure["value"] is not None}
    assert {"fork and wait: all controllers", "fork and wait: all, depth 3"} <= measured
    assert not [fact for fact in found["machine"] if fact.startswith("not measured")]
