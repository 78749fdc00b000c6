"""Reads the words of a usual command line by the table that a verb declares, without Typer.

Loading Typer costs more than most verbs do. So this reads the lines that are right and plain. For all others it answers
``None``; Typer then reads the line by the same table, and words the error or prints the help. A test compares both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from ..late_regex import regex
from .declare import QUIET, REQUIRED, Parameter, parameters

_WHOLE = regex(r"-?[0-9]+")
_KNOWN = {"metavar", "help", "min", "max"}
"""What a declaration may say; all else is Typer's."""


def arguments(function: Callable[..., Any], words: Sequence[str]) -> dict[str, Any] | None:
    """The arguments of the verb's function for these words, and ``quiet`` if that was asked; ``None``: ask Typer."""
    table = parameters(function)
    if getattr(function, "parses", False) or not all(one.declared for one in table):
        return None
    options = {word: one for one in table for word in one.opts}
    if getattr(function, "changes", False):
        options |= dict.fromkeys(QUIET.words, Parameter("quiet", bool, False, QUIET, bool))
    try:
        given, rest = _options(options, iter(words))
        given |= _arguments([one for one in table if one.param_type_name == "argument"], rest)
    except ValueError:
        return None
    found = {one.name: one.default for one in table} | given
    return None if any(value is REQUIRED for value in found.values()) else found


def _options(known: dict[str, Parameter], words: Iterator[str]) -> tuple[dict[str, Any], list[str]]:
    """The options' values, and the words that are left. Raises ValueError for what is not plain."""
    given: dict[str, Any] = {}
    rest: list[str] = []
    for word in words:
        if word == "--":
            return given, [*rest, *words]
        if len(word) < 2 or word[0] != "-":
            rest.append(word)
            continue
        name, equals, text = word.partition("=")
        if (one := known.get(name)) is None or (equals and (one.is_flag or name[:2] != "--")):
            raise ValueError
        if one.is_flag:
            given[one.name] = True
            continue
        if not equals and (text := next(words, "-"))[:1] == "-":
            raise ValueError
        value = _value(one, text)
        given[one.name] = [*given.get(one.name, ()), value] if one.listed else value
    return given, rest


def _arguments(table: Sequence[Parameter], words: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for number, one in enumerate(table, 1):
        if one.listed and number < len(table):
            raise ValueError
        mine, words = (words, []) if one.listed else (words[:1], words[1:])
        if mine:
            values = [_value(one, word) for word in mine]
            given[one.name] = values if one.listed else values[0]
    if words:
        raise ValueError
    return given


def _value(one: Parameter, text: str) -> Any:
    assert one.declared
    if one.declared.more.keys() - _KNOWN:
        raise ValueError
    if one.type is str or (get_origin(one.type) is Literal and text in get_args(one.type)):
        return text
    if one.type is not int or not _WHOLE.fullmatch(text):
        raise ValueError
    number, bounds = int(text), one.declared.more
    if not bounds.get("min", number) <= number <= bounds.get("max", number):
        raise ValueError
    return number
