"""``rctl keep`` on a real kernel: what is made anew gets its limits, what is changed is told, and it does not fight."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rctl.cgroupfs.tree import Tree
from tests.kernel.conftest import IN_LAB
from tests.kernel.docker_files import FIRST, SECOND, DockerFiles
from tests.kernel.helpers import Ve
from tests.kernel.shell import load_for_all, rctl
from tests.kernel.sleepers import end_sleepers, sleepers
from tests.kernel.workload import until


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    yield
    end_sleepers()


def done(*words: str) -> str:
    found = rctl(*words)
    assert found.status == 0, found
    return found.out


class Keep:
    """A running ``rctl keep``: its process, and what it has told."""

    def __init__(self, pid: int, out: Path) -> None:
        self.pid, self._out = pid, out

    def told(self) -> list[dict[str, Any]]:
        """All that it has told so far."""
        return [json.loads(line) for line in self._out.read_text().splitlines() if line.startswith("{")]

    def texts(self, what: str) -> list[str]:
        """The lines of one kind."""
        return [one["text"] for one in self.told() if one["what"] == what]

    def facts(self) -> tuple[int, int]:
        """How often it has slept so far, and its CPU time in clock ticks."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        slept = int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
        ticks = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return slept, sum(map(int, ticks))

    def until_quiet(self) -> None:
        """Until it sleeps, and has slept without a break for a second."""
        at: list[tuple[tuple[int, int], float]] = [((0, 0), 0.0)]

        def quiet() -> bool:
            now = self.facts()
            if now != at[0][0]:
                at[0] = (now, time.monotonic())
            return time.monotonic() - at[0][1] > 1

        until(quiet, "rctl keep to sleep", 60, 0.05)


@contextmanager
def keeping(tmp_path: Path, *words: str) -> Iterator[Keep]:
    """Within, ``rctl keep`` runs, and has told systemd that it is ready."""
    load_for_all()
    out = tmp_path / "told"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(f"\0rctl-test-{os.getpid()}")
        ready.settimeout(120)
        pid = os.fork()
        if not pid:
            _child(out, words)
        try:
            assert ready.recv(64).startswith(b"READY=1"), out.read_text()
            yield Keep(pid, out)
        finally:
            os.kill(pid, signal.SIGTERM)
            _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, out.read_text()


def _child(out: Path, words: tuple[str, ...]) -> None:
    from rctl.cli import main

    code: object = 1
    try:
        fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.environ["NOTIFY_SOCKET"] = f"@rctl-test-{os.getppid()}"
        sys.argv = ["rctl", "keep", "--json", *words]
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 (it must not reach the test in this child)
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def test_a_cgroup_that_comes_back_has_its_limits_within_a_second(place: Path, tmp_path: Path) -> None:
    """Given limits of another manager's cgroup, when it is made anew, then they are back within a second."""
    other = place / "others"
    other.mkdir()
    path = "/" + str(other.relative_to("/sys/fs/cgroup"))
    done("set", path, "pids.max=50", "memory.max=64M")
    with keeping(tmp_path) as keep:
        keep.until_quiet()
        for _ in range(3):
            other.rmdir()
            other.mkdir()
            begin = time.monotonic()
            until(lambda: (other / "memory.max").read_text() == f"{64 << 20}\n", "memory.max")
            until(lambda: (other / "pids.max").read_text() == "50\n", "pids.max")
            took = time.monotonic() - begin
            assert took < 2, "0.2 s on an emulated processor that has nothing else to do"
            keep.until_quiet()
    assert done("drift") == ""


def test_one_below_cgroups_that_come_back_too(place: Path, tmp_path: Path) -> None:
    deep = place / "others" / "a" / "b"
    deep.mkdir(parents=True)
    done("set", "/" + str(deep.relative_to("/sys/fs/cgroup")), "pids.max=50")
    with keeping(tmp_path) as keep:
        keep.until_quiet()
        for folder in (deep, deep.parent, deep.parent.parent):
            folder.rmdir()
        deep.mkdir(parents=True)
        (place / "others" / "cgroup.subtree_control").write_text("+pids")
        (place / "others" / "a" / "cgroup.subtree_control").write_text("+pids")
        until(lambda: (deep / "pids.max").read_text() == "50\n", "the limit")


def test_a_manager_that_writes_its_own_limit_first_does_not_win(place: Path, tmp_path: Path) -> None:
    """Given a manager that sets its own value a moment after it made the cgroup, then the desired one stays."""
    other = place / "others"
    other.mkdir()
    done("set", "/" + str(other.relative_to("/sys/fs/cgroup")), "pids.max=50")
    with keeping(tmp_path) as keep:
        keep.until_quiet()
        other.rmdir()
        other.mkdir()
        until(lambda: (other / "pids.max").read_text() == "50\n", "the limit")
        (other / "pids.max").write_text("9")
        until(lambda: len(keep.texts("restored")) == 2, "the limit, again")
        assert (other / "pids.max").read_text() == "50\n"


def test_a_limit_that_another_program_changed_is_told_once_and_left_alone(ve: Ve, tmp_path: Path) -> None:
    done("set", "web1", "pids.max=50")
    with keeping(tmp_path) as keep:
        keep.until_quiet()
        for _ in range(2):
            (ve.dir / "pids.max").write_text("9")
            until(lambda: keep.texts("drift"), "the message")
            keep.until_quiet()
        text = "web1: pids.max: another program changed it from 50 to 9. To put it back: rctl drift --fix web1"
        assert keep.texts("drift") == [text]
        assert ve.text("pids.max") == "9"


def test_enforced_it_is_put_back_until_it_would_be_a_fight(ve: Ve, tmp_path: Path) -> None:
    """Given another program that sets a limit again and again, then keep stops after five times, and says so."""
    done("set", "web1", "pids.max=50", "cpu.weight=300")
    with keeping(tmp_path, "--enforce") as keep:
        keep.until_quiet()
        for number in range(1, 6):
            (ve.dir / "pids.max").write_text("9")
            until(lambda n=number: len(keep.texts("restored")) == n, "the value to be put back")  # type: ignore[misc]
            assert ve.text("pids.max") == "50"
        (ve.dir / "pids.max").write_text("9")
        until(lambda: keep.texts("left alone"), "the message")
        assert "was put back 5 times within a minute, and another program sets it, too" in keep.texts("left alone")[0]
        keep.until_quiet()
        assert ve.text("pids.max") == "9"
        (ve.dir / "cpu.weight").write_text("77")
        until(lambda: ve.text("cpu.weight") == "300", "the other limit, which is not in the fight")
        done("set", "web1", "pids.max=60")
        (ve.dir / "pids.max").write_text("9")
        until(lambda: ve.text("pids.max") == "60", "a new wish begins anew")


def test_it_leaves_rctls_own_changes_alone(ve: Ve, other: Ve, tmp_path: Path) -> None:
    """Given changes and undos by rctl, also enforced, then keep neither tells nor undoes any of them."""
    done("set", "web1", "web2", "pids.max=50")
    with keeping(tmp_path, "--enforce") as keep:
        keep.until_quiet()
        for number in range(60, 66):
            done("set", "web1", "web2", f"pids.max={number}", "memory.max=64M")
        for _ in range(3):
            done("undo")
        keep.until_quiet()
        assert (ve.text("pids.max"), other.text("pids.max")) == ("62", "62")
        assert keep.told() == []


def test_new_wishes_are_kept_too_and_removed_ones_are_not(ve: Ve, make_ve: Callable[[str], Ve], tmp_path: Path) -> None:
    done("set", "web1", "pids.max=50")
    with keeping(tmp_path) as keep:
        keep.until_quiet()
        new = make_ve("new")
        done("set", "new", "pids.max=7")
        new.dir.rmdir()
        make_ve("new")
        until(lambda: new.text("pids.max") == "7", "the limit")
        done("rm", "new")
        make_ve("new")
        keep.until_quiet()
        assert new.text("pids.max") == "max"


def test_it_ends_timers_and_leaves_the_rest_to_a_sleeper(ve: Ve, other: Ve, tmp_path: Path) -> None:
    """Given a sleeper, when keep begins, then it takes its timers over; at its end, a sleeper waits for the rest."""
    done("set", "web2", "pids.max=9", "--for", "1h")
    until(lambda: len(sleepers()) == 1, "a sleeper", 120)
    with keeping(tmp_path) as keep:
        until(lambda: not sleepers(), "the end of the sleeper", 120)
        done("set", "web1", "pids.max=50", "--for", "1s")
        until(lambda: ve.text("pids.max") == "max", "the old value", 60)
        assert not sleepers()
        until(lambda: keep.texts("timer"), "the message")
    until(lambda: len(sleepers()) == 1, "a sleeper", 120)
    assert other.text("pids.max") == "9"


@pytest.mark.skipif(not IN_LAB, reason="makes units at the root of the tree, which is a host's own")
def test_a_container_of_the_same_name_gets_the_limits_of_the_one_before(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = DockerFiles(place, tmp_path / "docker", monkeypatch)
    docker.start(FIRST, "web")
    done("set", "docker:web", "pids.max=7")
    with keeping(tmp_path) as keep:
        keep.until_quiet()
        docker.remove(FIRST)
        other = docker.start("7" * 64, "db")
        second = docker.start(SECOND, "web")
        until(lambda: (second / "pids.max").read_text() == "7\n", "the limit")
        keep.until_quiet()
        assert (other / "pids.max").read_text() == "max\n"
        assert [one["ve"] for one in keep.told()] == ["docker:web"]


def test_there_is_one_of_it(ve: Ve, tmp_path: Path) -> None:
    with keeping(tmp_path):
        found = rctl("keep")
        assert (found.status, found.out) == (1, "")
        assert found.err == "rctl: keep: another rctl keep runs already. End it first, or leave this to it\n"


def test_it_sleeps_when_nothing_changes(make_ve: Callable[[str], Ve], tmp_path: Path, tree: Tree) -> None:
    """Given 300 VEs with limits, when nothing changes for ten seconds, then it has not run at all."""
    names = [f"ve{number}" for number in range(300)]
    for name in names:
        make_ve(name)
    done("set", "ve*", "pids.max=50", "memory.max=64M")
    with keeping(tmp_path) as keep:
        keep.until_quiet()
        before, begin = keep.facts(), time.monotonic()
        until(lambda: time.monotonic() - begin > 10, "ten seconds", 30, 0.5)
        assert keep.facts() == before
        (Ve(tree, "ve7").dir / "pids.max").write_text("9")
        until(lambda: keep.texts("drift"), "the message: it was awake to that")
