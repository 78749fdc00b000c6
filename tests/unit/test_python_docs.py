"""The Python API is described in full, and every method of it is at work on a page whose sessions are run."""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import rctl
from tests.pycon import sections, wrong
from tests.unit.shell import Shell

PAGE = Path(__file__).parents[2] / "docs/howto/python.md"
OF_A_REAL_HOST = ("What the host can do", "Commands and processes")
"""Sections that need a host, and processes; tests/kernel runs them, too."""
TOLD_ONCE = {"self", "name", "patterns", "deadline", "wait", "force", "dry_run"}
"""Parameters that the docstring of Session tells of, for all methods."""


def methods(kind: type[Any]) -> list[Any]:
    """The public methods of a class, those that it inherits, too."""
    return [method for name, method in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")]


FUNCTIONS = [*methods(rctl.Session), *methods(rctl.VE), rctl.open, rctl.transaction]
EACH = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__qualname__)


def test_what_the_page_shows_is_what_comes_of_it(shell: Shell) -> None:
    """Given a host without VEs, when one types what is on the page, then it prints what is on the page."""
    for path in ("/rctl-web1", "/rctl-web2"):
        shell.kernel.remove(path)
    assert wrong(PAGE, shell.folder, OF_A_REAL_HOST) == ""


def test_the_program_in_the_readme_runs(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.kernel.make("/rctl-db")
    (program,) = re.findall(r"^```python\n(.*?)^```$", (PAGE.parents[2] / "README.md").read_text(), re.M | re.S)
    exec(program, {})
    assert capsys.readouterr().out == "[]\n3221225472 1.5 0\n"


def test_the_sections_that_are_left_out_here_are_there() -> None:
    assert set(OF_A_REAL_HOST) < set(sections(PAGE.read_text()))


@EACH
def test_each_method_is_at_work_on_the_page_or_in_its_docstring(function: Any) -> None:
    typed = "".join(example.source for example in examples(function))
    assert re.search(rf"\b{function.__name__}\(", PAGE.read_text() + typed)


def examples(function: Any) -> list[doctest.Example]:
    """What its docstring types after ``>>> ``, and what comes of it."""
    return doctest.DocTestParser().get_examples(inspect.getdoc(function) or "")


def test_what_a_docstring_shows_is_what_comes_of_it(shell: Shell) -> None:
    """Given a host with web1 and web2, and a Session ``s``."""
    shown = [function for function in FUNCTIONS if examples(function)]
    told: list[str] = []
    with rctl.session() as s:
        for function in shown:
            name = function.__qualname__
            text = inspect.getdoc(function) or ""
            test = doctest.DocTestParser().get_doctest(text, {"rctl": rctl, "s": s}, name, None, 0)
            doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)
    assert "".join(told) == ""
    assert rctl.Session.match in shown


@EACH
def test_each_parameter_is_told_of(function: Any) -> None:
    text = inspect.getdoc(function) or ""
    assert [name for name in inspect.signature(function).parameters if f"``{name}``" not in text + told_once()] == []


@EACH
def test_what_comes_back_is_told_of(function: Any) -> None:
    returned = inspect.signature(function).return_annotation
    assert returned in ("None", "Account") or re.search(r"\bReturns\s", inspect.getdoc(function) or "")


@EACH
def test_what_it_raises_is_told_of(function: Any) -> None:
    """Of what changes something, the docstring of Session tells."""
    changes = inspect.signature(function).return_annotation == "Account"
    assert changes or re.search(r"\b[Rr]aises\s", inspect.getdoc(function) or "")


def told_once() -> str:
    """What the docstring of Session says for all methods."""
    text = inspect.getdoc(rctl.Session) or ""
    return " ".join(f"``{name}``" for name in TOLD_ONCE if name == "self" or f"``{name}``" in text)
