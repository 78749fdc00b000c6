"""What is wrong is said in words that help: the thing that is missing, the bound that was missed, people's units."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rctl.assignments import exactly
from rctl.controllers.cpu import CpuWeight, Period, Quota
from rctl.formats import File
from rctl.limits import file_named
from rctl.units import Count, Duration, Ops, PidCount, Quantity, Rate, Size, Weight
from rctl.ve.command import find
from tests.unit.shell import Shell


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (Rate, "0", "0 is too low: at least 2, or max. Write"),
        (Ops, "1", "1 is too low: at least 2, or max. Write"),
        (Quota, "999", "999us is too low: at least 1ms, or max. Write"),
        (Period, "2min", "2min is out of range 1ms..1s. Write"),
        (PidCount, "4194305", "4194305 is too high: at most 4194304, or max. Write"),
        (Count, str(1 << 64), f"{1 << 64} is too high: at most {(1 << 64) - 1}, or max. Write"),
        (Duration, str(1 << 64), f"{1 << 64}us is too high: at most {(1 << 64) - 1}us. Write"),
        (Weight, "10001", "10001 is out of range 1..10000. Write"),
        (CpuWeight, "10001", "10001 is out of range 1..10000. Write"),
        (CpuWeight, "0", "0 is out of range 1..10000. Write"),
    ],
)
def test_out_of_range_says_the_bound_that_was_missed_and_max(kind: type[Quantity], text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        kind.parse(text)


@pytest.mark.parametrize(
    ("kind", "text", "amount"),
    [(Size, "1Gi", 1 << 30), (Size, "64ki", 64 << 10), (Size, "1.5Mi", 3 << 19), (Rate, "10Mi/s", 10 << 20)],
)
def test_kubernetes_suffixes_are_binary(kind: type[Quantity], text: str, amount: int) -> None:
    assert kind.parse(text).amount == amount


@pytest.mark.parametrize(
    ("name", "entry", "said"),
    [
        ("memory.max", str(512 << 20), "512M"),
        ("memory.max", str((512 << 20) + 4096), "524292K"),
        ("memory.max", "max", "max"),
        ("cpu.max", "50000 100000", "0.5 CPUs (50000 100000)"),
        ("cpu.max", "max 100000", "max 100000"),
        ("cpu.max.burst", "2000", "2000 us"),
        ("cpuset.cpus", "", "empty"),
        ("pids.max", "300", "300"),
    ],
)
def test_entries_are_told_in_peoples_units_without_rounding(name: str, entry: str, said: str) -> None:
    assert isinstance(file_named(name), File)
    assert exactly(name, entry) == said


def test_undo_refuses_in_peoples_units(shell: Shell) -> None:
    shell.run("set", "web1", "memory.low=512M")
    shell.kernel.put("/rctl-web1", "memory.low", str(1 << 30))
    status, _, err = shell.run("undo")
    assert status == 1
    assert "memory.low: on /rctl-web1 is 1G now; it was 512M after that adjustment" in err


@pytest.mark.parametrize("words", [["--", "true"], ["--rm", "--", "true"], [], ["--limit", "pids.max=5", "--", "true"]])
def test_run_without_a_name_says_that_the_name_is_missing(shell: Shell, words: list[str]) -> None:
    assert "the VE's name is missing" in shell.refused("run", *words)


def test_run_without_a_command_says_that_the_command_is_missing(shell: Shell) -> None:
    assert "CMD" in shell.refused("run", "web1")


def test_a_program_that_cannot_be_run_is_told_with_its_own_reason(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program")
    for name, reason in (
        ("/nonexistent", "/nonexistent: cannot be run: no such file or directory. Give"),
        (str(tmp_path), "is a directory"),
        (str(text), "may not be executed. .*chmod"),
        ("no-such-program", "no such program in PATH. Give its path"),
        ("", "'': no such program in PATH"),
    ):
        with pytest.raises(Exception, match=reason):
            find([name])


def test_history_does_not_count_the_parent_whose_controllers_were_enabled(shell: Shell) -> None:
    shell.kernel.make("/rctl-new", enable=False)
    shell.run("set", "new", "pids.max=5")
    _, out, _ = shell.run("history")
    assert out.splitlines()[1].split()[3:5] == ["1", "1"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("start web1", "start: there is no such verb. Write rctl run NAME -- CMD. See rctl --help"),
        ("remove web1", "remove: there is no such verb. Write rctl rm NAME. See rctl --help"),
        ("restart web1", "restart: there is no such verb. Write rctl kill NAME, then rctl run NAME -- CMD. See"),
        ("udno", "udno: there is no such verb. Write rctl undo. See rctl --help"),
        ("LS", "LS: there is no such verb. Write rctl ls. See rctl --help"),
        ("x'. Did you mean", "x'. Did you mean: there is no such verb. See rctl --help"),
        ("frob", "frob: there is no such verb. See rctl --help"),
        ("bench dens", "dens: there is no such verb. See rctl bench --help"),
        ("exporter", "the verb is missing. Write serve, once, write or metrics. See rctl exporter --help"),
    ],
)
def test_a_verb_of_another_tool_is_answered_with_the_one_to_write(shell: Shell, typed: str, said: str) -> None:
    words = [typed] if "Did" in typed else typed.split()
    assert f"rctl: {said}" in shell.refused(*words)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("set web1 -m 1G", "-m: rctl set has no such option. Write --memory. See rctl set --help"),
        ("set web1 --memory-swap 1G", "Write --swap, which counts swap alone."),
        ("set web1 --yes", "--yes: rctl set has no such option. See rctl set --help"),
        ("set web1 --dryrun", "--dryrun: rctl set has no such option. Write --dry-run."),
        ("rm -f web1", "-f: rctl rm has no such option. Write --kill, to end the processes, too."),
        ("ls -f", "-f: rctl ls has no such option. See rctl ls --help"),
        ("--json ls", "--json: rctl has no such option. Write it after the verb. See rctl --help"),
        ("set web1 --deadline", "--deadline: its value is missing."),
    ],
)
def test_an_option_of_another_tool_is_answered_with_the_one_to_write(shell: Shell, typed: str, said: str) -> None:
    assert said in shell.refused(*typed.split())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("recover web1", "web1: rctl recover takes no such word. Leave it out. See rctl recover --help"),
        ("history --last 0", "--last: 0 is out of range 1..1000000."),
        ("bench overhead --rounds 0", "--rounds: 0 is out of range 1..100."),
        ("undo --last 0", "--last: 0 is out of range 1..1000."),
        ("undo --last all", "--last: 'all' is not a whole number."),
        ("attach web1 nginx", "PID: 'nginx' is not a whole number."),
        ("attach web1 1_0", "PID: '1_0' is not a whole number."),
        ("attach web1 \u0661\u0662", "PID: '\u0661\u0662' is not a whole number."),
        ("attach web1 +5", "PID: '+5' is not a whole number."),
        ("attach web1 -- -5", "PID: -5 is out of range 1..4194304."),
        ("undo --last 1_0", "--last: '1_0' is not a whole number."),
        ("history --last \uff12", "--last: '\uff12' is not a whole number."),
        ("bench density --ves 1_0", "--ves: '1_0' is not a whole number."),
        ("bench overhead --rounds 1_0", "--rounds: '1_0' is not a whole number."),
        ("bench exporter --ves 1_0,\u0661", "--ves '1_0,\u0661': not numbers. Write them with commas: 1,100,1000"),
        ("exporter serve --kept-fds 1_0", "--kept-fds: '1_0' is not a whole number."),
        ("reset web1", "KEY is missing. Write: rctl reset web1 memory.max; rctl show lists its limits"),
        ("completion", "Write bash or zsh or fish."),
    ],
)
def test_a_word_that_is_wrong_or_missing_is_told_without_the_parsers_own_terms(
    shell: Shell, typed: str, said: str
) -> None:
    assert said in shell.refused(*typed.split())


@pytest.mark.parametrize("typed", ["kill -9 web2", "kill web2 -KILL", "kill web2 -s KILL"])
def test_kill_takes_a_signal_as_kill_does(shell: Shell, typed: str) -> None:
    status, out, err = shell.run(*typed.split())
    assert (status, err) == (0, "")
    assert out == "web2: SIGKILL sent to 0 process(es)\n"


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("MemoryMax", "memory.max"),
        ("CPUQuota", "cpu.max (a number of CPUs)"),
        ("TasksMax", "pids.max"),
        ("AllowedCPUs", "cpuset.cpus"),
        ("IOReadBandwidthMax", "io.max ('vda rbps=20MB/s wiops=500')"),
        ("IODeviceLatencyTargetSec", "io.latency ('vda target=10ms')"),
        ("Memory.Max", "memory.max"),
        ("memory.limit_in_bytes", "memory.max"),
        ("memory.memsw.limit_in_bytes", "memory.swap.max (swap alone, not memory plus swap)"),
        ("cpu.cfs_quota_us", "cpu.max (a number of CPUs)"),
        ("cpu.shares", "cpu.weight (1 to 10000; a new VE has 100)"),
        ("pids-limit", "pids.max"),
        ("physpages", "memory.max"),
        ("mem.max", "memory.max"),
        ("memory.limit", "memory.max"),
        ("memory.maxx", "memory.max"),
    ],
)
def test_another_tools_key_is_answered_with_the_one_to_write(shell: Shell, key: str, meant: str) -> None:
    assert f"there is no such limit. Did you mean {meant}? See rctl set --help" in shell.refused(
        "set", "web1", f"{key}=5"
    )


def test_a_key_that_is_like_none_gets_no_guess(shell: Shell) -> None:
    assert shell.refused("set", "web1", "frob=5") == "rctl: frob: there is no such limit. See rctl set --help\n"
    assert shell.refused("get", "web1", "frob") == "rctl: frob: there is no such limit. See rctl set --help\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set", "web1", "memory.max", "1G"], "memory.max: its value is missing. Write: memory.max=VALUE, in one word"),
        (["set", "web1", "io.max=sda", "rbps=1M"], "Write it in quotes, as one: 'vda rbps=20MB/s wiops=500'"),
        (
            ["set", "web1", "io.max=sda read=1M"],
            "there is no such rate. Write rbps, wbps, riops or wiops",
        ),
        (["set", "web1", "cpu.max=50000 100000"], "is the kernel's form, a quota and a period. Write CPUs: 0.5"),
        (["set", "web1", "cpu.max=max 100000"], "Write CPUs: max"),
        (["set", "web1", "cpu.weight.nice=1"], "cpu.weight: is one limit, not a group. Give it one value"),
        (
            ["run", "web3", "memory.max=1G", "--", "true"],
            "a limit needs an option before it. Write: --",
        ),
        (["get", "web1", "memory.current"], "is not a limit. To print any interface file, write files.memory.current"),
    ],
)
def test_what_is_nearly_right_is_answered_with_what_is_right(shell: Shell, words: list[str], said: str) -> None:
    assert said in shell.refused(*words)


def test_a_path_with_the_mount_in_it_is_answered_with_the_path_below(shell: Shell) -> None:
    err = shell.refused("set", "/sys/fs/cgroup/rctl-web1", "pids.max=5", status=1)
    assert err.endswith("there is no such cgroup. Write its path below the mount: /rctl-web1\n")
