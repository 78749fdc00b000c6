"""Bad input at every door of the command line: one line with the place, exit status 2, and nothing changed.

A VE or a file that is not there is no bad input but a failure: the same line, and exit status 1.
"""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from rctl import cli
from tests.unit.shell import Shell

# Flags and words: what is typed, and the place that the line must name

WRONG = [
    # no such verb, flag or argument
    ("frobnicate", "frobnicate"),
    ("set web1 --frob", "--frob"),
    ("ls --frob", "--frob"),
    ("show", "VE is missing"),
    ("apply", "FILE"),
    ("diff", "FILE"),
    ("attach web1", "PID"),
    ("run", "name"),
    ("rm", "VE is missing"),
    ("bench frob", "frob"),
    ("schema x", "x"),
    ("doctor x", "x"),
    ("recover x", "x"),
    # limits as words
    ("set web1", "no limit given"),
    ("set memory.max=1G", "no VE given"),
    ("set web1 =1G", "'=1G'"),
    ("set web1 memory.max=", "memory.max"),
    ("set web1 memory.max=1Q", "memory.max"),
    ("set web1 memory.max=-1", "memory.max"),
    ("set web1 memory.max=1e9", "memory.max"),
    ("set web1 memory.max=101%", "memory.max"),
    ("set web1 memory.max=99999999999999999999", "memory.max"),
    ("set web1 memory.max=1G memory.max=2G", "memory.max: given twice"),
    ("set web1 memory.maxx=1G", "memory.maxx"),
    ("set web1 frob=1", "frob"),
    ("set web1 cpuset=1G", "cpuset"),
    ("set web1 memory.max.x=1G", "memory.max"),
    ("set web1 memory.oom.group=maybe", "memory.oom.group"),
    ("set web1 cpu.max=0", "cpu.max"),
    ("set web1 cpu.max=0.0001", "cpu.max"),
    ("set web1 cpu.max=1.5.5", "cpu.max"),
    ("set web1 cpu.weight=0", "cpu.weight"),
    ("set web1 cpu.weight=10001", "cpu.weight"),
    ("set web1 cpu.weight=max", "cpu.weight"),
    ("set web1 cpu.period=2s", "cpu.period"),
    ("set web1 cpu.burst=-1", "cpu.burst"),
    ("set web1 cpuset.cpus=3-1", "cpuset.cpus"),
    ("set web1 cpuset.cpus=a", "cpuset.cpus"),
    ("set web1 cpuset.cpus=999999", "cpuset.cpus"),
    ("set web1 cpuset.partition=gold", "cpuset.partition"),
    ("set web1 vcpus=0", "vcpus"),
    ("set web1 vcpus=1.5", "vcpus"),
    ("set web1 vcpus=8192", "vcpus"),
    ("set web1 vcpus=1 cpuset.cpus=0", "vcpus"),
    ("set web1 pids.max=1.5", "pids.max"),
    ("set web1 pids.max=4194305", "pids.max"),
    ("set web1 hugetlb.3XB=1G", "hugetlb"),
    ("set web1 hugetlb.2MB=x", "hugetlb.2MB"),
    ("set web1 io.weight=0", "io.weight"),
    ("set web1 files.x=1", "files: 'x'"),
    ("set web1 files.cgroup.max.depth=default", "the value of a new VE is not known"),
    ("reset web1 files.cgroup.max.depth", "the value of a new VE is not known"),
    ("set web1 memry.max=1G", "memry: there is no such limit. Did you mean memory.max?"),
    ("set web1 pid.max=5", "pid: there is no such limit. Did you mean pids.max?"),
    ("set web1 io.max.rbps=5M", "io.max.rbps: the disk is missing. Write io.max.DEVICE.rbps"),
    ("reset web1 io", "io: is a group of limits. Write io.weight or io.max"),
    ("get web1 files", "files: is a group of limits"),
    ("set web1 cpu.max=1\t100000", "Write CPUs: 0.00001"),
    ("label web1 a=b a=c", "label: a: given twice"),
    ("label web1 a=b --remove a", "label: a: given twice"),
    ("kill web1 -s -9", "--signal: '-9' is not a signal"),
    ("run web9 -d --rm -- true", "--detach cannot be combined with --rm"),
    ("set web1 files.../x=1", "files: '../x'"),
    ("set web1 files.cgroup.procs=1", "cgroup.procs"),
    ("set web1 files.cgroup.kill=1", "cgroup.kill"),
    ("set web1 files.memory.reclaim=1", "memory.reclaim"),
    ("set web1 files.memory.max=x", "files: memory.max"),
    ("set web1 files.memory.max=1G memory.max=1G", "memory.max is asked for twice"),
    # limits as flags
    ("set web1 --memory 1Q", "memory.max"),
    ("set web1 --memory", "--memory: its value is missing. See rctl set --help"),
    ("set web1 memory.max=1G --memory 1G", "--memory"),
    ("set web1 --cpus x", "cpu.max"),
    ("set web1 --pids -5", "pids.max"),
    ("set web1 --vcpus -1", "vcpus"),
    ("run web9 --memory 1Q -- true", "memory.max"),
    ("run web9 --limit memory.max -- true", "'memory.max'"),
    ("run web9 -l memory.high=x -- true", "memory.high"),
    # names
    ("set ../x memory.max=1G", "'../x'"),
    ("set a/b memory.max=1G", "'a/b'"),
    ("set /../x memory.max=1G", "'/../x'"),
    ("set /a//b memory.max=1G", "'/a//b'"),
    (f"set {'x' * 65} memory.max=1G", f"'{'x' * 64}'...: not a VE's name"),
    ("set .hidden memory.max=1G", "'.hidden'"),
    ("show a/b", "'a/b'"),
    ("ls a/b", "'a/b'"),
    ("rm ../x", "'../x'"),
    ("rm /system.slice", "/system.slice"),
    ("run ../x -- true", "'../x': not a name for one of rctl's own VEs"),
    ("run .x -- true", "the first one a letter or a digit"),
    ("run /foreign -- true", "/foreign"),
    ("run web9 -- no-such-program-here", "no-such-program-here"),
    ("attach a/b 1", "'a/b'"),
    # numbers
    ("set web1 pids.max=5 --deadline x", "--deadline"),
    ("set web1 pids.max=5 --deadline -1", "--deadline"),
    ("apply f --deadline 5parsecs", "--deadline"),
    ("undo --deadline x", "--deadline"),
    ("recover --deadline x", "--deadline"),
    ("run web9 --deadline x -- true", "--deadline"),
    ("show web1 --interval 0", "--interval"),
    ("show web1 --interval 2h", "--interval"),
    ("show web1 --interval x", "--interval"),
    ("undo --last 0", "--last"),
    ("undo --last x", "--last"),
    ("undo --last 1001", "--last"),
    ("history --last 0", "--last"),
    ("history --last -3", "--last"),
    ("history --last 99999999999999999999", "--last"),
    ("attach web1 x", "PID"),
    ("attach web1 1.5", "PID"),
    ("attach web1 99999999999999999999", "PID"),
    ("attach web1 0", "PID"),
    ("bench adjust --rounds 1", "--rounds"),
    ("bench adjust --ves 99999", "--ves"),
    ("bench exporter --ves 0", "--ves '0'"),
    ("bench exporter --ves 1,99999999", "1 to 20000"),
]


@pytest.mark.parametrize(("typed", "place"), WRONG, ids=lambda text: text)
def test_what_is_typed_wrong_is_named(shell: Shell, typed: str, place: str) -> None:
    assert place.lower() in shell.refused(*typed.split(" ")).lower()


ODD = [
    (["set", "", "pids.max=5"], "''"),
    (["set", "a b", "pids.max=5"], "'a b'"),
    (["set", "web1\n", "pids.max=5"], "web1"),
    (["set", "\udcff\udcfe", "pids.max=5"], "udcff"),
    (["set", "web1", "pids.max=\udcff"], "pids.max"),
    (["set", "web1", "pids.max=5\n6"], "pids.max"),
    (["set", "web1", "memory.max=\x00"], "memory.max"),
    (["set", "web1", "memory.max=" + "9" * 100000], "memory.max"),
    (["set", "web1", "x" * 5000 + "=1"], "xxx"),
    (["set", "x" * 5000, "pids.max=1"], "xxx"),
    (["set", "/" + "x" * 5000, "pids.max=1"], "xxx"),
    (["set", "web1", "io.max=sda"], "io.max"),
    (["set", "web1", "io.max="], "io.max"),
    (["set", "web1", "io.max=sda speed=5"], "io.max.sda.speed"),
    (["set", "web1", "io.max=sda rbps=0"], "io.max.sda.rbps"),
    (["set", "web1", "io.max=no-such-disk rbps=1M"], "no-such-disk"),
    (["set", "web1", "io.max=sda rbps=1M", "io.max=sda rbps=2M"], "rbps given twice"),
    (["set", "web1", "--io-max", "sda rbps=x"], "io.max.sda.rbps"),
    (["set", "web1", "files.memory.max=1G\n2G"], "memory.max"),
    (["set", "web1", "files.io.max=sda rbps=5M"], "io.max"),
    (["run", "web9", "--", ""], "''"),
]


@pytest.mark.parametrize(("words", "place"), ODD, ids=lambda value: repr(value)[:50])
def test_odd_texts_are_named_too(shell: Shell, words: list[str], place: str) -> None:
    assert place in shell.refused(*words)


def test_a_line_of_error_is_short_however_long_the_input(shell: Shell) -> None:
    long = "9" * 50000
    inputs = {
        "set": [long, "pids.max=1"],
        "set web1": [
            f"pids.max={long}",
            f"io.max={long} rbps=1",
            f"io.max=/{long} rbps=1M",
            f"hugetlb.{long}MB=1",
            long,
        ],
        "get web1": [f"hugetlb.{long}", f"files.{long}"],
        "run web9 --": [f"./{long}"],
        "apply": [long],
        "attach web1": [long],
        "history --last": [long],
    }
    for begin, ends in inputs.items():
        for end in ends:
            assert len(shell.refused(*begin.split(), *([end] if begin != "set" else ends))) < 450


def test_a_key_of_very_many_parts_is_no_limit(shell: Shell) -> None:
    assert "a.b.b.b" in shell.refused("set", "web1", "a." + "b." * 30000 + "c=1")


# Files

BAD_FILES = [
    (b"\x7fELF\x02\x01\xff\xfe", "spec.toml: not UTF-8 text at byte 6"),
    (b"version = 1\n[ve.web1\n", "spec.toml: not TOML: "),
    (b"\x00", "spec.toml: not TOML: "),
    (b"a = " + b"[" * 5000, "spec.toml: nested deeper than 16 levels"),
    (b"", "spec.toml: "),
    (b"version = 1\n[ve.web1.limits]\npids.maxx = 5\n", "ve.web1.limits.pids.maxx"),
    (b"version = 1\n[ve.web1.limits]\npids.max = -5\n", "spec.toml: ve.web1.limits.pids.max: "),
    (b"version = 1\n[ve.web1.limits]\npids.max = " + b"9" * 5000 + b"\n", "spec.toml: "),
    (b'version = 1\n[ve."a/b".limits]\npids.max = 5\n', 'spec.toml: ve."a/b": not a VE\'s name'),
    (b'version = 1\n[ve."docker:*".limits]\npids.max = 5\n', "docker:*"),
    (b'version = 1\n[ve.web1.limits]\npids.max = 5\n[ve."/rctl-web1".limits]\npids.max = 6\n', "/rctl-web1"),
    (b"version = 1\n[ve.web2.limits]\n[ve.web1.limits]\nvcpus = 4000\n", "spec.toml: web1: vcpus: 4000 asked for"),
    (b"version = 1\n[ve.web9.limits]\nvcpus = 4000\n", "spec.toml: web9: vcpus: 4000 asked for"),
    (b"version = 1\n[ve.web9.limits]\ncpu.max = 0.005\n", "cpu.max: 0.005 CPUs in a period of 100000 us are 500 us"),
    (
        b"version = 1\n[ve.web2.limits]\n[ve.web1.limits]\nio.max.no-such-disk.rbps = 5\n",
        "spec.toml: web1: 'no-such-disk'",
    ),
    (
        b"version = 1\n[ve.web9.limits]\nio.max.sda.rbps = 5\nio.max.'8:0'.rbps = 6\n",
        "spec.toml: web9: io.max: 8:0 lies on disk 8:0",
    ),
    (b'version = 1\n[ve.web1.limits]\nfiles."cgroup.procs" = 5\n', "cgroup.procs"),
]


@pytest.mark.parametrize("verb", ["apply", "apply --dry-run", "diff"])
@pytest.mark.parametrize(("content", "place"), BAD_FILES, ids=lambda value: repr(value)[:50])
def test_a_bad_spec_is_named_with_its_place(shell: Shell, verb: str, content: bytes, place: str) -> None:
    (shell.folder / "spec.toml").write_bytes(content)
    assert place in shell.refused(*verb.split(), "spec.toml")
    assert set(shell.kernel.root.children) == {"rctl-web1", "rctl-web2"}


@pytest.mark.parametrize("verb", ["apply", "diff"])
@pytest.mark.parametrize("path", ["nope.toml", ".", "/dev/zero", "nope/x.toml"])
def test_a_spec_that_cannot_be_read_is_named(shell: Shell, verb: str, path: str) -> None:
    assert f"rctl: {path}: " in shell.refused(verb, path)


# The environment


@pytest.mark.parametrize("verb", [["set", "web1", "pids.max=5"], ["ls"], ["show", "web1"], ["rm", "web2"], ["recover"]])
def test_a_bad_place_of_rctls_own_is_named(shell: Shell, verb: list[str]) -> None:
    shell.monkeypatch.setenv("RCTL_TREE", "relative/../path")
    assert "RCTL_TREE 'relative/../path'" in shell.refused(*verb)


# What is not there, or not to be had, is a failure


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ("set web9 pids.max=5", "web9"),
        ("set nope* pids.max=5", "'nope*'"),
        ("show web9", "web9"),
        ("ls nope*", "'nope*'"),
        ("attach web1 4194300", "4194300"),
        ("undo", "nothing left to undo"),
        ("undo 20200101-1", "20200101-1"),
        ("set web1 files.nope.file=5", "nope"),
        ("set web1 cpuset.cpus=99", "cpuset.cpus"),
    ],
)
def test_a_failure_is_one_line_and_exit_status_1(shell: Shell, typed: str, place: str) -> None:
    given, out, err = shell.run(*typed.split(" "))
    assert (given, out) == (1, "")
    assert place in err.splitlines()[0]
    assert "Traceback" not in err


@pytest.mark.parametrize("verb", [["set", "web1", "pids.max=5"], ["recover"], ["undo"]])
def test_a_state_folder_that_others_can_write_is_named(shell: Shell, verb: list[str]) -> None:
    (shell.folder / "open").mkdir()
    (shell.folder / "open").chmod(0o777)
    (shell.folder / "open" / "history.jsonl").write_bytes(b"\xff\x00 no record\n")
    shell.monkeypatch.setenv("RCTL_STATE", str(shell.folder / "open"))
    status, out, err = shell.run(*verb)
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    if verb != ["undo"]:
        assert f"{shell.folder}/open: must be a folder that only you can write" in err


def test_what_could_not_be_put_back_ends_with_exit_status_3(shell: Shell) -> None:
    kernel = shell.kernel
    kernel.broken = lambda op: errno.EIO if op.kind == "write" and len(kernel.writes) > 1 else None
    status, out, err = shell.run("set", "web1", "pids.max=5", "memory.max=1G")
    assert (status, out) == (3, "")
    assert "not put back" in err
    assert "Run rctl recover" in err
    status, _, err = shell.run("recover")
    assert status == 3
    kernel.broken = lambda op: None
    status, out, _ = shell.run("recover")
    assert status == 0
    assert "rolled back to what was there before" in out


def test_binary_in_a_journal_is_named(shell: Shell) -> None:
    os.makedirs(f"{shell.state}/run/journal", 0o700)
    os.chmod(f"{shell.state}/run", 0o700)
    Path(shell.state, "run", "journal", "x.json").write_bytes(b"\x00\xff")
    assert "x.json: not a journal of rctl" in shell.refused("recover", status=3)
    assert "x.json.aside: not a journal of rctl" in shell.refused("recover", status=3), "until somebody has removed it"
    status, _, err = shell.run("set", "web1", "pids.max=5")
    assert (status, err) == (0, "")


def test_binary_in_a_journal_does_not_stop_an_adjustment(shell: Shell) -> None:
    os.makedirs(f"{shell.state}/run/journal", 0o700)
    os.chmod(f"{shell.state}/run", 0o700)
    Path(shell.state, "run", "journal", "x.json").write_bytes(b"\x00\xff")
    status, _, err = shell.run("set", "web1", "pids.max=5")
    assert status == 0
    assert "x.json: not a journal of rctl" in err
    assert "set aside as x.json.aside" in err


def test_a_good_command_is_taken_after_all_this(shell: Shell) -> None:
    status, out, err = shell.run("set", "web1", "pids.max=5", "--io-max", "sda rbps=1M")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "web1: changed"
    assert shell.kernel.get("/rctl-web1", "pids.max") == "5"


def test_without_a_verb_the_help_is_shown(shell: Shell) -> None:
    status, out, err = shell.run()
    assert (status, err) == (0, "")
    assert "Usage" in out


def test_a_ve_that_is_not_there_is_no_reason_to_leave_the_others(shell: Shell) -> None:
    status, out, err = shell.run("rm", "web9", "web2")
    assert (status, out, err) == (1, "web9: not there\nweb2: removed\n", "")


def test_when_one_of_many_has_processes_none_is_removed(shell: Shell) -> None:
    assert "web1: has 1 process(es)" in shell.refused("rm", "web2", "web1", status=1)


def test_json_of_run_goes_with_detach(shell: Shell) -> None:
    assert "--detach" in shell.refused("run", "web9", "--json", "--", "true")


# What is planned for VEs that are yet to be made


def test_new_ves_are_planned_with_cpus_of_their_own(shell: Shell) -> None:
    (shell.folder / "spec.toml").write_text("version = 1\n[ve.new1.limits]\nvcpus = 1\n[ve.new2.limits]\nvcpus = 1\n")
    for verb in (["diff"], ["apply", "--dry-run"]):
        _, out, _ = shell.run(*verb, "spec.toml")
        assert [line.split()[-1] for line in out.splitlines() if "cpuset.cpus" in line] == ["0", "1"]


def test_a_file_that_may_not_be_there_is_not_planned_for_a_new_ve(shell: Shell) -> None:
    (shell.folder / "spec.toml").write_text("version = 1\n[ve.new1.limits]\nio.weight = 50\ncpu.weight = 50\n")
    _, out, _ = shell.run("diff", "spec.toml")
    assert "io.weight" in out
    assert "bfq" not in out


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["nosuch"], "rctl"),
        (["set", "--nope"], "rctl set"),
        (["bench", "nosuch"], "rctl bench"),
        (["exporter"], "rctl exporter"),
    ],
)
def test_what_is_used_wrongly_is_sent_to_its_own_help(shell: Shell, words: list[str], place: str) -> None:
    status, _, err = shell.run(*words)
    assert status == 2
    assert err.endswith(f". See {place} --help\n")


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_puts_back_what_was_there_and_says_so_in_one_line(shell: Shell, number: signal.Signals) -> None:
    before = shell.kernel.limits()
    shell.kernel.watch = lambda operation: cli._interrupt(number, None) if operation.file == "pids.max" else None
    status, out, err = shell.run("set", "web1", "pids.max=5", "cpu.weight=50")
    assert (status, out) == (128 + number, "")
    assert err == "rctl: interrupted; an adjustment under way was put back. See rctl history\n"
    assert shell.kernel.limits() == before
