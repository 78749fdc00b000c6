"""What is said while another adjustment is under way: to those who wait for it, to ``recover`` and to ``doctor``."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from rctl import cli
from rctl.adjust import locks, transaction
from rctl.adjust.lifecycle import remove
from rctl.adjust.progress import Event
from rctl.adjust.records import under_way
from rctl.adjust.records.journal import new_id
from rctl.adjust.records.record_format import Record, named
from rctl.adjust.recovery import recover
from rctl.adjust.state_folder import default_state, make
from rctl.console import output, session
from rctl.doctor import rctl_folders
from tests.unit.another_process import another_process
from tests.unit.fake_kernel import BOOT
from tests.unit.shell import Shell


@contextmanager
def adjusting(shell: Shell) -> Iterator[tuple[str, int]]:
    """Another process is adjusting web1: what its adjustment is called, and its id."""
    inodes = {"/rctl-web1": shell.kernel.node("/rctl-web1").ino}
    record = Record(new_id(), 1795342500.25, BOOT, "rctl set web1 pids.max=5", inodes, ())
    with default_state() as state, another_process(make(state), msgspec.json.encode(record).decode()) as process:
        yield named(record), process.pid


@pytest.fixture
def held(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Another process holds web1's lock. ``held(then)``: when it is told that somebody waits, ``then()`` is called."""
    monkeypatch.setattr(locks, "_SILENT", 0.0)
    with default_state() as state, another_process(make(state), ino=shell.kernel.node("/rctl-web1").ino) as process:

        def on_wait(then: Callable[[], object] = process.kill) -> None:
            def heard(event: Event) -> None:
                output.progress(event)
                if event.what == "wait":
                    then()

            monkeypatch.setattr(session, "progress", heard)

        on_wait()
        yield on_wait


WAITING = "rctl: /rctl-web1: waiting for another adjustment, 30 s at most\n"


@pytest.mark.usefixtures("held")
def test_who_waits_is_told_so_and_goes_on(shell: Shell) -> None:
    status, out, err = shell.run("set", "web1", "pids.max=5")
    assert (status, err) == (0, WAITING)
    assert "pids.max: max -> 5" in out


def test_who_waits_for_one_that_is_stopped_without_a_journal_is_told_its_process(shell: Shell) -> None:
    ino = shell.kernel.node("/rctl-web1").ino
    with default_state() as state, another_process(make(state), ino=ino) as process:
        cure = f"process {process.pid} is stopped, and may hold it. Let it go on: kill -CONT {process.pid}"
        assert under_way.told(state, ino) == ". Wait for it to end, and try again"
        stop(process.pid)
        assert under_way.told(state, ino) == f". P{cure[1:]}"
        assert under_way.awaited(state, None) == f": {cure}"
        process.send_signal(signal.SIGCONT)


@pytest.mark.usefixtures("held")
def test_a_wait_leaves_json_alone_and_is_silent_with_quiet(shell: Shell) -> None:
    status, out, err = shell.run("set", "web1", "pids.max=5", "--json", "--quiet")
    assert (status, err) == (0, "")
    assert json.loads(out)["outcomes"][0]["status"] == "changed"


def test_ctrl_c_while_waiting_says_nothing_of_an_adjustment(shell: Shell, held: Callable[..., None]) -> None:
    held(lambda: cli._interrupt(signal.SIGINT, None))
    assert shell.run("set", "web1", "pids.max=5") == (130, "", WAITING + "rctl: interrupted\n")


def test_ctrl_c_when_all_is_written_says_that_it_was_completed(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "caveats", lambda *_: cli._interrupt(signal.SIGINT, None))
    told = "rctl: interrupted; an adjustment under way was completed. See rctl history\n"
    assert shell.run("set", "web1", "pids.max=5") == (130, "", told)
    assert shell.kernel.get("/rctl-web1", "pids.max") == "5"


def test_ctrl_c_while_ves_are_removed_asks_for_recovery(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(remove, "take_all_away", lambda *_: cli._interrupt(signal.SIGINT, None))
        told = "rctl: interrupted; an adjustment under way is half done: rctl recover completes it. See rctl history\n"
        assert shell.run("rm", "web2") == (130, "", told)
    assert "rolled forward" in shell.run("recover")[1]
    assert shell.run("get", "web2")[0] == 1


def test_ctrl_c_while_ves_are_made_says_that_they_went_again(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "look", lambda *_: cli._interrupt(signal.SIGINT, None))
    told = "rctl: interrupted; an adjustment under way was put back. See rctl history\n"
    assert shell.run("run", "web3", "-d", "--", "true") == (130, "", told)
    assert shell.run("get", "web3")[0] == 1


def test_recover_names_an_adjustment_that_is_under_way(shell: Shell) -> None:
    with adjusting(shell) as (what, pid):
        assert shell.run("recover") == (0, f"under way: {what}, process {pid}\n", "")
        status, out, _ = shell.run("recover", "--json")
        assert (status, json.loads(out)) == (0, [f"under way: {what}, process {pid}"])
    assert shell.run("recover")[1].startswith("recovered ")


def test_ctrl_c_in_recover_says_what_became_of_each_adjustment(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        with adjusting(shell):
            pass
    settle, settled = recover._settle, []

    def interrupted(*args: Any) -> str:
        if settled:
            cli._interrupt(signal.SIGINT, None)
        settled.append(args)
        return settle(*args)

    monkeypatch.setattr(recover, "_settle", interrupted)
    status, _, err = shell.run("recover")
    assert status == 130
    assert err.startswith("rctl: interrupted; ")
    assert err.count("recovered ") == 1
    assert "an adjustment under way is half done: rctl recover completes it" in err


def test_recover_says_how_one_that_is_stopped_goes_on(shell: Shell) -> None:
    with adjusting(shell) as (what, pid):
        stop(pid)
        told = f"under way: {what}, process {pid}, which is stopped. Let it go on: kill -CONT {pid}\n"
        assert shell.run("recover") == (0, told, "")
        os.kill(pid, signal.SIGCONT)


def test_doctor_warns_of_one_that_is_stopped(shell: Shell) -> None:
    with adjusting(shell) as (what, pid), default_state() as state:
        check = rctl_folders.journals(state)
        assert (check.state, check.found) == ("ok", f"none left open; under way: {what}, process {pid}")
        stop(pid)
        check = rctl_folders.journals(state)
        assert (check.state, check.found) == ("warn", f"stopped half way: {what}, process {pid}")
        assert check.remedy == f"Let it go on: kill -CONT {pid}"
        os.kill(pid, signal.SIGCONT)


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
