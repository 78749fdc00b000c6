"""Bare VEs: made, filled, emptied and removed, by the engine's callers and by run, attach and rm."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rctl.adjust.engine import Options
from rctl.adjust.lifecycle.processes import processes
from rctl.adjust.site import Site
from rctl.adjust.state_folder import default_state
from rctl.cgroupfs.files import this_host
from rctl.cgroupfs.tree import Tree
from rctl.cli import main
from rctl.controllers import core
from rctl.errors import BusyError, KernelError, NotFoundError, UsageError
from rctl.limits import decode, nest
from rctl.ve import bare, command
from rctl.ve.attach import attach
from tests.kernel.helpers import MOUNT, Ve, enabled, refused
from tests.kernel.shell import Done, forked, load_for_all, rctl
from tests.kernel.test_cli import fails
from tests.kernel.workload import forker, sleeper, until


def gone(pid: int) -> bool:
    """Whether the process has ended, waited for by its parent or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def home(pid: int) -> str:
    """The process's cgroup path."""
    return Path(f"/proc/{pid}/cgroup").read_text().strip().rpartition("0::")[2]


def test_made_with_limits_or_not_at_all(tree: Tree) -> None:
    host = this_host()
    good, bad = (decode(nest(wanted), host) for wanted in ({"pids.max": 9}, {"files.cgroup.max.depth": "deep"}))
    with refused(KernelError, "cgroup.max.depth"):
        bare.apply(Site(tree, host, default_state()), {"a": good, "b": bad}, Options())
    assert tree.names() == []
    made, _ = bare.apply(Site(tree, host, default_state()), {"a": good}, Options())
    assert made == ["a"]
    assert Ve(tree, "a").text("pids.max") == "9"


def test_made_where_no_cgroup_above_enables_its_controllers_yet(scratch: Path) -> None:
    (deep := scratch / "deep").mkdir()
    place = {"RCTL_TREE": f"/{deep.relative_to(MOUNT)}"}
    begun = time.monotonic()
    assert rctl("run", "web1", "--pids", "9", "--", "true", env=place).status == 0
    assert time.monotonic() - begun < 25  # it waited 30 s for its own journal
    assert (deep / "web1" / "pids.max").read_text() == "9\n"
    assert rctl("undo", env=place).status == 0
    assert not (deep / "web1").exists()
    assert enabled(scratch) == []


def test_a_name_is_taken_once(ve: Ve, tree: Tree) -> None:
    with refused(BusyError, "exists already", ve):
        bare.make(tree, "web1")


def test_remove_leaves_one_with_processes_alone_unless_it_may_kill(ve: Ve, tree: Tree) -> None:
    (ve.dir / "below").mkdir()
    below = sleeper(ve.dir / "below")
    worker = forker(ve.dir)
    assert worker.ask("3") == "3 0"
    with refused(BusyError, r"^web1: has 5 process\(es\)", ve):
        bare.remove(tree, "web1")
    assert bare.remove(tree, "web1", kill=True) == 5
    assert not ve.dir.exists()
    assert (worker.end(), below.end()) == (-signal.SIGKILL, -signal.SIGKILL)


def test_frozen_ve_is_removed_too(ve: Ve, tree: Tree) -> None:
    worker = sleeper(ve.dir)
    ve.set({"files.cgroup.freeze": 1})
    until(lambda: ve.count("cgroup.events", "frozen"), "frozen")
    bare.remove(tree, "web1", kill=True)
    assert worker.end() == -signal.SIGKILL


@pytest.mark.usefixtures("as_root")
def test_a_threaded_ve_does_not_pass_for_empty(ve: Ve, other: Ve, tree: Tree, tmp_path: Path) -> None:
    """Its cgroup.procs cannot be read, and its cgroup.kill cannot be written."""
    worker = sleeper(MOUNT)
    (ve.dir / "cgroup.type").write_text("threaded")
    (ve.dir / "cgroup.threads").write_text(str(worker.pid))
    (tmp_path / "spec.toml").write_text(f"version = 1\n[ve.{other}.limits]\n")
    done = rctl("apply", "--prune", str(tmp_path / "spec.toml"))
    fails(done, 1, "web1: not in the spec, and has 1 process(es)")
    fails(rctl("rm", "web1"), 1, f"web1: has 1 process(es), the first is {worker.pid}")
    assert rctl("rm", "--kill", "web1").out == "web1: removed, 1 process(es) killed\n"
    assert worker.end() == -signal.SIGKILL


@pytest.mark.parametrize("closed", [False, True])
def test_what_was_done_counts_as_done_where_it_cannot_be_said(ve: Ve, closed: bool) -> None:
    """/dev/full takes nothing (ENOSPC); a pipe whose reader has gone takes nothing either (EPIPE)."""

    def run(*words: str) -> Done:
        def deaf() -> None:
            reader, writer = os.pipe()
            os.close(reader)
            os.dup2(writer if closed else os.open("/dev/full", os.O_WRONLY), 1)
            sys.argv = ["rctl", *words]
            main()

        return forked(deaf)

    load_for_all()
    told = "" if closed else "rctl: standard output: No space left on device; what was asked for is done all the same\n"
    assert run("set", "web1", "pids.max=5") == Done(0, "", told)
    assert ve.text("pids.max") == "5"
    assert run("undo") == Done(0, "", told)
    assert not ve.has("pids.max")  # the controller went with the limit
    assert run("run", "-d", "job", "--", "true") == Done(0, "", told)
    assert run("rm", "--kill", "job", "web1") == Done(0, "", told)
    assert not ve.dir.exists()
    assert run("history").status == 1  # which was asked for its output alone


def test_foreign_cgroups_are_not_removed(scratch: Path, tree: Tree) -> None:
    foreign = scratch / "below"
    foreign.mkdir()
    with pytest.raises(UsageError, match="not one of rctl's own VEs"):
        bare.remove(tree, f"/{foreign.relative_to(MOUNT)}", kill=True)
    assert foreign.exists()


def test_attach_moves_all_or_none(ve: Ve, other: Ve, tree: Tree) -> None:
    first, second = sleeper(other.dir), sleeper(other.dir)
    host = this_host()
    with pytest.raises(NotFoundError, match="there is no such process"):
        attach(Site(tree, host, default_state()), "web1", [first.pid, 2**22 - 1], Options())
    with pytest.raises(KernelError, match=r"cgroup\.procs"):
        attach(Site(tree, host, default_state()), "web1", [first.pid, second.pid, 2], Options())  # a kernel thread
    assert (home(first.pid), home(second.pid)) == (other.path, other.path)
    attach(Site(tree, host, default_state()), "web1", [first.pid, second.pid], Options())
    assert (home(first.pid), home(second.pid)) == (ve.path, ve.path)


def test_attach_by_command_makes_the_ve_or_leaves_nothing(other: Ve, tree: Tree) -> None:
    worker = sleeper(other.dir)
    fails(rctl("attach", "new", str(worker.pid), "4194303"), 1, "4194303: there is no such process")
    assert tree.names() == ["web2"]
    done = rctl("attach", "new", str(worker.pid))
    assert (done.status, done.out) == (0, f"new: attached {worker.pid}\n")
    assert json.loads(rctl("attach", "new", str(worker.pid), "--json").out) == {"ve": "new", "pids": [worker.pid]}
    assert home(worker.pid) == Ve(tree, "new").path


def test_run_becomes_the_command_inside_the_ve(tree: Tree) -> None:
    done = rctl("run", "job", "--memory", "64M", "--pids", "20", "--", "cat", "/proc/self/cgroup")
    assert (done.status, done.err) == (0, "")
    assert done.out.endswith(f"0::{Ve(tree, 'job').path}\n")
    assert Ve(tree, "job").text("memory.max") == str(64 << 20)
    assert rctl("run", "job", "--", "sh", "-c", "exit 7").status == 7


def test_run_rm_removes_the_ve_and_passes_the_status_on(tree: Tree) -> None:
    assert rctl("run", "--rm", "job", "-l", "pids.max=20", "--", "sh", "-c", "exit 7").status == 7
    assert tree.names() == []
    assert rctl("run", "--rm", "job", "--", "true").status == 0
    assert tree.names() == []


@pytest.mark.parametrize("how", [["--rm"], []])
def test_the_status_of_a_command_that_a_signal_killed_is_128_and_its_number(tree: Tree, how: list[str]) -> None:
    done = rctl("run", *how, "job", "--", "sh", "-c", "kill -KILL $$")
    assert done.status == (137 if how else -signal.SIGKILL)  # the shell makes 137 of it


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_rm_hands_a_signal_on_and_removes_the_ve_all_the_same(tree: Tree, number: signal.Signals) -> None:
    script = f"trap 'echo got; exit 9' {number.name[3:]}; : > $0; while :; do sleep 0.05; done"
    procs = Ve(tree, "job").dir / "cgroup.procs"

    def send() -> None:
        until(lambda: procs.exists() and (mark := procs.read_text().split()) and ready(int(mark[0])), "the command")
        os.kill(os.getppid(), number)

    def ready(pid: int) -> bool:
        caught = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[0]
        return bool(int(caught, 16) & 1 << (number - 1)) and "sh" in Path(f"/proc/{pid}/comm").read_text()

    load_for_all()
    done = forked(lambda: beside(send, ["run", "--rm", "job", "--", "sh", "-c", script, "/dev/null"]))
    assert (done.status, done.out, done.err) == (9, "got\n", "")
    assert tree.names() == []


def beside(what: Callable[[], None], words: list[str]) -> None:
    """Run `rctl WORDS` while a child does something to it."""
    if not os.fork():
        try:
            what()
        finally:
            os._exit(0)
    sys.argv = ["rctl", *words]
    main()


def test_the_command_has_the_signals_that_python_ignores(tree: Tree) -> None:
    for how in (["--rm"], []):
        done = rctl("run", *how, "job", "--", "grep", "SigIgn", "/proc/self/status")
        ignored = int(done.out.split()[1], 16)
        assert not ignored & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))


@pytest.mark.parametrize("how", [[], ["--rm"], ["--detach"]])
def test_a_command_that_cannot_be_started_leaves_no_ve(tree: Tree, tmp_path: Path, how: list[str]) -> None:
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    fails(rctl("run", *how, "job", "--", str(program)), 2, f"{program}: cannot be run: No such file or directory")
    assert tree.names() == []
    bare.make(tree, "job").close()
    reason = "job: exists already" if how == ["--rm"] else f"{program}: cannot be run"
    fails(rctl("run", *how, "job", "--", str(program)), 2, reason)
    assert tree.names() == ["job"]  # it was there before


def test_run_rm_is_for_a_ve_of_its_own(ve: Ve) -> None:
    """Else it would end the processes of others at the end of its own command."""
    worker = sleeper(ve.dir)
    done = rctl("run", "--rm", ve.name, "--", "true")
    assert (done.status, "exists already" in done.err) == (2, True)
    assert worker.ask("there?") == "here"


def test_the_first_process_stays_where_it_is(ve: Ve, tree: Tree) -> None:
    with pytest.raises(UsageError, match="first process"):
        attach(Site(tree, this_host(), default_state()), ve.name, [1], Options())


def test_a_detached_command_keeps_no_pipe_open_but_a_file(tree: Tree, tmp_path: Path) -> None:
    words = ["run", "-d", "--json", "job", "--", "sh", "-c", "echo out; echo err >&2; exec sleep 1000"]
    line = [sys.executable, "-m", "rctl", *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    told = json.loads(done.stdout)
    assert (told["ve"], done.stderr) == ("job", "")
    assert {os.readlink(f"/proc/{told['pid']}/fd/{fd}") for fd in range(3)} == {"/dev/null"}
    bare.remove(tree, "job", kill=True)

    def logged() -> None:
        log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT, 0o600)
        for stream in (1, 2):
            os.dup2(log, stream)
        sys.argv = ["rctl", *words]
        main()

    load_for_all()
    assert forked(logged).status == 0
    until(lambda: {"out", "err"} <= {*(tmp_path / "log").read_text().splitlines()}, "the command's output")
    bare.remove(tree, "job", kill=True)


def test_without_cgroup_kill_all_are_killed_that_fork_meanwhile(
    ve: Ve, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "KILL", "cgroup.none")
    ve.set({"pids.max": 50})
    done = rctl("run", "-d", "web1", "--", "sh", "-c", "f() { sleep 0.01; f & f & }; f & wait")
    assert done.status == 0
    until(lambda: len(processes(tree.open_ve("web1"))) > 10, "many processes")
    assert bare.remove(tree, "web1", kill=True) > 1  # how many there are changes all the time
    assert tree.names() == []


def test_run_detached_returns_at_once_with_the_process_id(tree: Tree) -> None:
    begin = time.monotonic()
    done = rctl("run", "--detach", "job", "--", "sleep", "1000")
    assert time.monotonic() - begin < 20
    pid = int(done.out)
    procs = Ve(tree, "job").dir / "cgroup.procs"
    until(lambda: procs.read_text() == f"{pid}\n", "the command inside the VE")
    done = rctl("rm", "job")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("rctl: job: has 1 process(es)")
    done = rctl("rm", "job", "--kill")
    assert (done.status, done.out) == (0, "job: removed, 1 process(es) killed\n")
    until(lambda: gone(pid), "the command's end")


def test_run_that_cannot_have_its_limits_runs_nothing(tree: Tree, tmp_path: Path) -> None:
    done = rctl("run", "job", "-l", "files.cgroup.max.depth=deep", "--", "touch", str(tmp_path / "ran"))
    fails(done, 1, "cgroup.max.depth")
    assert tree.names() == []
    assert not (tmp_path / "ran").exists()


def test_rm_of_many_removes_all_or_when_one_has_processes_none(ve: Ve, other: Ve, tree: Tree) -> None:
    worker = sleeper(other.dir)
    fails(rctl("rm", "web*"), 1, "web2: has 1 process(es)")
    assert tree.names() == ["web1", "web2"]
    worker.kill()
    done = rctl("rm", "web*")
    assert (done.status, done.out.splitlines()) == (0, ["web1: removed", "web2: removed"])
    assert rctl("rm", "web1") == Done(1, "web1: not there\n", "")


def test_names_lists_only_managed_ves(ve: Ve, scratch: Path, tree: Tree, place: Path) -> None:
    listed = tree.names()
    assert "web1" in listed
    if tree.naming.prefix:
        assert listed == ["web1"]
    assert os.path.samefile(ve.dir.parent, place)


def test_undo_of_attach_moves_the_processes_back(other: Ve, tree: Tree) -> None:
    worker = sleeper(other.dir)
    assert rctl("attach", "new", str(worker.pid)).status == 0
    done = rctl("undo")
    assert (done.status, done.err) == (0, "")
    assert home(worker.pid) == other.path
    assert tree.names() == ["web2"]


def test_undo_of_a_run_leaves_a_ve_with_processes_and_says_so(tree: Tree) -> None:
    assert rctl("run", "-d", "job", "--pids", "20", "--", "sleep", "1000").status == 0
    done = rctl("undo")
    assert "job: stays, because it has processes or cgroups inside. See rctl rm --kill" in done.err
    assert not Ve(tree, "job").has("pids.max")  # the controller went with the limit


@pytest.mark.parametrize("words", [["-d"], ["--rm"]])
def test_a_signal_in_the_moment_of_the_start_undoes_nothing(tree: Tree, words: list[str]) -> None:
    """The command runs by then, and so its limits are not put back, nor does a VE stay that is to go."""

    def started() -> None:
        real = command.became

        def became(pid: int) -> bool:
            os.kill(os.getpid(), signal.SIGTERM)
            return real(pid)

        command.became = became  # type: ignore[assignment]
        sys.argv = ["rctl", "run", "web1", *words, "--pids", "9", "--", "sleep", "100"]
        main()

    load_for_all()
    done = forked(started)
    assert "Traceback" not in done.err
    assert done.status == 128 + signal.SIGTERM
    if words == ["--rm"]:  # it went on to the command
        assert tree.names() == []
        return
    assert done.err == "rctl: interrupted; an adjustment under way was completed. See rctl history\n"
    ve = Ve(tree, "web1")
    assert (ve.text("pids.max"), len(processes_of(ve))) == ("9", 1)


def processes_of(ve: Ve) -> list[str]:
    """The ids of the processes in a VE."""
    return ve.text("cgroup.procs").split()
