"""Timed adjustments: the old value comes back when the time is over, unless somebody changed the limit meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import rctl
from rctl.adjust.request import Options
from rctl.errors import UsageError
from rctl.over_time import restoring, timers
from rctl.over_time.sleeper import next_moment
from rctl.over_time.timers import Ended, settle
from tests.unit.fake_calls import Operation
from tests.unit.shell import Shell


@pytest.fixture(autouse=True)
def awaited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened while a process was made sure to wait."""
    told: list[str] = []

    @contextmanager
    def block(_: object) -> Iterator[None]:
        told.append("begin")
        yield
        told.append("end")

    monkeypatch.setattr(timers, "awaited", block)
    return told


def done(shell: Shell, *words: str) -> str:
    status, out, err = shell.run(*words)
    assert status == 0, err
    return out


def settled(failures: int = 0) -> list[Ended]:
    with rctl.session(command="rctl timers") as s:
        ended, failed = settle(s.site, Options())
    assert len(failed) == failures, failed
    return ended


def newest(shell: Shell) -> str:
    return str(json.loads(done(shell, "history", "--last", "1", "--json"))[0]["id"])


def listed(shell: Shell) -> list[tuple[str, str, str, bool]]:
    """Limit, the value that was set, the one to which it goes back, and whether it stays."""
    return [
        (one["limit"], one["set_to"], one["then"], bool(one["stays"]))
        for timer in json.loads(done(shell, "timers", "--json"))
        for one in timer["limits"]
    ]


class TestTheEnd:
    def test_the_old_value_comes_back_and_not_before(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "pids.max=5")
        done(shell, "set", "web1", "web2", "pids.max=50", "--for", "10m")
        clock(599)
        assert settled() == []
        assert shell.kernel.get("/rctl-web1", "pids.max") == "50"
        clock(2)
        assert len(settled()) == 1
        assert [shell.kernel.get(path, "pids.max") for path in ("/rctl-web1", "/rctl-web2")] == ["5", "max"]
        assert (settled(), listed(shell)) == ([], [])

    def test_it_is_an_undo_in_the_history(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "pids.max=50", "--for", "10m")
        timed = newest(shell)
        clock(601)
        settled()
        record = json.loads(done(shell, "history", "--last", "1", "--json"))[0]
        assert record["undoes"] == timed
        assert record["command"] == "end of the timer of: rctl set web1 pids.max=50 --for 10m"
        assert "nothing left to undo" in shell.run("undo")[2]

    def test_what_somebody_changed_meanwhile_stays_and_is_told(
        self, shell: Shell, clock: Callable[[float], None]
    ) -> None:
        done(shell, "set", "web1", "pids.max=50", "cpu.weight=300", "--for", "10m")
        shell.kernel.put("/rctl-web1", "pids.max", "77")
        clock(601)
        (ended,) = settled()
        assert ended.notes == ("web1: pids.max stays: another program changed it to 77",)
        assert (shell.kernel.get("/rctl-web1", "pids.max"), shell.kernel.get("/rctl-web1", "cpu.weight")) == (
            "77",
            "100",
        )

    def test_when_all_was_changed_the_history_says_so(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "pids.max=50", "--for", "10m")
        done(shell, "set", "web1", "pids.max=60")
        plain = newest(shell)
        clock(601)
        settled()
        record = json.loads(done(shell, "history", "--last", "1", "--json"))[0]
        assert record["command"].endswith(f"; web1: pids.max stays: {plain} set it since")
        assert shell.kernel.get("/rctl-web1", "pids.max") == "60"

    def test_an_idle_ve_gets_its_weight_back(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "cpu.weight=200")
        done(shell, "set", "web1", "cpu.weight=idle", "--for", "1h")
        clock(3601)
        settled()
        assert (shell.kernel.get("/rctl-web1", "cpu.idle"), shell.kernel.get("/rctl-web1", "cpu.weight")) == (
            "0",
            "200",
        )
        assert shell.run("drift")[0] == 0

    def test_a_frozen_ve_thaws(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "files.cgroup.freeze=1", "--for", "1min")
        clock(61)
        settled()
        assert shell.kernel.get("/rctl-web1", "cgroup.freeze") == "0"

    def test_what_is_back_already_is_no_change_by_another_program(
        self, shell: Shell, clock: Callable[[float], None]
    ) -> None:
        """Given a VE that was made anew before the time is over, then there is nothing to say."""
        done(shell, "set", "web1", "pids.max=50", "--for", "10m")
        shell.kernel.put("/rctl-web1", "pids.max", "max")
        clock(601)
        assert [ended.notes for ended in settled()] == [()]

    def test_a_ve_that_is_gone_ends_its_timer(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web2", "pids.max=50", "--for", "10m")
        shell.kernel.remove("/rctl-web2")
        clock(601)
        assert len(settled()) == 1
        assert listed(shell) == []

    def test_it_does_not_touch_a_new_ve_with_the_name_of_one_that_was_removed(
        self, shell: Shell, clock: Callable[[float], None]
    ) -> None:
        done(shell, "set", "web1", "pids.max=512")
        done(shell, "set", "web1", "pids.max=256", "--for", "10m")
        done(shell, "rm", "--kill", "web1")
        assert listed(shell) == []
        (shell.folder / "spec.toml").write_text("version = 1\n[ve.web1.limits]\npids.max = 256\n")
        done(shell, "apply", "spec.toml")
        clock(601)
        assert settled() == []
        assert shell.kernel.get("/rctl-web1", "pids.max") == "256"

    def test_of_a_ve_that_is_forgotten_the_limits_stay(self, shell: Shell, clock: Callable[[float], None]) -> None:
        """Another VE with the same timer gets its old value back."""
        done(shell, "set", "web1", "web2", "pids.max=50", "--for", "10m")
        done(shell, "forget", "web1")
        assert listed(shell) == [("pids.max", "50", "max", False)]
        clock(601)
        settled()
        assert [shell.kernel.get(path, "pids.max") for path in ("/rctl-web1", "/rctl-web2")] == ["50", "max"]

    def test_one_that_cannot_go_back_yet_is_tried_again(self, shell: Shell, clock: Callable[[float], None]) -> None:
        """Given memory in use above the old limit, when the time is over, then nothing is killed, and it stays due."""
        shell.kernel.make("/rctl-full", procs=(77,), anon=200 << 20)
        done(shell, "set", "full", "memory.max=300M", "memory.swap.max=0")
        done(shell, "set", "full", "memory.max=1G", "--for", "10m")
        shell.kernel.node("/rctl-full").anon = 900 << 20
        clock(601)
        assert settled(failures=1) == []
        assert shell.kernel.get("/rctl-full", "memory.max") == str(1 << 30)
        shell.kernel.node("/rctl-full").anon = 100 << 20
        assert len(settled()) == 1

    def test_what_was_desired_before_is_desired_again(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "pids.max=5")
        done(shell, "set", "web1", "pids.max=50", "--for", "10m")
        assert shell.run("drift")[0] == 0
        clock(601)
        assert shell.run("drift")[0] == 1, "the time is over, and the value not back yet"
        settled()
        assert shell.run("drift")[0] == 0


class TestNested:
    def test_the_inner_one_ends_first(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "pids.max=10", "--for", "10m")
        done(shell, "set", "web1", "pids.max=20", "--for", "5m")
        clock(301)
        settled()
        assert shell.kernel.get("/rctl-web1", "pids.max") == "10"
        clock(300)
        settled()
        assert shell.kernel.get("/rctl-web1", "pids.max") == "max"

    def test_the_outer_one_ends_first_and_its_value_does_not_come_back(
        self, shell: Shell, clock: Callable[[float], None]
    ) -> None:
        done(shell, "set", "web1", "pids.max=10", "--for", "5m")
        done(shell, "set", "web1", "pids.max=20", "--for", "10m")
        assert listed(shell) == [("pids.max", "10", "max", True), ("pids.max", "20", "10", False)]
        clock(301)
        (ended,) = settled()
        assert ended.notes[0].endswith("set it since, which has a timer of its own")
        assert shell.kernel.get("/rctl-web1", "pids.max") == "20"
        assert listed(shell) == [("pids.max", "20", "max", False)]
        clock(300)
        settled()
        assert shell.kernel.get("/rctl-web1", "pids.max") == "max"

    def test_both_are_over_at_once(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "pids.max=10", "--for", "5m")
        done(shell, "set", "web1", "pids.max=20", "--for", "10m")
        clock(9999)
        assert len(settled()) == 2
        assert shell.kernel.get("/rctl-web1", "pids.max") == "max"

    def test_a_change_for_good_that_is_undone_leaves_the_timer(
        self, shell: Shell, clock: Callable[[float], None]
    ) -> None:
        done(shell, "set", "web1", "pids.max=10", "--for", "5m")
        done(shell, "set", "web1", "pids.max=20")
        done(shell, "undo")
        clock(301)
        settled()
        assert shell.kernel.get("/rctl-web1", "pids.max") == "max"

    def test_undo_of_a_change_above_one_that_has_ended_does_not_bring_its_value_back(
        self, shell: Shell, clock: Callable[[float], None]
    ) -> None:
        done(shell, "set", "web1", "pids.max=50", "cpu.weight=300", "--for", "10m")
        done(shell, "set", "web1", "pids.max=70", "cpu.weight=200")
        clock(601)
        settled()
        assert "pids.max: 70 -> max" in done(shell, "undo", "--dry-run")
        done(shell, "undo")
        assert shell.kernel.get("/rctl-web1", "pids.max") == "max"
        assert shell.kernel.get("/rctl-web1", "cpu.weight") == "100"
        assert shell.run("drift")[0] == 0


class TestGradual:
    """A rolling change and a ramp are one change with one timer, and the time counts from its end."""

    @pytest.fixture(autouse=True)
    def no_sleep(self, monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None]) -> None:
        monkeypatch.setattr("time.sleep", clock)

    def test_a_rolling_change_goes_back_as_one(
        self, shell: Shell, clock: Callable[[float], None], awaited: list[str]
    ) -> None:
        done(shell, "set", "web2", "pids.max=5")
        words = ["set", "web*", "pids.max=50", "--batch", "1", "--pause", "60s", "--for", "10m"]
        status, out, err = shell.run(*words)
        assert (status, awaited) == (0, ["begin", "end"])
        change = out.split(":")[0]
        assert err.splitlines()[-1].startswith("rctl: the old values come back at ")
        assert err.endswith(f"To keep these: rctl timers cancel {change}\n")
        assert [one["id"] for one in json.loads(done(shell, "timers", "--json"))] == [change]
        clock(599)
        assert settled() == [], "it counts from the last batch"
        clock(2)
        assert [ended.id for ended in settled()] == [change]
        assert [shell.kernel.get(path, "pids.max") for path in ("/rctl-web1", "/rctl-web2")] == ["max", "5"]
        assert json.loads(done(shell, "history", "--last", "1", "--json"))[0]["undoes"] == change

    def test_one_that_went_on_later_is_still_timed(self, shell: Shell, clock: Callable[[float], None]) -> None:
        def answer(operation: Operation) -> int | None:
            return 5 if operation.kind == "write" and operation.path == "/rctl-web2" else None

        shell.kernel.broken = answer
        status, out, _ = shell.run("set", "web*", "pids.max=50", "--batch", "1", "--for", "10m")
        assert status == 4
        change = out.split(":")[0]
        shell.kernel.broken = lambda _: None
        clock(300)
        done(shell, "set", "--retry", change)
        clock(599)
        assert settled() == []
        clock(2)
        assert len(settled()) == 1
        assert [shell.kernel.get(path, "pids.max") for path in ("/rctl-web1", "/rctl-web2")] == ["max", "max"]

    def test_a_ramp(self, shell: Shell, clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("time.monotonic", lambda: time.time())
        done(shell, "set", "web1", "cpu.weight=300", "--over", "60s", "--steps", "3", "--for", "10m")
        clock(599)
        assert (settled(), shell.kernel.get("/rctl-web1", "cpu.weight")) == ([], "300")
        clock(2)
        assert len(settled()) == 1
        assert shell.kernel.get("/rctl-web1", "cpu.weight") == "100"

    def test_undo_ends_the_timer_of_the_whole(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web*", "pids.max=50", "--batch", "1", "--for", "10m")
        done(shell, "undo")
        clock(9999)
        assert (settled(), listed(shell)) == ([], [])

    @pytest.mark.parametrize(
        "words",
        [
            ["--batch", "1", "--pause", "10s", "--for", "10s"],
            ["--batch", "1", "--check", "true", "--for", "30s"],
            ["--over", "100s", "--steps", "11", "--for", "10s"],
        ],
    )
    def test_the_first_part_must_not_go_back_before_the_last(self, shell: Shell, words: list[str]) -> None:
        said = shell.refused("set", "web*", "cpu.weight=300", *words)
        assert "can be over before the next part of the change begins. Give more than " in said


class TestTheVerb:
    def test_list(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "memory.max=1G", "--for", "2h")
        head, row = done(shell, "timers").splitlines()
        assert head.split() == ["ID", "VE", "LIMIT", "NOW", "THEN", "LEFT"]
        assert row.split() == [newest(shell), "web1", "memory.max", "1G", "max", "2:00:00"]

    def test_a_ve_that_is_gone_is_told(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web2", "memory.max=1G", "--for", "2h")
        shell.kernel.remove("/rctl-web2")
        assert "web2  memory.max  -    the VE is gone  2:00:00" in done(shell, "timers")

    def test_now_is_the_value_that_the_kernel_has(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "web2", "pids.max=50", "--for", "2h")
        shell.kernel.put("/rctl-web1", "pids.max", "77")
        shell.kernel.put("/rctl-web2", "pids.max", "max")
        assert [row.split()[1:5] for row in done(shell, "timers").splitlines()[1:]] == [
            ["web1", "pids.max", "77", "stays"],
            ["web2", "pids.max", "max", "max"],
        ]
        [timer] = json.loads(done(shell, "timers", "--json"))
        assert [one["set_to"] for one in timer["limits"]] == ["50", "50"]

    def test_none(self, shell: Shell) -> None:
        assert shell.run("timers")[2] == "rctl: no timers. Set one: rctl set NAME memory.max=1G --for 10m\n"

    def test_extend(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "pids.max=50", "--for", "10m")
        assert done(shell, "timers", "extend", newest(shell), "10m").split(": ")[1].startswith("ends at")
        clock(601)
        assert settled() == []
        clock(600)
        assert len(settled()) == 1

    @pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 1e300])
    def test_a_time_from_python_has_the_same_bounds(self, shell: Shell, seconds: float) -> None:
        done(shell, "set", "web1", "pids.max=50", "--for", "10m")
        with rctl.session() as s, pytest.raises(UsageError, match="more than 0, and at most a year"):
            s.extend_timer(newest(shell), seconds)

    def test_cancel(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "pids.max=50", "--for", "10m")
        timed = newest(shell)
        assert done(shell, "timers", "cancel", timed) == f"{timed}: its limits stay\n"
        clock(9999)
        assert (settled(), listed(shell)) == ([], [])
        assert shell.kernel.get("/rctl-web1", "pids.max") == "50"
        assert shell.run("drift")[0] == 0
        done(shell, "undo")
        assert shell.kernel.get("/rctl-web1", "pids.max") == "max", "an undo passes over the record of the cancel"

    def test_undo_ends_the_timer(self, shell: Shell, clock: Callable[[float], None]) -> None:
        done(shell, "set", "web1", "pids.max=50", "--for", "10m")
        done(shell, "undo")
        clock(9999)
        assert (settled(), listed(shell)) == ([], [])

    @pytest.mark.parametrize("words", [["extend", "x", "10m"], ["cancel", "x"]])
    def test_an_id_that_has_no_timer(self, shell: Shell, words: list[str]) -> None:
        assert shell.run("timers", *words) == (1, "", "rctl: x: no timer has this id. There is none. See rctl timers\n")

    @pytest.mark.parametrize(("time", "why"), [("soon", "--for: 'soon'"), ("0", "--for: "), ("-1m", "--for: ")])
    def test_a_time_that_is_none(self, shell: Shell, time: str, why: str) -> None:
        assert why in shell.refused("set", "web1", "pids.max=50", f"--for={time}")

    def test_a_process_waits_before_the_change_is_made(self, shell: Shell, awaited: list[str]) -> None:
        shell.kernel.watch = lambda operation: awaited.append("write") if operation.kind == "write" else None
        done(shell, "set", "web1", "pids.max=50", "--for", "10m")
        assert (awaited[0], awaited[-1], "write" in awaited) == ("begin", "end", True)

    def test_a_dry_run_starts_nothing(self, shell: Shell, awaited: list[str]) -> None:
        done(shell, "set", "web1", "pids.max=50", "--for", "10m", "--dry-run")
        assert awaited == []

    def test_what_changes_nothing_has_no_timer(self, shell: Shell) -> None:
        status, _, err = shell.run("set", "web1", "pids.max=max", "--for", "10m")
        assert (status, err) == (0, "rctl: nothing differs, so there is no timer\n")
        assert listed(shell) == []


class TestWhoeverWaits:
    def test_the_next_look_is_at_the_next_end(self, shell: Shell, clock: Callable[[float], None]) -> None:
        assert looked() is None
        done(shell, "set", "web1", "pids.max=50", "--for", "10m")
        done(shell, "set", "web2", "pids.max=50", "--for", "1h")
        assert looked() == pytest.approx(1_800_000_600, abs=1)
        clock(601)
        assert looked() == pytest.approx(1_800_003_600, abs=1)

    def test_after_a_boot_restore_sees_to_it_that_a_process_waits(
        self, shell: Shell, clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started: list[str] = []
        monkeypatch.setattr(restoring, "start_sleeper_if_needed", lambda _: started.append("sleeper"))
        done(shell, "restore")
        assert started == []
        done(shell, "set", "web1", "pids.max=50", "--for", "10m")
        done(shell, "restore", "--dry-run")
        assert started == []
        done(shell, "restore")
        assert started == ["sleeper"]

    def test_what_fails_is_tried_again_soon(
        self, shell: Shell, clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done(shell, "set", "web1", "pids.max=50", "--for", "10m")
        clock(601)
        monkeypatch.setattr(timers, "transact", _refused)
        assert looked() == pytest.approx(1_800_000_631, abs=1)


def _refused(*_: object, **__: object) -> None:
    raise rctl.RctlError("busy")


def looked() -> float | None:
    with rctl.session() as s:
        return next_moment(s.site)
