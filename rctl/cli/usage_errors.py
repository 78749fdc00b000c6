"""Errors of wrong usage, in one line: the word, the cause, and the right form."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

_ALIKE = 0.75
"""Minimum similarity (difflib's ratio, 0 to 1) of a known word that is offered instead of the typed one."""

_VERBS = {
    **dict.fromkeys(("create", "start", "exec", "enter", "spawn"), "run NAME -- CMD"),
    **dict.fromkeys(("stop", "signal", "terminate"), "kill NAME"),
    **dict.fromkeys(("delete", "remove", "destroy", "del"), "rm NAME"),
    **dict.fromkeys(("list", "stats", "top"), "ls"),
    **dict.fromkeys(("inspect", "status", "stat"), "show NAME"),
    **dict.fromkeys(("info", "check", "diagnose"), "doctor"),
    **dict.fromkeys(("update", "limit", "change", "set-property", "edit"), "set NAME KEY=VALUE"),
    **dict.fromkeys(("unset", "clear", "revert"), "reset NAME KEY"),
    **dict.fromkeys(("pause", "suspend"), "freeze NAME"),
    **dict.fromkeys(("unpause", "unfreeze", "resume", "continue"), "thaw NAME"),
    **dict.fromkeys(("add", "move", "classify"), "attach NAME PID"),
    **dict.fromkeys(("cp", "clone"), "copy NAME NAME"),
    **dict.fromkeys(("log", "logs", "events"), "history"),
    **dict.fromkeys(("rollback", "back"), "undo"),
    **dict.fromkeys(("dump", "save", "backup"), "export"),
    **dict.fromkeys(("load", "import", "up"), "apply FILE"),
    **dict.fromkeys(("plan", "validate"), "diff FILE"),
    **dict.fromkeys(("processes", "pids"), "ps"),
    **dict.fromkeys(("tag", "annotate"), "label NAME KEY=VALUE"),
    "mv": "rename NAME NEW",
    "metrics": "exporter metrics",
    "serve": "exporter serve",
    "benchmark": "bench",
    "version": "--version",
    "restart": "kill NAME, then rctl run NAME -- CMD",
}
"""Verbs of Docker, systemd, OpenVZ and others, and the words for the same in rctl."""

_OPTIONS = {
    **dict.fromkeys(("-m", "--mem", "--memory-max", "--ram", "--memory-limit"), "--memory"),
    **dict.fromkeys(("--memory-swap", "--swap-max", "--swappages"), "--swap, which counts swap alone"),
    **dict.fromkeys(("--memory-reservation", "--memory-soft-limit"), "--memory-low"),
    **dict.fromkeys(("--cpu", "--cpu-max", "--cpu-quota", "--cpulimit", "--cores"), "--cpus, a number of CPUs"),
    **dict.fromkeys(("-c", "--cpu-shares", "--cpuunits"), "--cpu-weight, from 1 to 10000"),
    **dict.fromkeys(("--cpuset-cpus", "--cpumask", "--cpu-list"), "--cpuset"),
    **dict.fromkeys(("--cpuset-mems", "--nodemask"), "--mems"),
    **dict.fromkeys(("--pids-limit", "--pids-max", "--tasks-max"), "--pids"),
    **dict.fromkeys(("--blkio-weight", "--ioprio"), "--io-weight"),
    "--device-read-bps": "--io-max 'vda rbps=20MB/s'",
    "--device-write-bps": "--io-max 'vda wbps=20MB/s'",
    "--device-read-iops": "--io-max 'vda riops=500'",
    "--device-write-iops": "--io-max 'vda wiops=500'",
    **dict.fromkeys(("-f", "-y", "--force", "--yes"), "--kill, to end the processes, too"),
    **dict.fromkeys(("-n", "--lines", "--tail"), "--last"),
    **dict.fromkeys(("-o", "--format", "--output"), "--json"),
    **dict.fromkeys(("-p", "--property"), "--limit KEY=VALUE"),
    "--check": "--dry-run",
    "--port": "--listen :PORT",
    "-v": "-V",
}
"""Options of other tools, and the option with the same meaning, if the verb has it."""

_WORD_LEFT_OVER = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL)
_NO_VERB = re.compile(r"No such command (['\"])(.*?)\1\.?(?: Did you mean '.*)?", re.DOTALL)
_NO_VALUE = re.compile(r"Option '(.*)' requires an argument\.?")
_NO_NUMBER = re.compile(r"('.*') is not a valid (?:int|integer)(?: range)?\.?", re.DOTALL)
_OUT_OF_RANGE = re.compile(r"(\S+) is not in the range (\d+)<=x<=(\d+)\.?")


def told(error: Any) -> str:
    """One line for an error from Typer, with the name of the help that describes the verb."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "rctl"
    return f"{_reason(error, context, path).rstrip('.')}. See {path} --help"


def _reason(error: Any, context: Any, path: str) -> str:
    text = " ".join(str(error.format_message()).split())
    kind = type(error).__name__
    if kind == "NoSuchOption":
        return _no_option(error.option_name, context, path)
    if kind == "MissingParameter" and error.param is not None:
        choices = getattr(error.param.type, "choices", None)
        return f"{_name(error.param)} is missing" + (f". Write {' or '.join(map(str, choices))}" if choices else "")
    if kind == "BadParameter" and error.param is not None:
        return f"{_name(error.param)}: {_bad_value(str(error.message))}"
    if match := _NO_VERB.fullmatch(text):
        return _no_verb(match[2], context, path)
    if match := _WORD_LEFT_OVER.fullmatch(text):
        return f"{match[1]}: {path} takes no such word. Leave it out"
    if match := _NO_VALUE.fullmatch(text):
        return f"{match[1]}: its value is missing"
    if text == "Missing command.":
        return f"the verb is missing. Write {_either(context.command.commands)}"
    return text or "no verb given"


def _name(parameter: Any) -> str:
    """A parameter as its help shows it."""
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.name).strip("[]").removeprefix("-- ").split("...")[0]


def _bad_value(text: str) -> str:
    if match := _NO_NUMBER.fullmatch(text):
        return f"{match[1]} is not a whole number"
    if match := _OUT_OF_RANGE.fullmatch(text):
        return f"{match[1]} is out of range {match[2]}..{match[3]}"
    return text


def _no_verb(word: str, context: Any, path: str) -> str:
    known = [row.name for row in context.command.commands.shown]
    if path == "rctl" and word.lower() in (_VERBS.keys() | set(known)):
        return f"{word[:64]}: there is no such verb. Write rctl {_VERBS.get(word.lower(), word.lower())}"
    near = get_close_matches(word[:64], known, 1, _ALIKE)
    return f"{word[:64]}: there is no such verb" + (f". Write {path} {near[0]}" if near else "")


def _no_option(word: str, context: Any, path: str) -> str:
    said = f"{word[:64]}: {path} has no such option"
    if context is None:
        return said
    mine = _options(context.command)
    meant = _OPTIONS.get(word, "")
    if meant and meant.split()[0].rstrip(",") in mine:
        return f"{said}. Write {meant}"
    if near := get_close_matches(word[:64], mine, 1, _ALIKE):
        return f"{said}. Write {near[0]}"
    verbs = getattr(context.command, "commands", {})
    if any(word in _options(verb) for verb in verbs.values()):
        return f"{said}. Write it after the verb"
    return said


def _options(command: Any) -> list[str]:
    return [word for p in command.params if p.param_type_name == "option" for word in p.opts]


def _either(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
