"""``rctl undo`` as it is typed: it says what it takes back, and never takes back something else."""

from __future__ import annotations

import json
import re
import time

import pytest

from rctl.adjust.records.journal import Journal
from rctl.adjust.records.record_format import Record
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Set
from rctl.cgroupfs.files import this_host
from tests.unit.shell import Shell

ID = "20261122-101500-000-0123abcd"
NAMED = r"\d{8}-\d{6}-\S+ \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d: rctl set web1 pids.max=5\)"


def test_undo_names_id_time_and_command_and_shows_what_it_does(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    for words, start, state in ((["--dry-run"], "would undo", "planned"), ([], "undo", "changed")):
        status, out, err = shell.run("undo", *words)
        first, *rest = out.splitlines()
        assert (status, err) == (0, "")
        assert re.fullmatch(f"{start} {NAMED}", first)
        assert rest == [f"web1: {state}", "  pids.max: 5 -> max"]


def test_undo_as_json_says_what_it_undoes(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    data = json.loads(shell.run("undo", "--json")[1])
    assert data["undoes"]["command"] == "rctl set web1 pids.max=5"
    assert data["outcomes"][0]["status"] == "changed"


def test_undo_refuses_to_skip_the_adjustment_of_a_ve_that_is_gone(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    shell.run("set", "web2", "pids.max=7")
    shell.run("rm", "web2")
    status, out, err = shell.run("undo")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert re.search(
        r"the last 2 adjustments are of VEs that were removed or started anew, or lie in another cgroup namespace: "
        rf"web2; .* {NAMED}, use: rctl undo \S+$",
        err,
    )
    assert shell.kernel.get("/rctl-web1", "pids.max") == "5"
    assert shell.run("undo", err.split()[-1])[0] == 0
    assert shell.kernel.get("/rctl-web1", "pids.max") == "max"


def test_what_was_started_anew_lost_its_limits_and_may_get_them_again(shell: Shell) -> None:
    """``restore`` and ``keep`` would put them back."""
    shell.kernel.make("/box")
    shell.run("set", "/box", "pids.max=5")
    shell.kernel.remove("/box")
    shell.kernel.make("/box")
    [record] = json.loads(shell.run("history", "--json")[1])
    status, _, err = shell.run("undo", record["id"])
    assert (status, "If they are to get these limits no more: rctl forget /box\n" in err) == (1, True)
    assert shell.run("forget", "/box")[0] == 0
    assert shell.run("restore")[1] == "all desired limits are in force\n"
    assert shell.kernel.get("/box", "pids.max") == "max"
    assert "those with their names are new. Nothing to undo\n" in shell.run("undo", record["id"])[2]


def test_the_command_that_forgets_can_be_typed_and_is_not_endless(shell: Shell) -> None:
    boxes = [f"/box{number} a" for number in range(40)]
    for path in boxes:
        shell.kernel.make(path)
    shell.run("set", *boxes, "pids.max=5")
    for path in boxes:
        shell.kernel.remove(path)
    [record] = json.loads(shell.run("history", "--json")[1])
    err = shell.run("undo", record["id"])[2].splitlines()[0]
    assert "rctl forget '/box0 a' '/box1 a' " in err
    assert err.endswith(" '/box7 a' ..., 40 in all")


def test_plain_undo_names_the_ways_on_if_a_unit_was_started_anew(shell: Shell) -> None:
    shell.kernel.make("/system.slice/job.service")
    shell.run("set", "web1", "pids.max=5")
    shell.run("set", "/system.slice/job.service", "pids.max=5")
    shell.kernel.remove("/system.slice/job.service")
    last, first = (record["id"] for record in json.loads(shell.run("history", "--json")[1]))
    status, _, err = shell.run("undo")
    assert status == 1
    assert f"the last adjustment, {last}" in err
    assert f"use: rctl undo {first}. If they are to get these limits no more: rctl forget job.service\n" in err
    shell.run("forget", "job.service")
    assert shell.run("undo")[2].endswith(f"use: rctl undo {first}\n")


def test_units_that_are_gone_are_named_as_people_know_them(shell: Shell) -> None:
    units = [f"/system.slice/job{number}.service" for number in (1, 2)]
    for path in units:
        shell.kernel.make(path)
    shell.run("set", "web1", units[0], "pids.max=5")
    shell.run("set", units[0], "pids.max=6")
    shell.run("set", units[1], "pids.max=6")
    for path in units:
        shell.kernel.remove(path)
    _, _, err = shell.run("undo")
    assert "the last 2 adjustments" in err
    assert "namespace: job2.service, job1.service;" in err
    first = json.loads(shell.run("history", "--json")[1])[-1]["id"]
    assert "job1.service: was removed; there is nothing to undo there\n" in shell.run("undo", first)[2]


def test_undo_of_one_ve(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    shell.run("set", "web2", "pids.max=7")
    status, out, _ = shell.run("undo", "--ve", "web1")
    assert (status, out.splitlines()[1]) == (0, "web1: changed")
    assert shell.kernel.get("/rctl-web2", "pids.max") == "7"


@pytest.mark.parametrize("more", [["--ve", "web1"], ["--last", "2"]])
def test_an_id_names_one_adjustment(shell: Shell, more: list[str]) -> None:
    assert "an ID names one adjustment" in shell.refused("undo", "20200101-1", *more)


def test_undo_of_the_last_three_names_each(shell: Shell) -> None:
    for number in (5, 6, 7):
        shell.run("set", "web1", f"pids.max={number}")
    assert [line.split()[-1] for line in shell.run("undo", "--last", "3", "-n")[1].splitlines() if "would" in line] == [
        "pids.max=7)",
        "pids.max=6)",
        "pids.max=5)",
    ]
    assert shell.run("undo", "--last", "3")[0] == 0
    assert shell.kernel.get("/rctl-web1", "pids.max") == "max"


def test_undo_of_a_ve_by_its_name_is_sent_to_the_option(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    assert shell.run("undo", "web1") == (
        2,
        "",
        "rctl: web1: not the id of an adjustment. For the last one of a VE: rctl undo --ve web1\n",
    )


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_several_undone_are_one_list_in_json(shell: Shell, more: list[str]) -> None:
    shell.run("set", "web1", "pids.max=5")
    shell.run("set", "web1", "pids.max=6")
    status, out, err = shell.run("undo", "--last", "2", "--json", *more)
    assert (status, err) == (0, "")
    assert [one["undoes"]["command"] for one in json.loads(out)] == [
        "rctl set web1 pids.max=6",
        "rctl set web1 pids.max=5",
    ]


def test_what_was_undone_before_a_failure_is_in_json_too(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5", "cpu.weight=50")
    shell.run("set", "web1", "pids.max=6")
    shell.kernel.put("/rctl-web1", "cpu.weight", "70")
    status, out, err = shell.run("undo", "--last", "2", "--json")
    assert status == 1
    assert len(json.loads(out)) == 1
    assert "cpu.weight" in err


def crashed(shell: Shell, path: str, boot: str = "") -> None:
    """An adjustment that was killed after it had set pids.max to 9."""
    shell.kernel.put(path, "pids.max", "9")
    steps = (Set(path, "pids.max", "max", "9"),)
    inodes = {path: shell.kernel.node(path).ino}
    record = Record(ID, time.time(), boot or this_host().boot_id, "rctl set other", inodes, steps)
    with State(f"{shell.state}/run", shell.state) as state:
        Journal(make(state), record).abandon()


def test_undo_takes_no_older_adjustment_in_the_place_of_one_that_a_crash_left_open(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    crashed(shell, "/rctl-web2")
    for words in ([], ["--dry-run"], ["--ve", "web2"]):
        status, out, err = shell.run("undo", *words)
        assert (status, out) == (1, "")
        assert "rctl set other) was left open by a crash, and may count as the last one" in err
        assert err.endswith("Settle it first: rctl recover\n")
    assert shell.kernel.get("/rctl-web1", "pids.max") == "5"
    assert "rolled forward" in shell.run("recover")[1]
    assert "rctl set other" in shell.run("undo")[1]
    assert shell.kernel.get("/rctl-web1", "pids.max") == "5"
    assert shell.kernel.get("/rctl-web2", "pids.max") == "max"


def test_undo_of_another_ve_or_after_a_boot_need_not_wait_for_recover(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    crashed(shell, "/rctl-web2")
    assert shell.run("undo", "--ve", "web1", "--dry-run")[0] == 0
    shell.run("recover")
    shell.run("undo")
    crashed(shell, "/rctl-web2", "another boot")
    assert shell.run("undo")[0] == 0
    assert shell.kernel.get("/rctl-web1", "pids.max") == "max"


def test_undo_after_a_freeze_names_the_one_before(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    before = json.loads(shell.run("history", "--json")[1])[0]["id"]
    shell.run("freeze", "web1")
    shell.run("thaw", "web1")
    for words in (("undo",), ("undo", "--ve", "web1")):
        status, out, err = shell.run(*words)
        assert (status, out) == (1, "")
        first, second = err.splitlines()
        assert "rctl thaw web1) only froze or thawed" in first
        assert first.endswith(f"rctl set web1 pids.max=5): rctl undo {before}")
        assert second.startswith("  not undone: ")
    assert shell.run("undo", before)[0] == 0


def test_a_pattern_of_the_history_does_not_cross_a_slash(shell: Shell) -> None:
    shell.kernel.make("/web/a")
    shell.run("set", "/web/a", "pids.max=9")
    assert "no adjustments of /web*" in shell.run("history", "/web*")[2]
    assert len(json.loads(shell.run("history", "/web/*", "--json")[1])) == 1
