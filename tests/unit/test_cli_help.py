"""Help, as it is typed: of verbs, of limits, of other tools' words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from rctl.cli.app import root
from rctl.limits import keys
from tests.unit.shell import Shell


def _verbs(group: Any, *above: str) -> Iterator[tuple[str, ...]]:
    yield above
    for name, command in getattr(group, "commands", {}).items():
        if not command.hidden:
            yield from _verbs(command, *above, name)


VERBS = [*_verbs(root())]


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_help_of_a_verb_is_what_its_option_shows(shell: Shell, words: tuple[str, ...]) -> None:
    assert shell.run("help", *words) == shell.run(*words, "--help")


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("MemoryMax", "'MemoryMax': rctl calls it memory.max. Write rctl help memory.max"),
        ("CPUQuota", "'CPUQuota': rctl calls it cpu.max (a number of CPUs). Write rctl help cpu.max"),
        ("frob", "'frob': there is no such verb, limit or topic. See rctl --help, or rctl help limits"),
    ],
)
def test_help_knows_other_tools_words(shell: Shell, word: str, words: str) -> None:
    assert shell.refused("help", word) == f"rctl: help: {words}\n"


def test_help_of_a_resource_lists_its_limits(shell: Shell) -> None:
    status, out, _ = shell.run("help", "memory")
    assert status == 0
    assert "memory.swap.max\n" in out
    assert "pids.max" not in out


def test_help_shows_all_verbs(shell: Shell) -> None:
    assert "freeze" in shell.run("help")[1]
    assert "exporter" in shell.run("--help")[1]


NEW = ("get", "reset", "copy", "export", "rename", "label", "ps", "freeze", "thaw", "kill", "help")


@pytest.mark.parametrize("verb", NEW)
def test_each_new_verb_has_an_example_in_its_help(shell: Shell, verb: str) -> None:
    text = shell.run(verb, "--help")[1]
    assert "Example: rctl " in text
    assert "--json" in text or verb == "help"


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_help_is_for_people(shell: Shell, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    """No sentence is cut at 80 columns, no type of Python's stands for a value, no argument has a parameter's name."""
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = shell.run(*words, "--help")
    assert status == 0
    assert all(len(line) <= 80 for line in out.splitlines())
    assert not re.search(r"[a-z,]\.\.\.\n|<str>|<int|[{}]", out)


def test_help_of_set_lists_every_key(shell: Shell) -> None:
    out = shell.run("set", "--help")[1]
    for key in (*keys(), "hugetlb.2MB", "files.NAME"):
        assert key in out.split("Keys:")[1].split() or key in ("hugetlb", "files")


def test_help_tells_what_each_limit_does(shell: Shell) -> None:
    status, out, err = shell.run("help", "limits")
    assert (status, err) == (0, "")
    names, sentences = out.splitlines()[::2], out.splitlines()[1::2]
    assert {name for name in names if not name.startswith("hugetlb")} == set(keys()) - {"hugetlb", "files"}
    assert all(sentence.startswith("    ") and sentence.endswith(".") for sentence in sentences)
    for name in names:
        assert shell.run("help", name)[1].splitlines()[:2] == [name, sentences[names.index(name)]]
    assert "Caveat: never throttles at or above memory.max" in shell.run("help", "memory.high")[1]
    assert "memory.mx: there is no such limit. Did you mean memory.max?" in shell.refused("help", "memory.mx")
    assert "Write rctl help set" in shell.refused("help", "sett")
