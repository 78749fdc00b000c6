"""The table of verbs: what it says of each is true, and a verb's file is loaded for nobody but its user."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

import pytest

from rctl.cli.app import root

TOP = Path(__file__).parents[2]
VERBS = sorted(path.stem for path in (TOP / "rctl" / "cli" / "verbs").glob("[!_]*.py"))
RUN = """
import sys
from rctl.cli import main
sys.argv[0] = "rctl"
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
FILES = {
    "rctl.cli.verbs.set",
    "rctl.cli.verbs.ls",
    "rctl.cli.verbs.undo",
    "rctl.cli.verbs.doctor",
    "rctl.bench.verbs",
    "rctl_exporter.verbs",
}
"""Some verbs' files."""


def rows(group: Any) -> Iterator[tuple[Any, Any]]:
    """Each row of the table, with what it loads."""
    for row in group.commands.shown:
        command = group.commands[row.name]
        yield row, command
        if hasattr(command, "commands"):
            yield from rows(command)


ROWS = list(rows(root()))


def imported(module: str) -> Iterator[str]:
    """The full names of all that a module's text imports, within its functions, too."""
    path = TOP.joinpath(*module.split(".")).with_suffix(".py")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            place = "." * node.level + (node.module or "")
            yield from (f"{resolve_name(place, module.rpartition('.')[0])}.{one.name}" for one in node.names)


def modules(*words: str, status: int | None = 0) -> set[str]:
    """The modules that a command has loaded by its end. ``status``: ``None``, it may also fail."""
    done = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, check=False, cwd=TOP)
    assert status is None or done.returncode == status, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize(("row", "command"), ROWS, ids=[row.place for row, _ in ROWS])
def test_the_list_of_verbs_says_of_each_what_its_help_begins_with(row: Any, command: Any) -> None:
    assert inspect.cleandoc(command.help).split("\n\n")[0] == row.about


@pytest.mark.parametrize("row", [row for row, _ in ROWS], ids=[row.place for row, _ in ROWS])
def test_a_line_of_the_list_fits_on_a_terminal(row: Any) -> None:
    assert len(f"  {'completion'}  {row.about}") <= 80


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["complete", "zsh", "s"]], ids=" ".join)
def test_a_list_of_verbs_loads_none_of_their_files(words: list[str]) -> None:
    loaded = modules(*words)
    assert not loaded & FILES
    assert not any(name.startswith(("rctl.adjust", "rctl.cgroupfs", "rctl.bench")) for name in loaded)


@pytest.mark.parametrize(
    "words", [["ls"], ["complete", "zsh", "set", ""], ["complete", "bash", "--", " =", "rctl set --m"]], ids=" ".join
)
def test_plain_words_load_neither_typer_nor_what_only_it_needs(words: list[str]) -> None:
    """Typer costs more than most verbs. msgspec takes from typing what it would take from typing_extensions."""
    loaded = modules(*words, status=None)
    assert not loaded & {"typer", "inspect", "typing_extensions", "rich", "shutil", "subprocess", "urllib"}


def test_a_plain_set_loads_no_writer_of_another_owner_and_little_of_the_library() -> None:
    loaded = modules("set", "web1", "pids.max=100", status=None)
    assert "rctl.console.flags" in loaded
    assert not loaded & {f"rctl.adjust.writers.{name}" for name in ("docker", "scope", "systemd")}
    assert not loaded & {"jeepney", "platform", "shlex", "socket", "textwrap", "typer"}


IMPORTS = """
from rctl.console.lean import load_msgspec
load_msgspec()
import re, typing
def none(*args, **kwargs):
    raise AssertionError(args)
re.compile = re._compile = typing.ForwardRef.__init__ = none
import rctl.adjust.engine, rctl.adjust.writers.systemd, rctl.api.session, rctl.cli.verbs.set, rctl.console.output
import rctl.console.words, rctl.names.look_up, rctl.names.owners, rctl.names.patterns, rctl.systemd.bus
"""


def test_what_a_set_imports_compiles_nothing() -> None:
    """No regular expression, and no annotation in quotes: NamedTuple compiles those."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False, cwd=TOP)
    assert done.returncode == 0, done.stderr


def test_a_verb_loads_its_own_file_alone() -> None:
    assert modules("set", "--help") & FILES == {"rctl.cli.verbs.set"}
    assert modules("help", "exporter", "once") & FILES == {"rctl_exporter.verbs"}
    assert modules("bench", "--help") & FILES == {"rctl.bench.verbs"}


@pytest.mark.parametrize("verb", VERBS)
def test_no_verbs_file_loads_another(verb: str) -> None:
    """Given any verb's file, when it is read, then it has no import of another verb's, at its top or within."""
    place = f"rctl.cli.verbs.{verb}"
    assert [name for name in imported(place) if name.startswith("rctl.cli.verbs.")] == []


def test_no_verb_is_there_twice() -> None:
    places = [row.place for row, _ in ROWS]
    assert len(places) == len(set(places))


def test_what_is_no_verb_is_none_of_the_table() -> None:
    commands = root().commands
    assert "set" in commands
    assert "frob" not in commands
    assert commands.get("frob") is None
    assert commands["set"] is commands["set"]
