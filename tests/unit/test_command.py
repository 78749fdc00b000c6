"""A command that rctl starts beside itself: as real processes, without entering a VE; and the end of its VE."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from rctl.adjust.engine import Options
from rctl.adjust.site import Site
from rctl.cgroupfs.mounts import Mount
from rctl.cgroupfs.tree import Tree
from rctl.ve import bare, command
from rctl.ve.remove import end
from tests.unit.fake_kernel import FakeKernel, state_folder

PROGRAM = """
import sys, types
from rctl.ve import command

class Journal:
    def hand_over(self): return ["not in the history"]

command.enter = lambda ve: None
command.home = lambda tree: None
beside = sys.argv[1] == "beside"
tell = lambda note: print(note, flush=True)
site = types.SimpleNamespace(tree=None, tell=tell)
job = command.Command(site, "/bin/sh", ["sh", "-c", "exit 7"], beside=beside, detach=False)
job.start(types.SimpleNamespace(ino=2), Journal(), lambda: None, [])
sys.exit(job.wait())
"""


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN], ids=["default", "ignored"])
def test_run_ends_as_its_command_also_where_the_caller_ignores_the_end_of_children(handler: signal.Handlers) -> None:
    def inherited() -> None:
        os.chdir("/")
        signal.signal(signal.SIGCHLD, handler)

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "beside"],
        preexec_fn=inherited,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (7, "")


@pytest.mark.parametrize("how", ["beside", "become"])
def test_run_says_what_who_became_the_command_could_not_write_down(how: str) -> None:
    words = [sys.executable, "-c", PROGRAM, how]
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (7, "not in the history\n", "")


def test_run_becomes_its_command_also_where_its_own_cgroup_is_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given another file system over the cgroup of the caller's shell, when a command starts, then it does so."""
    became: list[str] = []
    monkeypatch.setattr(command, "_become", lambda program, _: became.append(program))
    monkeypatch.setattr(Tree, "cgroup_of", lambda *_: "/user.slice/a.scope")
    kernel = FakeKernel()
    kernel.make("/rctl-web1")
    kernel.make("/user.slice")
    kernel.make("/user.slice/a.scope", procs=(os.getpid(),))
    with kernel.installed() as tree, state_folder() as state, tree.open_ve("web1") as ve:
        tree.mount = Mount("/sys/fs/cgroup", over=("/user.slice",))
        site = Site(tree, kernel.host, state)
        job = command.Command(site, "/bin/true", ["true"], beside=False, detach=False)
        job.start(ve, SimpleNamespace(hand_over=list), lambda: None, [])  # type: ignore[arg-type]
    assert became == ["/bin/true"]


def test_a_ve_that_was_made_again_under_the_name_outlives_the_command_of_the_first() -> None:
    kernel = FakeKernel()
    kernel.make("/rctl-job")
    first = kernel.node("/rctl-job").ino
    with kernel.installed() as tree, state_folder() as state:
        site = Site(tree, kernel.host, state)
        bare.remove(tree, "job")
        kernel.make("/rctl-job", procs=(7,))
        assert end(site, "job", first, Options()) is None
        assert kernel.node("/rctl-job").procs == {7}
        end(site, "job", kernel.node("/rctl-job").ino, Options())
        assert "rctl-job" not in kernel.root.children
        assert end(site, "job", first, Options()) is None
