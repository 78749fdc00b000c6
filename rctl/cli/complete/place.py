"""Finds the argument or option at the cursor, and the words that it can have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from ...console.flags import LIMIT_FLAGS, is_ve
from ...console.lean import load_msgspec
from .candidate import COMMANDS, FILES, Candidate, beginning

Offer = Callable[[str, Sequence[str]], Sequence[Candidate]]
"""Candidates for an incomplete word; the second argument holds the words that the argument or option has already."""


def _late(place: str) -> Offer:
    """A function of the module ``names`` or ``values``. They load the tree, or the limits, so they are loaded late."""
    module, _, name = place.partition(".")

    def offer(incomplete: str, given: Sequence[str]) -> Sequence[Candidate]:
        load_msgspec()
        found: Sequence[Candidate] = getattr(import_module(f"{__package__}.{module}"), name)(incomplete, given)
        return found

    return offer


_ves = _late("names.ves")
_limits, _keys = _late("values.limits"), _late("values.keys")


def _of_key(key: str) -> Offer:
    """The values of a limit's flag."""

    def offer(incomplete: str, given: Sequence[str]) -> Sequence[Candidate]:
        load_msgspec()
        from . import values

        return values.of_key(key, incomplete)

    return offer


def _files(incomplete: str, given: Sequence[str]) -> Sequence[Candidate]:
    return FILES


def _commands(incomplete: str, given: Sequence[str]) -> Sequence[Candidate]:
    return FILES if given else COMMANDS


def _limits_after_a_ve(incomplete: str, given: Sequence[str]) -> Sequence[Candidate]:
    """The words of ``set``: at least one VE, then limits."""
    if any(map(is_ve, given)):
        return [*_limits(incomplete, given), *_ves(incomplete, given)]
    return _ves(incomplete, given)


def _keys_after_a_ve(incomplete: str, given: Sequence[str]) -> Sequence[Candidate]:
    """The words of ``reset``: at least one VE, then keys."""
    return [*(_keys(incomplete, given) if given else ()), *_ves(incomplete, given)]


def _nothing(incomplete: str, given: Sequence[str]) -> Sequence[Candidate]:
    return ()


def _verbs(incomplete: str, given: Sequence[str]) -> Sequence[Candidate]:
    """The verbs, or those of the group that is named: ``help bench adjust``."""
    from ..app import declared

    command: Any = declared()
    for word in given:
        command = getattr(command, "commands", {}).get(word)
    names = [row.name for row in _shown(command)] + ["caveats"] * (not given)
    return beginning(incomplete, map(Candidate, names))


def _shown(command: Any) -> Sequence[Any]:
    """The rows in the list of a group; empty for anything else."""
    return command.commands.shown if hasattr(command, "commands") else ()


def _parts(incomplete: str, given: Sequence[str]) -> Sequence[Candidate]:
    from ...setup.parts import PARTS

    return beginning(incomplete, (Candidate(name, part.about) for name, part in PARTS.items() if name not in given))


def _words(*words: str) -> Offer:
    return lambda incomplete, given: beginning(incomplete, map(Candidate, words))


ARGUMENTS: dict[str, Offer] = {
    "name": _late("names.managed"),
    "names": _ves,
    "patterns": _ves,
    "words": _limits_after_a_ve,
    "selected": _keys_after_a_ve,
    "labelled": _ves,
    "keys": _keys,
    "new": _nothing,  # a name that does not exist yet
    "verb": _verbs,
    "size": _words("64M", "256M", "1G"),
    "adjustment": _late("names.adjustments"),
    "pids": _late("names.processes"),
    "command": _commands,
    "parts": _parts,
    "timer": _late("names.timers"),
    "time": _words("10m", "1h", "1d"),
    "shell": _words("bash", "zsh", "fish"),
    **dict.fromkeys(("file", "files", "first", "second"), _files),
}
"""The completion of each argument, by its name in the verb."""

OPTIONS: dict[str, Offer] = {
    "limit": _limits,
    "ve": _ves,
    "signal": _words("TERM", "HUP", "INT", "QUIT", "USR1", "USR2", "KILL", "STOP", "CONT"),
    "lasting": _words("10m", "1h", "1d"),
    "deadline": _words("1s", "10s", "1min"),
    "batch": _words("1", "10%", "25%", "1,10%"),
    "on_abort": _words("keep", "undo"),
    "retry": _late("names.unfinished"),
    "stop_at_pressure": _words("10%", "20%", "50%"),
    **dict.fromkeys(("pause", "check_timeout", "over"), _words("10s", "30s", "1min", "5min")),
    "swappiness": _words("0", "60", "100", "200"),
    "interval": _words("500ms", "1s", "10s"),
    "profile": _words("core", "full"),
    "clock": _words("auto", "instructions", "wall"),
    **dict.fromkeys(("include", "exclude", "collect"), _late("names.exported")),
    **dict.fromkeys(("folder", "web_config", "report", "output", "json"), _files),
    **{flag: _of_key(key) for flag, (key, *_) in LIMIT_FLAGS.items()},
}
"""The completion of each option, by its name in the verb. ``--only`` names workloads in ``bench``, VEs elsewhere."""


def candidates(root: Any, words: Sequence[str]) -> Sequence[Candidate]:
    """The candidates for the last of the words after ``rctl``."""
    *before, incomplete = words
    command, parameter, given, dashes = _place(root, before)
    if parameter is None and not dashes and incomplete.startswith("-"):
        option, equals, value = incomplete.partition("=")
        found = _option(command, option) if equals else None
        if found is None:
            return _options(command, incomplete)
        return [c._replace(word=f"{option}={c.word}") for c in _offer(command, found, value, ())]
    if parameter is not None:
        return _offer(command, parameter, incomplete, ())
    if hasattr(command, "commands"):
        return beginning(incomplete, (Candidate(row.name, row.about) for row in command.commands.shown))
    argument, given = _argument(command, given)
    return [] if argument is None else _offer(command, argument, incomplete, given)


def _offer(command: Any, parameter: Any, incomplete: str, given: Sequence[str]) -> Sequence[Candidate]:
    table = ARGUMENTS if parameter.param_type_name == "argument" else OPTIONS
    if parameter.name == "only":
        return _only(command, incomplete)
    offer = table.get(parameter.name)
    return offer(incomplete, given) if offer else []


def _only(command: Any, incomplete: str) -> Sequence[Candidate]:
    if command.name in ("overhead", "explain"):
        return _words_of("workloads", incomplete)
    if command.name == "all":
        return _words_of("benchmarks", incomplete)
    return _ves(incomplete, ())


def _words_of(what: str, incomplete: str) -> Sequence[Candidate]:
    from . import names

    found: Sequence[Candidate] = getattr(names, what)(incomplete)
    return found


def _place(command: Any, before: Sequence[str]) -> tuple[Any, Any, list[str], bool]:
    """The verb, the option that waits for its value (or ``None``), the arguments so far, and True after ``--``."""
    waiting, arguments, dashes = None, list[str](), False
    for word in before:
        if waiting is not None:
            waiting = None
        elif not dashes and word == "--":
            dashes = True
        elif not dashes and word.startswith("-") and len(word) > 1:
            option, equals, _ = word.partition("=")
            found = _option(command, option)
            waiting = None if equals or found is None or found.is_flag else found
        elif word in getattr(command, "commands", ()):
            command = command.commands[word]
        else:
            arguments.append(word)
    return command, waiting, arguments, dashes


def _option(command: Any, word: str) -> Any:
    return next((p for p in command.params if word in p.opts and p.param_type_name == "option"), None)


def _options(command: Any, incomplete: str) -> Sequence[Candidate]:
    found = [
        Candidate(word, getattr(p, "help", "") or "")
        for p in command.params
        if p.param_type_name == "option"
        for word in p.opts
        if word.startswith("--") or incomplete != "--"
    ]
    return beginning(incomplete, [*found, Candidate("--help", "Show this message and exit")])


def _argument(command: Any, given: Sequence[str]) -> tuple[Any, list[str]]:
    """The argument that follows the given words, and the words that it has already."""
    rest = list(given)
    for parameter in (p for p in command.params if p.param_type_name == "argument"):
        if parameter.nargs == -1 or len(rest) < parameter.nargs:
            return parameter, rest
        rest = rest[parameter.nargs :]
    return None, []
