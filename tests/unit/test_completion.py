"""What the shells offer after Tab: the protocol, driven as the scripts drive it, and the scripts in a real shell."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.resources import files
from typing import Any

import pytest

from rctl.cli.app import root
from rctl.cli.complete import names, values
from rctl.cli.complete.candidate import Candidate
from rctl.cli.complete.line import split
from rctl.cli.complete.place import ARGUMENTS
from rctl.limits import BY_DEVICE, decode, keys, nest
from rctl.names.look_up import KINDS
from tests.unit.fake_kernel import FakeKernel
from tests.unit.shell import Shell

HOST = FakeKernel().host
BREAKS = " \t\n\"'><=;|&(:"


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "disks", lambda: [Candidate("vda", "10G"), Candidate("vdb", "1G")])
    monkeypatch.setattr(names, "page_sizes", lambda: ["2MB"])


def offered(shell: Shell, *words: str) -> list[str]:
    """What is offered for the last of the words after ``rctl``."""
    status, out, err = shell.run("complete", "zsh", "--", *words)
    assert (status, err) == (0, "")
    return [line.split("\t")[0] for line in out.splitlines()]


def in_bash(shell: Shell, line: str) -> list[str]:
    """What is put into bash's line: a blank at the end is put there, too."""
    status, out, err = shell.run("complete", "bash", "--", BREAKS, line)
    assert (status, err) == (0, "")
    return [word + " " * (more == ".") for word, more, _ in (one.split("\t") for one in out.splitlines())]


# Verbs, options, names


def test_completion_offers_verbs_and_no_hidden_one(shell: Shell) -> None:
    assert {"set", "show", "bench", "completion"} <= set(offered(shell, ""))
    assert "complete" not in offered(shell, "")
    assert offered(shell, "bench", "expl") == ["explain"]


def test_help_is_completed_with_verbs_and_with_those_of_a_group(shell: Shell) -> None:
    assert {"set", "bench", "exporter"} <= set(offered(shell, "help", ""))
    assert "complete" not in offered(shell, "help", "")
    assert offered(shell, "help", "bench", "expl") == ["explain"]
    assert offered(shell, "help", "set", "") == []


def test_zsh_and_fish_are_answered_alike(shell: Shell) -> None:
    zsh, fish = (shell.run("complete", kind, "--", "set", "web1", "memory.max=") for kind in ("zsh", "fish"))
    assert zsh == fish


def test_completion_offers_options_with_their_help(shell: Shell) -> None:
    assert {"--memory", "--dry-run", "--help"} <= set(offered(shell, "set", "web1", "--"))
    _, out, _ = shell.run("complete", "zsh", "--", "set", "--dry")
    assert out == "--dry-run\t.\tShow the plan, change nothing\n"


@pytest.mark.parametrize("verb", ["set", "show", "ls", "rm", "run", "attach"])
def test_completion_offers_ves(shell: Shell, verb: str) -> None:
    assert offered(shell, verb, "") == ["web1", "web2"]
    assert offered(shell, verb, "web2") == ["web2"]


def test_completion_offers_no_ve_twice(shell: Shell) -> None:
    assert offered(shell, "show", "web1", "") == ["web2"]


def test_completion_offers_cgroups_once_there_is_a_slash(shell: Shell) -> None:
    shell.kernel.make("/system.slice/nginx.service")
    assert "/system.slice/" in offered(shell, "show", "/sys")
    assert offered(shell, "show", "/system.slice/") == ["/system.slice/nginx.service"]


def test_completion_of_undo_offers_what_can_be_taken_back(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    _, out, _ = shell.run("complete", "zsh", "--", "undo", "")
    assert out.rstrip("\n").endswith("\t.\trctl set web1 pids.max=5")


def test_completion_of_attach_offers_processes(shell: Shell) -> None:
    assert str(os.getpid()) in offered(shell, "attach", "web1", "")
    assert offered(shell, "attach", "web1", str(os.getpid()), str(os.getpid())) == []


def test_completion_of_only_offers_ves_or_workloads(shell: Shell) -> None:
    assert "sqlite" in " ".join(offered(shell, "bench", "overhead", "--only", ""))
    assert {"overhead", "adjust", "density"} <= set(offered(shell, "bench", "all", "--only", ""))


def test_completion_leaves_files_and_commands_to_the_shell(shell: Shell) -> None:
    assert offered(shell, "apply", "x") == [":files"]
    assert offered(shell, "bench", "all", "--report", "") == [":files"]
    assert offered(shell, "run", "web1", "--", "s") == [":commands"]
    assert offered(shell, "run", "web1", "--", "sh", "-") == [":files"]


# Limits


def test_completion_offers_every_key_and_none_that_is_none(shell: Shell) -> None:
    found = [word for word in offered(shell, "set", "web1", "") if "=" in word]
    assert found == [f"{key}=" for key in keys() if key not in ("hugetlb", "files")] + [
        "hugetlb.2MB=",
        "hugetlb.2MB.rsvd=",
    ]
    assert offered(shell, "set", "web1", "files") == []


def test_completion_offers_limits_only_after_a_ve(shell: Shell) -> None:
    assert offered(shell, "set", "mem") == []


def test_completion_offers_no_key_twice_but_io_max(shell: Shell) -> None:
    assert offered(shell, "set", "web1", "pids.max=5", "io.max=vda rbps=5", "pids") == []
    assert offered(shell, "set", "web1", "io.max=vda rbps=5", "io.m") == ["io.max="]


def test_after_key_equals_there_is_no_space(shell: Shell) -> None:
    assert in_bash(shell, "rctl set web1 pids") == ["pids.max="]
    assert in_bash(shell, "rctl set web") == ["web1 ", "web2 "]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("memory.max=", ["max", "256M", "512M", "1G", "2G", "50%"]),
        ("memory.max=m", ["max"]),
        ("memory.max=2", ["2", "2K", "2M", "2G", "2T", "2%", "2KB", "2MB", "2GB"]),
        ("memory.oom.group=", ["1", "0"]),
        ("cpu.max=", ["max", "0.5", "1", "2"]),
        ("cpu.weight=i", ["idle"]),
        ("cpu.period=5", ["5ms"]),
        ("vcpus=", ["max", "1", "2"]),
        ("cpuset.partition=", ["member", "root", "isolated"]),
        ("cpuset.cpus=", ["0-1", "0", "1"]),
        ("cpuset.cpus=0,", ["0,1"]),
        ("cpuset.cpus=0-", ["0-1"]),
        ("pids.max=", ["max", "100", "500", "1000"]),
        ("hugetlb.2MB=ma", ["max"]),
        ("io.max=vda", ["vda rbps=", "vda wbps=", "vda riops=", "vda wiops="]),
        ("io.max=vda ", ["vda rbps=", "vda wbps=", "vda riops=", "vda wiops="]),
        ("io.max=vda rbps=5M", ["vda rbps=5M", "vda rbps=5MiB"]),
        ("io.max=vda rbps=5 wi", ["vda rbps=5 wiops="]),
        ("io.latency=vda", ["vda target="]),
        ("io.latency=vda target=", ["vda target=max", "vda target=10ms", "vda target=100ms", "vda target=1s"]),
        ("files.x=", []),
        ("nope=", []),
    ],
)
def test_values_after_key_equals_are_offered(shell: Shell, typed: str, found: list[str]) -> None:
    assert [word.partition("=")[2] for word in offered(shell, "set", "web1", typed)] == found


@pytest.mark.parametrize("key", [key for key in keys() if key not in (*BY_DEVICE, "hugetlb", "files")])
def test_whatever_value_is_offered_the_limit_takes(key: str) -> None:
    for typed in ("", "1", "2", "100"):
        for word in values.limits(f"{key}={typed}", ()):
            decode(nest(dict([word.word.split("=")])), HOST)


def test_values_of_flags_are_offered_too(shell: Shell) -> None:
    assert "1G" in offered(shell, "set", "web1", "--memory", "")
    assert "--memory=1G" in offered(shell, "set", "web1", "--memory=")
    assert "vda rbps=" in offered(shell, "run", "web1", "--io-max", "")
    assert "memory.high=" in offered(shell, "run", "web1", "--limit", "memory")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("rctl set web1 memory.max=5", ["5 ", "5K ", "5M "]),
        ("rctl set web1 io.max=vda", ["vda\\ rbps=", "vda\\ wbps="]),
        ('rctl set web1 "io.max=vda wb"', ["io.max=vda\\ wbps="]),
        ("rctl set web1 io.max=vda\\ w", ["vda\\ wbps=", "vda\\ wiops="]),
        ("rctl set web1 io.max\\=vda\\ w", ["io.max=vda\\ wbps=", "io.max=vda\\ wiops="]),
        ("rctl set web1 'io.max=vda w", ["io.max=vda wbps=", "io.max=vda wiops="]),
        ('rctl set web1 "mem', ["memory.max=", "memory.high="]),
        ("rctl set 'web1", ["web1"]),
        ("rctl show web1 ", ["web2 "]),
        ("rctl ", ["doctor "]),
        ("rctl", ["doctor "]),
        ("rctl apply sp", [":files "]),
    ],
)
def test_bash_gets_what_follows_its_word_break(shell: Shell, line: str, found: list[str]) -> None:
    assert in_bash(shell, line)[: len(found)] == found


@pytest.mark.parametrize("typed", ["/bad/", '"/bad/', "'/bad/"])
@pytest.mark.parametrize(
    "name", ["a$(touch ran)", "a`touch ran`", "a;touch ran", r"a\x2db", 'a"b', "a&b|c>d", "~a*?[b]"]
)
def test_a_name_is_never_run_by_bash(shell: Shell, typed: str, name: str) -> None:
    """A user may give a cgroup any name, and root completes it."""
    shell.kernel.make(f"/bad/{name}", enable=False)
    (word,) = in_bash(shell, f"rctl show {typed}")
    closing = typed[0] if typed[0] in "'\"" else ""
    line = f"cd '{shell.folder}'; printf %s {closing}{word.strip(' ')}{closing}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == f"/bad/{name}"
    assert not (shell.folder / "ran").exists()


def test_a_name_that_a_quote_cannot_hold_is_not_offered(shell: Shell) -> None:
    shell.kernel.make("/bad/it's", enable=False)
    assert in_bash(shell, "rctl show '/bad/") == []
    assert in_bash(shell, "rctl show /bad/") == ["/bad/it\\'s "]


def test_a_line_is_split_as_the_shell_does() -> None:
    assert split("rctl set 'a b' \"c d").words == ["rctl", "set", "a b", "c d"]
    assert split("rctl set a\\ b ").words == ["rctl", "set", "a b", ""]
    assert split("rctl set a\\").words == ["rctl", "set", "a"]
    assert split("rctl set 'it").quote == "'"


# Nothing is forgotten, nothing is said


def test_completion_is_silent_without_cgroups(monkeypatch: pytest.MonkeyPatch, shell: Shell) -> None:
    monkeypatch.setenv("RCTL_TREE", "not/a/path")
    monkeypatch.setenv("RCTL_STATE", "not/a/path")
    for words in (["show", ""], ["show", "/"], ["undo", ""], ["set", "x", ""]):
        offered(shell, *words)


def verbs(command: Any) -> list[Any]:
    return (
        [one for sub in command.commands.values() for one in verbs(sub)] if hasattr(command, "commands") else [command]
    )


def test_every_argument_of_every_verb_is_completed() -> None:
    """A new verb's argument has one of these names, or an entry in ``complete/place.py``."""
    found = {
        p.name for verb in verbs(root()) if not verb.hidden for p in verb.params if p.param_type_name == "argument"
    }
    assert found <= set(ARGUMENTS)


# The scripts


def script(shell: str) -> str:
    return files("rctl.cli.complete").joinpath(f"rctl.{shell}").read_text()


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_the_script_is_printed(shell: Shell, kind: str) -> None:
    assert shell.run("completion", kind) == (0, script(kind), "")


@pytest.mark.parametrize("kind", [kind for kind in ("bash", "zsh", "fish") if shutil.which(kind)])
def test_the_script_is_right_for_its_shell(kind: str) -> None:
    subprocess.run([kind, "-n"], input=script(kind), text=True, check=True)


@pytest.mark.parametrize(
    ("line", "answer", "reply"),
    [
        ("rctl set web1 pids", "pids.max=\t+\t", "[pids.max=]"),
        ("rctl show w", "web1\t.\ta help\nweb2\t.\t", "[web1 ][web2 ]"),
        ("rctl run web1 -- tru", ":commands\t.\t", "[true]"),
        ("rctl apply x", ":files\t.\t", "default"),
    ],
)
def test_bash_is_answered(line: str, answer: str, reply: str) -> None:
    """The script in a real bash, which asks a stand-in for rctl."""
    words = line.split(" ")
    text = f"""
        compopt() {{ options="$*"; }}
        rctl() {{ printf '%s\\n' '{answer}'; }}
        {script("bash")}
        COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=({line}) COMP_CWORD={len(words) - 1}
        _rctl rctl
        [ ${{#COMPREPLY[@]}} = 0 ] || printf '[%s]' "${{COMPREPLY[@]}}"; echo "$options"
    """
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
    assert reply in done.stdout


# Units, users, containers and pods

A_HOST = (
    "/system.slice/nginx.service",
    "/system.slice/nfs-server.service",
    "/user.slice/user-64999.slice/user@64999.service/app.slice/worker.service",
    f"/system.slice/docker-4f1c{'0' * 60}.scope",
    f"/machine.slice/libpod-{'a' * 64}.scope/container",
    "/kubepods.slice/kubepods-pod3f5e1a2b_4c6d_7e8f_9a0b_1c2d3e4f5a6b.slice",
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ng", ["nginx.service"]),
        ("web1", ["web1"]),
        ("unit:64999/", ["unit:64999/app.slice", "unit:64999/worker.service"]),
        ("user", ["user:", "user.slice", "user:64999", "user@64999.service"]),
        ("user-", ["user-64999.slice"]),
        ("do", ["docker:"]),
        ("docker:", ["docker:4f1c00000000"]),
        ("podman:", ["podman:aaaaaaaaaaaa"]),
        ("pod", ["podman:", "pod:"]),
        ("pod:", ["pod:3f5e1a2b-4c6d-7e8f-9a0b-1c2d3e4f5a6b"]),
        ("docker:5", []),
    ],
)
def test_completion_knows_units_users_containers_and_pods(shell: Shell, word: str, expected: list[str]) -> None:
    for path in A_HOST:
        shell.kernel.make(path, enable=False)
    assert sorted(offered(shell, "show", word)) == sorted(expected)


def test_without_ves_and_letters_the_kinds_are_offered(shell: Shell) -> None:
    for name in ("web1", "web2"):
        shell.kernel.root.children.pop(f"rctl-{name}")
    assert offered(shell, "show", "") == [f"{kind}:" for kind in KINDS]


def test_bash_completes_after_the_colon(shell: Shell) -> None:
    for path in A_HOST:
        shell.kernel.make(path, enable=False)
    assert in_bash(shell, "rctl show docker:4f") == ["4f1c00000000 "]
    assert in_bash(shell, "rctl show dock") == ["docker:"]
