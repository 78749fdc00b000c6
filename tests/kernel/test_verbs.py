"""Verbs on a real kernel: limits read back and given on, processes listed, stopped and told, labels kept."""

import json
import os
import signal
import sys
import tomllib
from pathlib import Path

import pytest

from rctl.cgroupfs.tree import Tree
from rctl.cli import main
from rctl.ve.processes import listing
from tests.kernel.helpers import Ve, enabled, no_journal
from tests.kernel.shell import forked, load_for_all, rctl
from tests.kernel.test_cli import fails
from tests.kernel.workload import MIB, filler, sleeper, until

LIMITS = (
    "memory.max=200M", "memory.low=10M", "memory.high=150M", "memory.oom.group=1", "cpu.max=0.3333", "cpu.period=30ms",
    "cpu.burst=5ms", "cpu.weight=50", "cpuset.cpus=0", "pids.max=100", "io.weight=40", "hugetlb.2MB=4M",
    "hugetlb.2MB.rsvd=6M",
)  # fmt: skip


def test_default_and_reset_take_a_protection_away_and_max_needs_force(ve: Ve) -> None:
    for key in ("memory.low", "memory.min"):
        ve.set({key: "10M"})
        fails(rctl("set", "web1", f"{key}=max"), 2, f"{key}: max protects all memory of the VE")
        assert ve.text(key) == str(10 << 20)
        assert rctl("set", "web1", f"{key}=max", "--force").status == 0
        assert ve.text(key) == "max"
        assert rctl("set", "web1", f"{key}=default").status == 0
        assert ve.text(key) == "0"
        ve.set({key: "10M"})
        assert rctl("reset", "web1", key).status == 0
        assert ve.text(key) == "0"


def test_undo_removes_no_ve_whose_limits_were_changed_since_it_made_it(place: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text("version = 1\n[ve.made.limits]\npids.max = 5\ncpuset.cpus = 0\n")
    assert rctl("apply", str(site)).status == 0
    made = place / "rctl-made"
    for file, text, told in (
        ("pids.max", "7", "pids.max: on /rctl-made is 7 now; it was 5 after"),
        ("cpuset.cpus", "", "cpuset.cpus: on /rctl-made is empty now; it was 0 after"),
        ("cgroup.pressure", "0", "cgroup.pressure: on /rctl-made is 0 now; it was 1 after"),
    ):
        if not (made / file).exists():
            continue
        before = (made / file).read_text()
        (made / file).write_text(text + "\n")
        fails(rctl("undo"), 1, told)
        (made / file).write_text(before)
    assert rctl("undo").status == 0
    assert not made.exists()


def test_a_state_folder_on_cgroup2_is_refused_and_makes_no_cgroup(ve: Ve, place: Path) -> None:
    there, before = {path.name for path in place.iterdir()}, ve.snapshot()
    done = rctl("set", "web1", "pids.max=5", env={"RCTL_STATE": f"{place}/state"})
    assert done.status == 1
    assert "state: cannot be made: lies on a cgroup2 file system" in done.err
    assert {path.name for path in place.iterdir()} == there
    assert ve.snapshot() == before


@pytest.mark.parametrize("words", ["freeze web1", "freeze *", "rm --kill web2 web1", "kill web1"])
def test_what_would_stop_or_end_rctl_itself_half_way_is_refused(ve: Ve, other: Ve, words: str) -> None:
    worker = sleeper(other.dir)

    def from_inside() -> None:
        (ve.dir / "cgroup.procs").write_text("0")
        sys.argv = ["rctl", *words.split()]
        main()

    load_for_all()
    done = forked(from_inside)
    assert (done.status, done.out) == (2, "")
    assert "web1: this rctl runs in it, and would" in done.err
    assert worker.ask("there?") == "here"
    assert no_journal()


def test_no_controller_is_enabled_for_what_is_so_without_it(scratch: Path) -> None:
    (scratch / "below").mkdir()
    path = f"/{scratch.name}/below"
    given = (scratch / "cgroup.subtree_control").read_text()
    words = ("pids.max=default", "cpu.max=max", "memory.max=default", "cpuset.cpus=default", "io.weight=100")
    assert rctl("set", path, *words).out == f"{path}: unchanged\n"
    assert (scratch / "cgroup.subtree_control").read_text() == given


def test_export_is_a_spec_that_changes_nothing_and_makes_the_same_again(
    ve: Ve, other: Ve, rawdisk: Path, tmp_path: Path
) -> None:
    assert rctl("set", "web1", *LIMITS, f"io.max={rawdisk} rbps=5MB/s wiops=7").status == 0
    assert rctl("set", "web2", "cpu.weight=200").status == 0
    assert rctl("label", "web2", "env=prod").status == 0
    done = rctl("export")
    assert (done.status, done.err) == (0, "")
    assert set(tomllib.loads(done.out)["ve"]) == {"web1", "web2"}
    site = tmp_path / "site.toml"
    site.write_text(done.out)
    same = rctl("diff", str(site), "--exit-code")
    assert (same.status, same.out, same.err) == (0, "", "")
    before = ve.snapshot(), other.snapshot()
    assert rctl("rm", "web1", "web2").status == 0
    assert rctl("apply", str(site)).status == 0
    assert (ve.snapshot(), other.snapshot()) == before
    assert rctl("export").out == done.out


def test_get_prints_what_set_takes_and_reset_takes_it_back(ve: Ve, other: Ve) -> None:
    new = ve.snapshot()
    keys = [word.partition("=")[0] for word in LIMITS]
    assert rctl("set", "web1", *LIMITS).status == 0
    words = rctl("get", "web1", *keys).out.split()
    assert rctl("set", "web2", *words).status == 0
    assert other.snapshot() | {"parent": ""} == ve.snapshot() | {"parent": ""}
    assert rctl("get", "web1", "memory.max").out == f"{200 * MIB}\n"
    assert rctl("reset", "web1", *keys).status == 0
    assert {name: text for name, text in ve.snapshot().items() if name in new and name != "parent"} == {
        name: text for name, text in new.items() if name != "parent"
    }


def test_copy_gives_limits_on_and_undo_takes_them_back(ve: Ve, other: Ve, rawdisk: Path) -> None:
    rctl("set", "web1", *LIMITS, f"io.max={rawdisk} rbps=5MB/s")
    rctl("set", "web2", "cpu.weight=idle", f"io.max={rawdisk} wbps=1MB/s", "memory.swap.max=0")
    before = other.snapshot()
    assert rctl("copy", "web1", "web2").status == 0
    assert other.snapshot() | {"parent": ""} == ve.snapshot() | {"parent": ""}
    assert rctl("undo").status == 0
    assert {n: t for n, t in other.snapshot().items() if n != "parent"} == {
        n: t for n, t in before.items() if n != "parent"
    }


def test_ps_tells_each_process_of_a_ve(ve: Ve, tree: Tree) -> None:
    worker = sleeper(ve.dir)
    (process,) = listing(tree, ["web1"])
    assert (process.ve, process.pid) == ("web1", worker.pid)
    assert process.user == "root"
    assert process.memory > MIB
    head, row = rctl("ps").out.splitlines()
    assert head.split() == ["VE", "PID", "USER", "CPU", "MEMORY", "COMMAND"]
    assert row.split()[:3] == ["web1", str(worker.pid), "root"]
    assert json.loads(rctl("ps", "web*", "--json").out)[0]["pid"] == worker.pid


def test_freeze_waits_until_all_stand_still(ve: Ve, other: Ve) -> None:
    worker = sleeper(ve.dir)
    done = rctl("freeze", "web*")
    assert (done.status, ve.count("cgroup.events", "frozen"), other.count("cgroup.events", "frozen")) == (0, 1, 1)
    assert rctl("freeze", "web1").out == "web1: unchanged\n"
    assert rctl("thaw", "web*").status == 0
    assert (ve.count("cgroup.events", "frozen"), worker.alive) == (0, True)


def test_kill_sends_a_signal_to_all_processes_below_too(ve: Ve) -> None:
    (ve.dir / "below").mkdir()
    workers = [sleeper(ve.dir / "below"), sleeper(ve.dir / "below")]
    assert rctl("kill", "web1").out == "web1: SIGTERM sent to 2 process(es)\n"
    until(lambda: ve.count("cgroup.events", "populated") == 0, "the end of all", 10)
    assert not any(worker.alive for worker in workers)


def test_kill_with_sigkill_ends_a_frozen_ve(ve: Ve) -> None:
    sleeper(ve.dir)
    rctl("freeze", "web1")
    assert rctl("kill", "web1", "-s", "KILL").out == "web1: SIGKILL sent to 1 process(es)\n"
    until(lambda: ve.count("cgroup.events", "populated") == 0, "the end of all", 10)
    rctl("thaw", "web1")


def test_kill_of_several_ves_tells_none_when_one_is_not_there(ve: Ve) -> None:
    worker = sleeper(ve.dir)
    fails(rctl("kill", "web1", "web9"), 1, "web9: there is no such VE")
    assert worker.alive


def test_the_kernel_renames_no_cgroup(ve: Ve) -> None:
    with pytest.raises(PermissionError):
        os.rename(ve.dir, ve.dir.with_name("rctl-web5"))


def test_rename_is_for_empty_ves(ve: Ve, tree: Tree) -> None:
    rctl("set", "web1", *LIMITS)
    rctl("label", "web1", "env=prod")
    limits = {name: text for name, text in ve.snapshot().items() if name != "parent"}
    worker = sleeper(ve.dir)
    fails(rctl("rename", "web1", "web5"), 1, "web1: has processes or cgroups in it")
    os.kill(worker.pid, signal.SIGKILL)
    until(lambda: ve.count("cgroup.events", "populated") == 0, "its end", 10)
    assert rctl("rename", "web1", "web5").status == 0
    assert tree.names() == ["web5"]
    now = Ve(tree, "web5")
    assert {name: text for name, text in now.snapshot().items() if name != "parent"} == limits
    assert "env=prod" in rctl("label", "web5").out


def test_labels_lie_on_the_cgroup_and_choose_ves(ve: Ve, other: Ve) -> None:
    assert rctl("label", "web1", "env=prod", "tier=web").out == "web1: env=prod tier=web\n"
    assert rctl("label", "web2", "env=test").status == 0
    assert os.getxattr(ve.dir, "user.rctl.label.env") == b"prod"
    assert rctl("set", "label:env=prod", "pids.max=7").status == 0
    assert (ve.text("pids.max"), other.text("pids.max")) == ("7", "max")
    assert [row["name"] for row in json.loads(rctl("ls", "label:env=*", "--json").out)] == ["web1", "web2"]
    assert rctl("label", "web1", "--remove", "tier").out == "web1: env=prod\n"
    fails(rctl("set", "label:env=none", "pids.max=7"), 1, "'label:env=none': no VE has such a label")


def test_labels_in_a_spec(ve: Ve, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('version = 1\n[ve.web1.limits]\npids.max = 5\n[ve.web1.labels]\nenv = "prod"\n')
    assert "~ web1: label env: (none) -> prod" in rctl("diff", str(site)).out.splitlines()
    assert "web1: changed\n  pids.max: max -> 5\n  label env: (none) -> prod\n" in rctl("apply", str(site)).out
    assert json.loads(rctl("label", "web1", "--json").out) == {"web1": {"env": "prod"}}
    assert rctl("diff", str(site)).out == ""
    site.write_text('version = 1\n[ve.web1.labels]\nenv = "test"\n')
    assert rctl("apply", str(site)).status == 0
    assert "label env: test -> prod" in rctl("undo", "--dry-run").out
    assert rctl("undo").status == 0
    assert os.getxattr(ve.dir, "user.rctl.label.env") == b"prod"
    os.setxattr(ve.dir, "user.rctl.label.env", b"mine")
    fails(rctl("undo"), 1, "label env: on /rctl-web1 is mine now; it was prod after that adjustment")
    assert (ve.text("pids.max"), os.getxattr(ve.dir, "user.rctl.label.env")) == ("5", b"mine")
    assert rctl("undo", "--force").status == 0
    assert (ve.unset("pids.max"), json.loads(rctl("label", "web1", "--json").out)) == (True, {"web1": {}})


def test_run_says_that_the_kernel_killed_for_want_of_memory() -> None:
    command = ("python3", "-c", "b = bytearray(64 << 20)")
    done = rctl("run", "tight", "--rm", "--memory", "16M", "--swap", "0", "--", *command)
    assert done.status == 128 + signal.SIGKILL
    assert "tight: out of memory: the kernel killed 1 process(es) (memory.max is 16M)" in done.err


def test_rm_dry_run_changes_nothing(ve: Ve) -> None:
    worker = filler(ve.dir, 1)
    assert rctl("rm", "web1", "--kill", "-n").out == "web1: would be removed, 1 process(es) killed\n"
    assert worker.alive


def test_a_label_that_the_kernel_refuses_leaves_limits_and_ves_as_they_were(ve: Ve, tmp_path: Path) -> None:
    ve.set({"pids.max": 7})
    (ve.dir.parent / "rctl-web0").mkdir()
    assert rctl("label", "web0", "env=old").status == 0
    for number in range(128):  # KERNFS_MAX_USER_XATTRS; somebody else's
        os.setxattr(ve.dir, f"user.other.{number}", b"")
    site = tmp_path / "site.toml"
    site.write_text(
        'version = 1\n[ve.web0.labels]\nenv = "prod"\n'
        '[ve.web1.limits]\npids.max = 5\n[ve.web1.labels]\nenv = "prod"\n[ve.web2.limits]\npids.max = 5\n'
    )
    fails(rctl("apply", str(site)), 1, "/rctl-web1: label: a cgroup holds at most 128 attributes")
    assert ve.text("pids.max") == "7"
    assert rctl("label", "web0").out.split()[2:] == ["web0", "env=old"]
    assert not (ve.dir.parent / "rctl-web2").exists()
    assert no_journal()
    assert "apply" not in rctl("history").out


def test_a_dry_run_of_apply_shows_the_controllers_that_new_ves_need(place: Path, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text("version = 1\n[ve.web1.limits]\npids.max = 9\n[ve.web2.limits]\npids.max = 9\n")
    line = "cgroup.subtree_control: +pids"
    assert not enabled(place)
    planned, differs, done = (
        rctl("apply", str(spec), "--dry-run"), rctl("diff", str(spec)), rctl("apply", str(spec))
    )  # fmt: skip
    assert [one.out.count(line) for one in (planned, differs, done)] == [1, 1, 1]


def test_attach_says_that_memory_stays_charged_where_it_was(ve: Ve, other: Ve) -> None:
    worker = sleeper(other.dir)
    told = "web1: memory that the processes hold already stays charged to their old cgroup. Limits count new memory"
    assert told in rctl("attach", "web1", str(worker.pid)).err
    assert told not in rctl("attach", "web1", str(worker.pid)).err
