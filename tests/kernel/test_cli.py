"""The command line as its users meet it: what it does, its exit status, its one-line errors."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl.cgroupfs.tree import Tree
from tests.kernel.helpers import MOUNT, Ve, lacks, no_journal
from tests.kernel.shell import NOBODY, Done, rctl
from tests.kernel.workload import filler, sleeper

SPEC = """
version = 1
[ve.web1.limits]
memory.max = "128M"
cpu.max = 0.5
[ve.web3.limits]
pids.max = 33
"""


def fails(done: Done, status: int, start: str) -> None:
    """It failed with this status and one line, which starts so."""
    assert (done.status, done.out) == (status, ""), done
    first, *more = done.err.splitlines()
    assert first.startswith(f"rctl: {start}"), done.err
    assert all(line.startswith("  ") for line in more), done.err
    assert no_journal()


def test_python_m_rctl_is_the_program(ve: Ve) -> None:
    assert ve.able("pids.max")
    command = [sys.executable, "-m", "rctl", "set", "web1", "pids.max=10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "web1: changed\n  pids.max: max -> 10\n"
    assert ve.text("pids.max") == "10"


def test_set_show_and_ls(ve: Ve) -> None:
    done = rctl("set", "web1", "memory.max=64M", "--cpus", "50%", "--pids", "100")
    assert (done.status, done.err) == (0, "")
    assert ve.text("memory.max") == str(64 << 20)
    shown = rctl("show", "web1")
    assert shown.status == 0
    assert "64M" in shown.out
    assert "0.5 CPUs" in shown.out
    (data,) = json.loads(rctl("show", "web1", "--json").out)
    assert (data["name"], data["state"], data["pids"]["max"]) == ("web1", "empty", 100)
    assert rctl("ls").out.splitlines()[1].split()[:2] == ["web1", "empty"]
    (row,) = json.loads(rctl("ls", "--json").out)
    assert row["memory_max"] == 64 << 20


def test_patterns_name_many(ve: Ve, other: Ve) -> None:
    done = rctl("set", "web*", "pids.max=10", "--json")
    account = json.loads(done.out)
    told = {outcome["name"]: outcome["status"] for outcome in account["outcomes"]}
    assert (told["web1"], told["web2"]) == ("changed", "changed")
    assert (ve.text("pids.max"), other.text("pids.max")) == ("10", "10")
    fails(rctl("set", "db*", "pids.max=10"), 1, "'db*': no VE matches")
    fails(rctl("show", "db*"), 1, "'db*': no VE matches")


def test_dry_run_changes_nothing(ve: Ve) -> None:
    before = ve.snapshot()
    done = rctl("set", "web1", "pids.max=10", "cpu.max=0.5", "--dry-run")
    assert done.out.splitlines()[0] == "web1: planned"
    assert "  pids.max: max -> 10" in done.out.splitlines()
    assert ve.snapshot() == before


def test_refusal_tells_every_ve_and_changes_none(ve: Ve, other: Ve) -> None:
    rctl("set", "web*", "pids.max=10")
    before = (ve.snapshot(), other.snapshot())
    done = rctl("set", "web1", "web2", "pids.max=20", "files.cgroup.max.depth=deep")
    fails(done, 1, "cgroup.max.depth: cannot write 'deep'")
    assert done.err.splitlines()[1:] == ["  web1: rolled back", "  web2: not reached"]
    assert (ve.snapshot(), other.snapshot()) == before


@pytest.mark.parametrize(
    ("words", "status", "start"),
    [
        (["set", "web9", "pids.max=10"], 1, "web9: "),
        (["set", "web1", "pids.max=many"], 2, "pids.max: "),
        (["set", "web1", "memory.maximum=1G"], 2, "memory.maximum: there is no such limit. Did you mean memory.max? "),
        (["set", "web1"], 2, "set: no limit given"),
        (["set", "pids.max=10"], 2, "set: no VE given"),
        (["set", "web1", "pids.max=1", "--pids", "2"], 2, "pids.max: given twice"),
        (["set", "web1", "pids.max=1", "--deadline", "soon"], 2, "--deadline: "),
        (["set", "../x", "pids.max=1"], 2, "'../x': not a VE's name"),
        (["apply", "/no/such/file"], 2, "/no/such/file: "),
        (["undo"], 1, "undo: nothing left to undo"),
        (["rm", "/system.slice"], 2, "/system.slice: not one of rctl's own VEs"),
        (["run", "web1", "--", "no-such-program"], 2, "no-such-program: no such program"),
        (["frobnicate"], 2, "frobnicate: there is no such verb"),
    ],
)
def test_errors_are_one_line(words: list[str], status: int, start: str) -> None:
    fails(rctl(*words), status, start)


def test_apply_makes_changes_and_then_has_nothing_to_do(ve: Ve, tree: Tree, tmp_path: Path) -> None:
    spec = tmp_path / "ves.toml"
    spec.write_text(SPEC)
    differs = rctl("diff", str(spec), "--exit-code")
    assert (differs.status, "+ web3" in differs.out) == (1, True)
    assert not Ve(tree, "web3").dir.exists()
    assert json.loads(rctl("apply", str(spec), "--dry-run", "--json").out)["made"] == ["web3"]
    assert not Ve(tree, "web3").dir.exists()
    first = rctl("apply", str(spec))
    assert first.status == 0
    assert "web3: made" in first.out.splitlines()
    assert (ve.text("cpu.max"), Ve(tree, "web3").text("pids.max")) == ("50000 100000", "33")
    second = json.loads(rctl("apply", "-", "--json", stdin=SPEC).out)
    assert (second["made"], second["account"]["id"]) == ([], None)
    assert rctl("diff", str(spec), "--exit-code").status == 0


def test_prune_removes_what_the_spec_does_not_name(ve: Ve, other: Ve, tree: Tree) -> None:
    worker = sleeper(other.dir)
    fails(rctl("apply", "-", "--prune", stdin=SPEC), 1, "web2: not in the spec, and has 1 process(es)")
    assert tree.names() == ["web1", "web2"]
    assert ve.text("cgroup.controllers") == "" or ve.text("cpu.max").startswith("max")
    worker.kill()
    done = rctl("apply", "-", "--prune", stdin=SPEC)
    assert (done.status, "web2: removed" in done.out.splitlines()) == (0, True)
    assert tree.names() == ["web1", "web3"]


def test_a_spec_that_is_refused_makes_nothing(tree: Tree) -> None:
    done = rctl("apply", "-", stdin='version = 1\n[ve.web5.limits]\npids.max = 3\nfiles."cgroup.max.depth" = "deep"\n')
    fails(done, 1, "cgroup.max.depth")
    assert tree.names() == []


def test_history_and_undo(ve: Ve) -> None:
    assert rctl("set", "web1", "pids.max=10").status == 0
    assert rctl("set", "web1", "pids.max=20").status == 0
    shown = rctl("history").out
    assert shown.splitlines()[1].endswith("rctl set web1 pids.max=20")
    first = json.loads(rctl("history", "--json").out)[-1]
    done = rctl("undo")
    assert done.status == 0
    named, *lines = done.out.splitlines()
    assert named.startswith("undo ")
    assert named.endswith(": rctl set web1 pids.max=20)")
    assert lines == ["web1: changed", "  pids.max: 20 -> 10"]
    (ve.dir / "pids.max").write_text("15")
    fails(rctl("undo", first["id"]), 1, "pids.max: on ")
    assert rctl("undo", first["id"], "--force").status == 0
    assert ve.unset("pids.max")


def test_undo_of_several(ve: Ve) -> None:
    for number in (10, 20, 30):
        ve.set({"pids.max": number})
    assert rctl("undo", "--last", "2").status == 0
    assert ve.text("pids.max") == "10"


def test_shrink_that_fails_says_how_far_it_got(ve: Ve) -> None:
    ve.set({"memory.max": "100M", "memory.swap.max": 0})
    filler(ve.dir, 40)
    done = rctl("set", "web1", "memory.max=20M", "--deadline", "300ms")
    fails(done, 1, "memory.max: cannot set 20M on")
    assert ve.text("memory.max") == str(100 << 20)


def test_recover_doctor_and_schema() -> None:
    assert rctl("recover") == Done(0, "nothing to recover\n", "")
    doctor = rctl("doctor", "--json")
    assert (doctor.status, doctor.err) == (0, "")
    assert {check["state"] for check in json.loads(doctor.out)} <= {"ok", "warn", "info"}
    assert json.loads(rctl("schema").out)["title"] == "rctl spec"


def test_file_that_this_kernel_lacks_is_one_line(ve: Ve) -> None:
    if lacks(ve, "cpu.idle", {"cpu.weight": "idle"}):
        fails(rctl("set", "web1", "cpu.weight=idle"), 1, "cpu.idle: this kernel has no such file")
    else:
        assert rctl("set", "web1", "cpu.weight=idle").status == 0


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a user without rights, whose state is a folder of their own."""
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    own = Path(f"/tmp/rctl-test-nobody-{tmp_path.name}")
    own.mkdir()
    os.chown(own, NOBODY, NOBODY)
    yield {"RCTL_STATE": str(own / "state")}
    shutil.rmtree(own)


def test_user_without_rights_is_told_in_one_line(ve: Ve, nobody: dict[str, str]) -> None:
    ve.set({"pids.max": 10})
    told = f"pids.max: cannot be opened for writing on {ve.path}: EACCES: permission denied. Run as root"
    fails(rctl("set", "web1", "pids.max=20", user=NOBODY, env=nobody), 1, told)
    fails(rctl("set", "web1", "io.weight=20", user=NOBODY, env=nobody), 1, "")
    if "RCTL_TREE" not in os.environ:
        start = "web7: cannot be made below /: permission denied. Run as root, or set RCTL_TREE to"
        fails(rctl("run", "web7", "--", "true", user=NOBODY, env=nobody), 1, start)
    assert ve.text("pids.max") == "10"
    assert rctl("show", "web1", user=NOBODY, env=nobody).status == 0


@pytest.mark.parametrize(
    "words", [("rm", "web1", "--kill"), ("rm", "web1"), ("undo", "--force"), ("apply", "--prune", "-")]
)
def test_user_who_may_not_remove_a_ve_ends_no_process_of_it(
    ve: Ve, other: Ve, nobody: dict[str, str], words: tuple[str, ...]
) -> None:
    """The user may write all in the VE, and not the folder that it lies in."""
    worker = sleeper(ve.dir) if "--kill" in words else None
    if words[0] == "undo":
        ve.dir.rmdir()
        assert rctl("apply", "-", stdin="version = 1\n[ve.web1]\n", env=nobody).status == 0
        subprocess.run(["chown", "-R", str(NOBODY), nobody["RCTL_STATE"]], check=True)
    for path in (ve.dir, *ve.dir.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    done = rctl(*words, user=NOBODY, env=nobody, stdin="version = 1\n[ve.web2]\n")
    assert (done.status, done.out) == (1, "")
    assert f"{ve.path}: cannot be removed: EACCES: permission denied. Run as root" in done.err
    assert ve.dir.exists()
    assert worker is None or worker.ask("there?") == "here"
    listed = json.loads(rctl("history", "--json", user=NOBODY, env=nobody).out)
    assert [one["command"].split()[1] for one in listed] == ["apply"] * (words[0] == "undo")


def test_user_who_may_not_end_what_is_inside_removes_nothing(ve: Ve, scratch: Path, nobody: dict[str, str]) -> None:
    if not (scratch / "cgroup.kill").exists():
        pytest.skip("cgroup.kill came with Linux 5.14")
    for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
        os.chown(scratch / name, NOBODY, NOBODY)
    (scratch / "own").mkdir()
    worker = sleeper(scratch / "own")
    env = nobody | {"RCTL_TREE": f"/{scratch.relative_to(MOUNT)}"}
    done = rctl("rm", "own", "--kill", user=NOBODY, env=env)
    fails(done, 1, f"cgroup.kill: cannot be written on {env['RCTL_TREE']}/own: EACCES")
    assert worker.ask("there?") == "here"
    assert rctl("history", "--json", user=NOBODY, env=env).out.strip() == "[]"


def test_user_with_a_subtree_is_told_which_controller_it_was_not_given(scratch: Path, nobody: dict[str, str]) -> None:
    (scratch / "ours" / "own").mkdir(parents=True)
    for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
        os.chown(scratch / "ours" / name, NOBODY, NOBODY)
    path = f"/{scratch.relative_to(MOUNT)}"
    env = nobody | {"RCTL_TREE": f"{path}/ours"}
    for dry in ((), ("--dry-run",)):
        done = rctl("set", "own", "pids.max=9", *dry, user=NOBODY, env=env)
        fails(done, 1, f"pids.max: the pids controller is not handed down by {path}, where you may not write")
    (scratch / "cgroup.subtree_control").write_text("+pids")
    assert rctl("set", "own", "pids.max=9", user=NOBODY, env=env).status == 0


def test_user_with_a_subtree_labels_ves_in_it_and_no_others(scratch: Path, nobody: dict[str, str]) -> None:
    for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
        os.chown(scratch / name, NOBODY, NOBODY)
    env = nobody | {"RCTL_TREE": f"/{scratch.relative_to(MOUNT)}"}
    spec = 'version = 1\n[ve.own.labels]\nenv = "prod"\n'
    for one in (spec, spec.replace("prod", "test")):
        assert rctl("apply", "-", user=NOBODY, env=env, stdin=one).status == 0
    assert rctl("undo", user=NOBODY, env=env).status == 0
    assert os.getxattr(scratch / "own", "user.rctl.label.env") == b"prod"
    os.chown(scratch / "own", 0, 0)
    done = rctl("apply", "-", user=NOBODY, env=env, stdin=spec.replace("prod", "test"))
    fails(done, 1, f"{env['RCTL_TREE']}/own: label env cannot be set: EACCES: permission denied. Run as root")
    assert os.getxattr(scratch / "own", "user.rctl.label.env") == b"prod"


def test_ls_all_shows_whatever_somebody_made(scratch: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(scratch) + b"/a\x1b\xff"))
    odd.mkdir()
    sleeper(odd)
    path = f"/{scratch.relative_to(MOUNT)}"
    rows = json.loads(rctl("ls", "--all", "--json", f"{path}*").out)
    assert [(row["name"], row["processes"]) for row in rows] == [(path + r"/a\x1b\udcff", 1)]
    assert r"a\x1b" in rctl("ls", "--all").out


def test_delegated_subtree_is_enough_for_a_user(scratch: Path, nobody: dict[str, str]) -> None:
    for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
        os.chown(scratch / name, NOBODY, NOBODY)
    env = nobody | {"RCTL_TREE": f"/{scratch.relative_to(MOUNT)}"}
    spec = 'version = 1\n[ve.own.limits]\npids.max = 30\nmemory.max = "64M"\ncpu.weight = 50\n'
    assert rctl("apply", "-", user=NOBODY, env=env, stdin=spec).status == 0
    done = rctl("set", "own", "pids.max=40", "memory.max=32M", user=NOBODY, env=env)
    assert (done.status, done.err) == (0, "")
    assert (scratch / "own" / "pids.max").read_text() == "40\n"
    assert rctl("undo", user=NOBODY, env=env).status == 0
    assert (scratch / "own" / "pids.max").read_text() == "30\n"
    assert rctl("rm", "own", user=NOBODY, env=env).status == 0
    assert not (scratch / "own").exists()


@pytest.mark.parametrize("words", [("run", "own", "--pids", "9", "--", "true"), ("attach", "own", "{pid}")])
def test_delegated_subtree_a_process_of_elsewhere_may_not_be_moved(
    scratch: Path, nobody: dict[str, str], words: tuple[str, ...], tmp_path: Path
) -> None:
    """The kernel asks for rights at the common ancestor. Doctor tried that; nothing is made, and nothing in history."""
    for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
        os.chown(scratch / name, NOBODY, NOBODY)
    tree = f"/{scratch.relative_to(MOUNT)}"
    env = nobody | {"RCTL_TREE": tree}
    done = rctl(*(word.format(pid=os.getpid()) for word in words), user=NOBODY, env=env)
    fails(done, 1, f"{tree}/own: ")
    assert "that needs write access to cgroup.procs of /, which is above both. " in done.err
    assert list(scratch.glob("*/")) == []
    assert rctl("history", "--json", user=NOBODY, env=env).out.strip() == "[]"
    told = rctl("doctor", user=NOBODY, env=env)
    assert (told.status, "fail  run" in told.out, "write access to cgroup.procs of /" in told.out) == (1, True, True)


def test_delegated_subtree_doctor_tries_a_process_from_inside(scratch: Path, nobody: dict[str, str]) -> None:
    for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
        os.chown(scratch / name, NOBODY, NOBODY)
    shell = scratch / "shell"
    shell.mkdir()
    for path in (shell, shell / "cgroup.procs"):
        os.chown(path, NOBODY, NOBODY)
    tree = f"/{scratch.relative_to(MOUNT)}"
    home = MOUNT / Path("/proc/self/cgroup").read_text().strip()[3:].strip("/")
    (shell / "cgroup.procs").write_text("0")
    try:
        told = rctl("doctor", user=NOBODY, env=nobody | {"RCTL_TREE": tree})
    finally:
        (home / "cgroup.procs").write_text("0")
    assert "ok    run" in told.out
    assert [path.name for path in scratch.glob("*/")] == ["shell"]


def test_set_by_pattern_tells_of_names_that_cannot_be_printed(scratch: Path) -> None:
    for name in ("good", "bad\x1b[2J"):
        (scratch / name).mkdir()
    above = f"/{scratch.relative_to(MOUNT)}"
    done = rctl("set", f"{above}/*", "files.cgroup.max.depth=3")
    assert (done.status, done.out.splitlines()[0]) == (0, f"{above}/good: changed")
    assert f"rctl: {above}/bad\\x1b[2J: left out: its name cannot be printed" in done.err
    assert (scratch / "bad\x1b[2J/cgroup.max.depth").read_text() == "max\n"


def test_a_dry_run_foresees_files_that_the_kernel_only_shows(ve: Ve) -> None:
    for dry in ((), ("-n",)):
        fails(rctl("set", "web1", "files.cgroup.stat=1", *dry), 1, "cgroup.stat: on /rctl-web1: the kernel shows it")
        fails(rctl("set", "web1", "files.foo.bar=1", *dry), 1, "foo.bar: this kernel has no such file on /rctl-web1")
    told = "cgroup.kill: cannot read on /rctl-web1: EINVAL: the file can be written, but not read"
    fails(rctl("get", "web1", "files.cgroup.kill"), 1, told)
