"""A ramp as it is typed: steps that are whole, one change in the history, and back when it is stopped."""

from __future__ import annotations

import json
import os
import re
import signal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.api.session import session
from rctl.cgroupfs.cgroup import Cgroup
from rctl.errors import UsageError
from rctl.over_time import pressure, ramp
from rctl.over_time.ramp import times
from tests.unit.fake_calls import Operation
from tests.unit.shell import Shell

MIB = 1 << 20
ID = re.compile(r"\d{8}-\d{6}-\d{3}-[0-9a-f]{8}")
PSI = "some avg10={} avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


class Clock:
    """Time that passes only when it is slept, and what happens at each sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.at = lambda now: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.at(self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(ramp, "time", SimpleNamespace(monotonic=found.monotonic, sleep=found.sleep))
    return found


def written(shell: Shell, file: str) -> list[str]:
    return [write.text.strip() for write in shell.kernel.writes if write.file == file]


def the_id(text: str) -> str:
    found = ID.search(text)
    assert found, text
    return found[0]


class TestTimes:
    @given(st.floats(0.01, 10**6), st.one_of(st.none(), st.integers(2, 1000)))
    def test_the_first_step_is_at_once_and_the_last_at_the_end(self, seconds: float, steps: int | None) -> None:
        found = times(seconds, steps)
        assert (found[0], found[-1]) == (0, seconds)
        assert found == sorted(found)
        assert len(found) == steps if steps else 2 <= len(found) <= 20

    def test_steps_that_nobody_asked_for_are_a_second_apart(self) -> None:
        assert times(5, None) == [0, 1, 2, 3, 4, 5]
        assert len(times(300, None)) == 20
        assert times(0.5, None) == [0, 0.5]

    @pytest.mark.parametrize("steps", [1, 0, -3, 1001])
    def test_a_number_of_steps_that_is_none(self, steps: int) -> None:
        with pytest.raises(UsageError, match=r"^--steps: -?\d+ is out of range: 2 to 1000$"):
            times(5, steps)


def test_the_values_move_in_steps_and_end_at_the_goal(shell: Shell, clock: Clock) -> None:
    shell.run("set", "web1", "web2", "pids.max=100")
    shell.kernel.operations.clear()
    status, out, err = shell.run("set", "web*", "pids.max=20", "--over", "4s", "--steps", "5")
    assert (status, err) == (0, "")
    assert written(shell, "pids.max") == [v for v in ("84", "68", "52", "36", "20") for _ in range(2)]
    assert clock.slept == [1.0] * 4
    *steps, end = out.splitlines()
    assert steps[0] == "step 1 of 5, after 0 s: web1 pids.max 84, web2 pids.max 84"
    assert steps[-1] == "step 5 of 5, after 4 s: web1 pids.max 20, web2 pids.max 20"
    assert end == f"{the_id(out)}: the goal is reached. To take back the whole ramp: rctl undo {the_id(out)}"


def test_undo_takes_back_the_whole_ramp_in_one_step(shell: Shell, clock: Clock) -> None:
    shell.run("set", "web1", "pids.max=100", "cpu.weight=100")
    change = the_id(shell.run("set", "web1", "pids.max=20", "cpu.weight=500", "--over", "9s")[1])
    (line,) = [line for line in shell.run("history")[1].splitlines() if change in line]
    assert "10 parts" in line
    shell.kernel.operations.clear()
    assert shell.run("undo")[0] == 0
    assert written(shell, "pids.max") == ["100"]
    assert shell.kernel.get("/rctl-web1", "cpu.weight") == "100"
    assert shell.run("undo", change)[0] == 1


def test_a_goal_above_the_use_is_set_at_once(shell: Shell, clock: Clock) -> None:
    shell.kernel.make("/rctl-web1", cache=10 * MIB)
    out = shell.run("set", "web1", "memory.max=64M", "--over", "10s")[1]
    assert out.splitlines()[0] == "step 1 of 1, after 0 s: web1 memory.max 64M"
    assert clock.slept == []


def test_memory_from_max_begins_at_the_use(shell: Shell, clock: Clock) -> None:
    shell.kernel.make("/rctl-web1", cache=80 * MIB)
    shell.run("set", "web1", "memory.max=40M", "--over", "2s", "--steps", "2")
    assert written(shell, "memory.max") == [str(60 * MIB), str(40 * MIB)]


def test_a_step_that_fails_puts_all_back(shell: Shell, clock: Clock) -> None:
    shell.run("set", "web1", "web2", "pids.max=100")

    def broken(operation: Operation) -> int | None:
        return 5 if operation.kind == "write" and operation.text.strip() == "60" and clock.now else None

    shell.kernel.broken = broken
    status, _, err = shell.run("set", "web*", "pids.max=20", "--over", "4s", "--steps", "4")
    assert status == 1
    assert "the ramp stopped, and was put back" in err
    assert [shell.kernel.get(f"/rctl-web{n}", "pids.max") for n in (1, 2)] == ["100", "100"]


def test_the_first_step_that_fails_has_changed_nothing(shell: Shell, clock: Clock) -> None:
    shell.kernel.broken = lambda operation: 5 if operation.kind == "write" and operation.file == "pids.max" else None
    shell.run("set", "web1", "cpu.weight=100")
    status, _, err = shell.run("set", "web1", "cpu.weight=200", "pids.max=5", "--over", "4s")
    assert (status, "pids.max" in err) == (1, True)
    assert shell.kernel.get("/rctl-web1", "cpu.weight") == "100"


def test_a_value_that_somebody_else_changed_stops_it_and_stays(shell: Shell, clock: Clock) -> None:
    shell.run("set", "web1", "pids.max=100")
    clock.at = lambda now: shell.kernel.put("/rctl-web1", "pids.max", "777") if now == 2 else None
    status, _, err = shell.run("set", "web1", "pids.max=20", "--over", "4s", "--steps", "5")
    change = the_id(err)
    assert status == 3
    assert "The ramp stopped, and was not put back: pids.max: on /rctl-web1 is 777 now" in err
    assert f"rctl undo {change} --force" in err
    assert shell.kernel.get("/rctl-web1", "pids.max") == "777"
    assert shell.run("undo", change, "--force")[0] == 0
    assert shell.kernel.get("/rctl-web1", "pids.max") == "100"


def test_ctrl_c_puts_all_back(shell: Shell, clock: Clock) -> None:
    from rctl import cli

    shell.run("set", "web1", "pids.max=100")
    clock.at = lambda now: os.kill(os.getpid(), signal.SIGINT) if now == 2 else None
    before = signal.signal(signal.SIGINT, cli._interrupt)
    try:
        status, _, err = shell.run("set", "web1", "pids.max=20", "--over", "4s", "--steps", "5")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (status, shell.kernel.get("/rctl-web1", "pids.max")) == (130, "100")
    assert "the ramp stopped, and was put back" in err


def test_a_callback_that_fails_puts_all_back(shell: Shell, clock: Clock) -> None:
    shell.run("set", "web1", "pids.max=100")

    def each(step: ramp.RampStep) -> None:
        if step.step == 2:
            raise ZeroDivisionError

    with session() as s, pytest.raises(ZeroDivisionError):
        s.ramp({"web1": {"pids.max": 20}}, 4.0, each=each)
    assert shell.kernel.get("/rctl-web1", "pids.max") == "100"


class TestPressure:
    @pytest.fixture(autouse=True)
    def calm(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        self.figures: dict[tuple[str, str], str] = {}
        real = Cgroup.read_if_there

        def read(cgroup: Cgroup, name: str) -> str | None:
            if name.endswith(".pressure"):
                return self.figures.get((cgroup.path, name), PSI.format("1.00"))
            return real(cgroup, name)

        monkeypatch.setattr(Cgroup, "read_if_there", read)
        shell.run("set", "web1", "web2", "memory.max=1G")

    def put(self, kind: str, text: str) -> None:
        self.figures["/rctl-web2", f"{kind}.pressure"] = text

    def rise(self, clock: Clock, kind: str, moment: float) -> None:
        def at(now: float) -> None:
            if now >= moment:
                self.put(kind, PSI.format("23.50"))

        clock.at = at

    def test_it_stops_and_puts_all_back(self, shell: Shell, clock: Clock) -> None:
        self.rise(clock, "memory", 5)
        status, out, err = shell.run(
            "set", "web*", "memory.max=512M", "--over", "30s", "--steps", "4", "--stop-at-pressure", "20%"
        )
        assert status == 1
        assert "web2: its memory pressure rose to 23.5 %, above 20 %" in err
        assert "the ramp stopped, and was put back" in err
        assert len(out.splitlines()) == 1, "it stopped within a second, before the second step"
        assert clock.now == 5
        assert shell.kernel.get("/rctl-web1", "memory.max") == str(1 << 30)

    def test_what_comes_of_the_last_step_counts(self, shell: Shell, clock: Clock) -> None:
        self.rise(clock, "memory", 33)
        status, _, err = shell.run(
            "set", "web*", "memory.max=512M", "--over", "30s", "--steps", "4", "--stop-at-pressure", "20%"
        )
        assert (status, "rose to" in err) == (1, True)
        assert shell.kernel.get("/rctl-web1", "memory.max") == str(1 << 30)

    def test_another_resource_counts_only_if_it_is_named(self, shell: Shell, clock: Clock) -> None:
        self.rise(clock, "io", 5)
        words = ["set", "web*", "memory.max=512M", "--over", "10s", "--stop-at-pressure"]
        assert shell.run(*words, "20%")[0] == 0
        shell.run("undo")
        clock.now = 0
        self.put("io", PSI.format("0.00"))
        assert shell.run(*words, "memory=20%,io=20%")[0] == 1

    def test_one_that_is_high_before_the_ramp_is_refused(self, shell: Shell, clock: Clock) -> None:
        self.put("memory", PSI.format("40.00"))
        status, out, err = shell.run("set", "web*", "memory.max=512M", "--over", "10s", "--stop-at-pressure", "20%")
        assert (status, out) == (1, "")
        assert err == "rctl: web2: its memory pressure is already 40 %, above 20 %\n"

    def test_without_figures_it_is_refused(self, shell: Shell, clock: Clock) -> None:
        self.put("memory", "")
        err = shell.run("set", "web*", "memory.max=512M", "--over", "10s", "--stop-at-pressure", "20%")[2]
        assert err.startswith(
            "rctl: web2: has no memory.pressure, so --stop-at-pressure cannot watch it. See rctl doctor"
        )

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("20%", {"memory": 20.0, "cpu": 20.0}),
            ("20", {"memory": 20.0, "cpu": 20.0}),
            ("io=5%", {"io": 5.0}),
            ("memory=10%, cpu=2.5%", {"memory": 10.0, "cpu": 2.5}),
        ],
    )
    def test_bounds(self, text: str, found: dict[str, float]) -> None:
        assert pressure.parse(text, ["memory", "cpu", "pids"]) == found

    @pytest.mark.parametrize("text", ["", "0%", "101%", "-1", "swap=5%", "memory=", "20%%", "1e1", "nan"])
    def test_wrong_bounds(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"^--stop-at-pressure: .* is not understood\. Write a share of time"):
            pressure.parse(text, ["memory"])

    def test_limits_without_a_pressure_need_a_resource(self) -> None:
        with pytest.raises(UsageError, match=r"these limits have no pressure of their own\. Name one: memory=20%"):
            pressure.parse("20%", ["pids"])


def test_a_dry_run_shows_the_values_and_changes_nothing(shell: Shell, clock: Clock) -> None:
    shell.run("set", "web1", "pids.max=100")
    before = shell.kernel.limits()
    status, out, err = shell.run("set", "web1", "pids.max=20", "--over", "1min", "--steps", "3", "--dry-run")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "step 1 of 3, after 0 s: web1 pids.max 73",
        "step 2 of 3, after 30 s: web1 pids.max 46",
        "step 3 of 3, after 60 s: web1 pids.max 20",
        "nothing is changed",
    ]
    assert shell.kernel.limits() == before


def test_steps_as_json_lines(shell: Shell, clock: Clock) -> None:
    shell.run("set", "web1", "pids.max=100")
    out = shell.run("set", "web1", "pids.max=20", "--over", "2s", "--json")[1]
    found = [json.loads(line) for line in out.splitlines()]
    assert [one["values"]["web1"]["pids.max"] for one in found] == ["73", "46", "20"]
    assert found[0]["account"]["outcomes"][0]["status"] == "changed"


def test_a_goal_that_is_reached_already_is_no_ramp(shell: Shell, clock: Clock) -> None:
    shell.run("set", "web1", "pids.max=20")
    status, out, _ = shell.run("set", "web1", "pids.max=20", "--over", "10s")
    assert (status, out, clock.slept) == (0, "web1: unchanged\n", [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cpuset.cpus=0"], "cpuset.cpus: has no values in between, so it cannot be ramped. Set it without --over"),
        (["vcpus=1"], "cpuset.cpus: has no values in between"),
        (["files.cgroup.freeze=1"], "cgroup.freeze: has no values in between"),
        (["cpu.weight=idle"], "cpu.idle: has no values in between"),
        (["io.max=sda rbps=1M"], "io.max rbps: max is no number that this host knows, so it cannot be ramped"),
        (["pids.max=5", "--steps", "1"], "--steps: 1 is out of range: 2 to 1000"),
        (["pids.max=5", "--over", "soon"], "--over: "),
        (["pids.max=5", "--stop-at-pressure", "20%"], "these limits have no pressure of their own"),
    ],
)
def test_what_cannot_be_ramped_is_refused_in_one_line(shell: Shell, clock: Clock, words: list[str], said: str) -> None:
    over = [] if "--over" in words else ["--over", "5s"]
    assert said in shell.refused("set", "web1", *words, *over)


def test_a_ramp_is_one_wish_and_its_undo_takes_the_wish_away(shell: Shell, clock: Clock) -> None:
    shell.run("set", "web1", "pids.max=100")
    shell.run("set", "web1", "pids.max=20", "--over", "19s")
    shell.kernel.put("/rctl-web1", "pids.max", "5")
    assert "20" in shell.run("drift")[1]
    shell.run("set", "web1", "pids.max=20")
    shell.run("undo")
    shell.kernel.put("/rctl-web1", "pids.max", "20")
    shell.run("undo")
    assert shell.kernel.get("/rctl-web1", "pids.max") == "100"
    assert shell.run("drift")[0] == 0
    shell.kernel.put("/rctl-web1", "pids.max", "5")
    assert "100" in shell.run("drift")[1]
