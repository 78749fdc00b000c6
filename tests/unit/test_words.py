"""The words of a command line are read without Typer where they are plain, and then mean what Typer would say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rctl.cli.app import declared, rows
from rctl.console.declare import REQUIRED, Exit, Parameter, parameters
from rctl.console.rows import VerbRow, VerbSource
from rctl.console.table import VerbGroup
from rctl.console.words import arguments

VALUES = ("web1", "memory.max=1G", "3", "-1", "1_0", "10m", "", "-", "bash", "zsh", "/a b", "--json", "0")


def verbs(table: list[VerbSource]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Each verb's words, and its function."""
    for row in table:
        found = row.load()
        if isinstance(found, tuple):
            yield from ((f"{row.name} {name}", function) for name, function in verbs([*found]))
        else:
            yield row.name, found


VERBS = dict(verbs(rows()))


class Recorder:
    """Stands for a verb; remembers its arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.called: dict[str, Any] | None = None

        def record(**given: Any) -> None:
            self.called = given

        record.__dict__.update({"__wrapped__": function} | vars(function))
        record.__doc__, record.__name__ = function.__doc__, function.__name__
        self.function = record

    def load(self) -> Any:
        return self.function


def by_typer(function: Callable[..., Any], words: list[str]) -> dict[str, Any] | None:
    """The arguments that Typer reads; ``None`` for a line that is wrong, or asks for help."""
    recorder = Recorder(function)
    row = VerbRow("verb", f"{__name__}:unused", "A verb.")
    group = VerbGroup([row], name="rctl")
    group.commands._rows["verb"] = type("One", (), {"name": "verb", "hidden": False, "load": recorder.load})()
    from typer import Exit as TypersExit

    try:
        with group.make_context("rctl", ["verb", *words]) as context:
            context.command.invoke(context)
    except (TypersExit, Exit):
        return None
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return None
    return recorder.called


def plain(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Empty lists are none; Typer has both."""
    return found and {name: list(v) if isinstance(v, list | tuple) and v else v or None for name, v in found.items()}


def samples(one: Parameter) -> st.SearchStrategy[list[str]]:
    """Words for a parameter, right ones and wrong ones."""
    choices = [str(word) for word in get_args(one.type)] if one.type not in (str, int, bool) else []
    value = st.sampled_from([*VALUES, *choices])
    if not one.opts:
        return value.map(lambda word: [word])
    word = st.sampled_from(one.opts)
    if one.is_flag:
        return word.map(lambda name: [name])
    return st.one_of(st.tuples(word, value).map(list), st.tuples(word, value).map(lambda two: ["=".join(two)]))


def lines(name: str) -> st.SearchStrategy[list[str]]:
    table = [one for one in parameters(VERBS[name]) if one.declared]
    more = st.sampled_from([["--"], ["--help"], ["--frob"], ["-q"], ["-nf"], ["web1"], ["web1"]])
    some = st.lists(st.one_of(*map(samples, table), more), max_size=5).map(lambda parts: [w for p in parts for w in p])
    return st.one_of(some, some.map(lambda words: [*right(table), *words]), st.just(right(table)))


def right(table: list[Parameter]) -> list[str]:
    """A right word for each argument that a verb needs."""
    needed = [one for one in table if one.param_type_name == "argument" and one.default is REQUIRED]
    return [str(get_args(one.type)[0]) if get_args(one.type) else {int: "3"}.get(one.type, "web1") for one in needed]


@pytest.mark.parametrize("name", VERBS)
def test_a_line_that_is_read_without_typer_means_the_same_to_typer(name: str) -> None:
    read = 0

    @settings(max_examples=50, deadline=None)
    @given(lines(name))
    def same(words: list[str]) -> None:
        nonlocal read
        found = arguments(VERBS[name], words)
        if found is not None:
            read += 1
            found.pop("quiet", None)
            assert plain(found) == plain(by_typer(VERBS[name], words)), words

    same()
    assert read or name in BY_TYPER, name


BY_TYPER = {"help", "run"}
"""Verbs that only Typer reads: ``help`` needs it, and ``run`` takes its words apart at ``--``."""


def test_usual_lines_are_read_without_typer() -> None:
    words = ["web1", "memory.max=2G", "--pids=5", "-n", "--io-max", "a rbps=1M", "--io-max=b wbps=2"]
    found = arguments(VERBS["set"], words)
    assert found is not None
    assert {name: value for name, value in found.items() if value} == {
        "words": ["web1", "memory.max=2G"],
        "pids": "5",
        "dry_run": True,
        "io_max": ["a rbps=1M", "b wbps=2"],
        "deadline": "10s",
    }
    assert (arguments(VERBS["history"], ["--last", "4"]) or {})["last"] == 4
    assert arguments(VERBS["history"], ["--last", "0"]) is None
    assert arguments(VERBS["complete"], ["bash", "--", " =", "rctl set --me"]) == {
        "shell": "bash",
        "words": [" =", "rctl set --me"],
    }


@pytest.mark.parametrize("words", [["--help"], ["--frob"], ["--pids"], ["--json=1"], ["-nj"], ["--pids", "--json"]])
def test_a_line_that_is_not_plain_is_typers(words: list[str]) -> None:
    assert arguments(VERBS["set"], ["web1", "pids.max=5", *words]) is None


def test_what_the_table_says_of_a_verb_is_what_typer_has() -> None:
    """Completion reads the table: names, words and kinds are those of Typer's own commands."""

    def shape(command: Any, path: str = "") -> Iterator[tuple[Any, ...]]:
        for name in getattr(command, "commands", {}):
            yield from shape(command.commands[name], f"{path} {name}")
        for p in command.params if path else ():
            yield path, p.name, p.param_type_name, tuple(p.opts if p.param_type_name == "option" else ()), p.nargs

    assert {*shape(declared())} == {*shape(VerbGroup(rows(), name="rctl"))}
