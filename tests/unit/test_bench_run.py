"""A run of several benchmarks, the machine's facts, and figures as people read them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from rctl.adjust.site import Site
from rctl.adjust.state_folder import State
from rctl.bench import everything
from rctl.bench.everything import Bar
from rctl.bench.figures.result import Figure, Result
from rctl.bench.figures.text import budget, interval, left, shown
from rctl.bench.parts.benchmarks import Benchmark, Partial, Setting
from rctl.bench.stage import machine
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.errors import NotAvailableError, UsageError
from rctl.host import Host


def setting(tmp_path: Path) -> Setting:
    state = State(str(tmp_path), str(tmp_path))
    site = Site(Tree(Cgroup("/", -1)), Host(lambda path: ""), state)
    return Setting(site, str(tmp_path), quick=True, command="rctl bench")


def part(name: str, does: object = None) -> Benchmark:
    def run(_: Setting, tell: object) -> Result:
        if isinstance(does, BaseException):
            raise does
        return Result(name, "rctl bench", 1.0, 2.0, "wall", {}, (Figure(name, 1.0, "ratio", "measured"),))

    return Benchmark(name, 10.0, run)


def ran(tmp_path: Path, *parts: Benchmark) -> everything.RunOfAll:
    return everything.run(setting(tmp_path), parts, lambda text: None, lambda text: None)


def test_all_parts_run_and_the_claims_come_last(tmp_path: Path) -> None:
    run = ran(tmp_path, part("life"), part("density"))
    assert [result.bench for result in run.results] == ["life", "density", "claims"]
    assert run.stop is None


def test_a_part_that_cannot_run_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    run = ran(tmp_path, part("life", NotAvailableError("no cgroup2")), part("density"))
    (failed,) = run.results[0].figures
    assert (failed.value, failed.verdict, failed.origin) == (None, "not measured", "no cgroup2")
    assert run.results[1].bench == "density"


def test_an_interruption_keeps_what_there_is_and_is_handed_on(tmp_path: Path) -> None:
    stop = KeyboardInterrupt()
    run = ran(tmp_path, part("life"), part("density", stop), part("virtual"))
    assert [result.bench for result in run.results] == ["life", "claims"]
    assert run.stop is stop


def test_a_part_that_was_interrupted_half_way_shows_its_half(tmp_path: Path) -> None:
    half = Result("overhead", "", 1.0, 2.0, "wall", {}, (), interrupted=True)
    run = ran(tmp_path, part("overhead", Partial(half, stop := KeyboardInterrupt())))
    assert run.results[0] == half
    assert run.stop is stop


def test_an_interruption_before_anything_leaves_nothing_to_show(tmp_path: Path) -> None:
    assert ran(tmp_path, part("life", KeyboardInterrupt())).results == []


def test_claims_in_a_file_are_made_anew() -> None:
    one = part("life").run(None, None)  # type: ignore[arg-type]
    twice = everything.with_claims(everything.with_claims([one]))
    assert [result.bench for result in twice] == ["life", "claims"]


def test_of_several_runs_of_a_benchmark_the_last_counts() -> None:
    first, second = (part("life").run(None, None) for _ in range(2))  # type: ignore[arg-type]
    found = everything.with_claims([first, second])
    assert [result.bench for result in found] == ["life", "claims"]
    assert found[0] is second


def test_what_is_there_several_times_is_told() -> None:
    one = part("life").run(None, None)  # type: ignore[arg-type]
    assert everything.superseded([one, one]) == ["life (wall clock)"]
    assert everything.superseded([one, msgspec.structs.replace(one, clock="instructions")]) == []


def test_a_benchmark_on_two_clocks_counts_twice() -> None:
    one = part("life").run(None, None)  # type: ignore[arg-type]
    counted = msgspec.structs.replace(one, clock="instructions")
    found = everything.with_claims([one, counted])
    assert [(result.bench, result.clock) for result in found] == [
        ("life", "wall"), ("life", "instructions"), ("claims", ""),
    ]  # fmt: skip


def test_what_was_over_the_budget_so_far_is_taken_apart_too(tmp_path: Path) -> None:
    """Given a workload over its budget, when explain runs after it, then it is told."""
    told: list[tuple[str, ...]] = []
    figures = tuple(Figure(name, 1.0, "percent", "", verdict=verdict) for name, verdict in
                    (("redis", "fail"), ("gzip", "pass")))  # fmt: skip

    def explain(place: Setting, _: object) -> Result:
        told.append(place.over)
        return Result("explain", "", 1.0, 2.0, "wall", {}, ())

    over = Benchmark("overhead", 1.0, lambda *_: Result("overhead", "", 1.0, 2.0, "wall", {}, figures))
    ran(tmp_path, over, Benchmark("explain", 1.0, explain))
    assert told == [("redis",)]


def test_benchmarks_are_chosen_by_name() -> None:
    assert [part.name for part in everything.chosen(["life", "density"], quick=True)] == ["life", "density"]
    assert len(everything.chosen([], quick=False)) > 5
    with pytest.raises(UsageError, match="--only 'speed': there is no such benchmark"):
        everything.chosen(["speed"], quick=True)


def test_the_time_left_follows_what_the_parts_so_far_took() -> None:
    now = [0.0]
    bar = Bar([part("a"), part("b"), part("c")], clock=lambda: now[0])
    assert bar.left() == 30.0
    now[0] = 20.0  # the first part took twice its 10 s
    bar.next()
    assert bar.left() == 40.0
    now[0] = 25.0
    assert bar.left() == 35.0
    assert bar.line("b: round 1 of 6") == "[########------------]  42 %, 35 s left, b: round 1 of 6"


def test_a_part_that_takes_longer_than_thought_never_has_less_than_nothing_left() -> None:
    now = [0.0]
    bar = Bar([part("a")], clock=lambda: now[0])
    now[0] = 500.0
    assert 0 < bar.left() < 1
    bar.next()
    assert bar.left() == 0.0


FILES = {
    "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu hypervisor\n",
    "/proc/meminfo": "MemTotal:        2048 kB\n",
    "/proc/cmdline": "quiet mitigations=off\n",
    "/proc/loadavg": "0.10 0.20 0.30 1/100 42\n",
    "/sys/class/dmi/id/product_name": "Standard PC\n",
    "/sys/devices/system/cpu/smt/control": "on\n",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
    "/sys/devices/system/cpu/intel_pstate/no_turbo": "0\n",
}


def reader(files: dict[str, str]) -> machine.Reader:
    def read(path: str) -> str:
        try:
            return files[path]
        except KeyError:
            raise FileNotFoundError(path) from None

    return read


def test_the_facts_of_a_machine() -> None:
    found = machine.facts(reader(FILES))
    expected = {
        "CPU": "Some CPU", "memory": "2M", "governor": "powersave", "SMT": "on", "turbo": "on", "mitigations": "off",
        "load": "0.10 0.20 0.30", "virtualization": "guest (Standard PC)",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert {"kernel", "CPUs", "rctl", "Python"} <= set(found)


def test_a_fact_that_the_machine_does_not_tell_is_left_out() -> None:
    assert not {"CPU", "governor", "SMT", "turbo", "load", "virtualization"} & set(machine.facts(reader({})))


def test_a_machine_of_its_own_is_no_guest() -> None:
    files = FILES | {"/proc/cpuinfo": "flags : fpu\n", "/sys/devices/system/cpu/cpufreq/boost": "0\n"}
    del files["/sys/devices/system/cpu/intel_pstate/no_turbo"]
    found = machine.facts(reader(files))
    assert (found["virtualization"], found["turbo"]) == ("none", "off")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "seconds", "-"), (0.0, "seconds", "0 s"), (0.00123, "seconds", "1.23 ms"), (2e-9, "seconds", "2 ns"),
        (1.5, "ratio", "1.500"), (0.523, "percent", "0.52 %"), (-1.0, "percent", "-1.00 %"), (4096, "bytes", "4K"),
        (71284.0, "count", "71,284"), (3.0, "count", "3"), (0.25, "count", "0.25"),
    ],
)  # fmt: skip
def test_values_as_people_read_them(value: float | None, unit: str, text: str) -> None:
    assert shown(value, unit) == text  # type: ignore[arg-type]


def test_intervals_and_budgets_as_people_read_them() -> None:
    one = Figure("x", 1.0, "ratio", "", 0.9, 1.1, 1.5)
    assert (interval(one), budget(one)) == ("0.900 to 1.100", "<= 1.500")
    assert budget(Figure("x", 1.0, "count", "", budget=100, better="high")) == ">= 100"
    assert (interval(Figure("x", 1.0, "ratio", "")), budget(Figure("x", 1.0, "ratio", ""))) == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (150, "2 min"), (3600, "1 h 0 min"), (3900, "1 h 5 min")]
)
def test_a_time_to_wait(seconds: float, text: str) -> None:
    assert left(seconds) == text
