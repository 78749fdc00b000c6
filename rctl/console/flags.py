"""Flags that several verbs share: limits by name, and options of an adjustment.

Limits are given as ``memory.max=2G`` (every limit, by the kernel's name) or, for the usual ones, as a flag.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from ..errors import UsageError
from ..escape import escaped
from .declare import Argument, Option, Parameter

LIMIT_FLAGS = {
    "memory": ("memory.max", "SIZE", "Most memory: 2G, 512MiB, 50%, max"),
    "memory_high": ("memory.high", "SIZE", "Slow the VE down above this much memory"),
    "memory_low": ("memory.low", "SIZE", "Protect this much memory if possible"),
    "memory_min": ("memory.min", "SIZE", "Protect this much memory always"),
    "swap": ("memory.swap.max", "SIZE", "Most swap, not counting memory: 1G, 0, max"),
    "cpus": ("cpu.max", "CPUS", "CPU time as a number of CPUs: 1.5, 150%, max"),
    "cpu_weight": ("cpu.weight", "N", "Share of the CPUs: 1 to 10000, or idle"),
    "vcpus": ("vcpus", "N", "Number of whole CPUs that the VE sees: 2"),
    "cpuset": ("cpuset.cpus", "LIST", "CPUs by number: 0-3,8"),
    "mems": ("cpuset.mems", "LIST", "Memory nodes by number: 0"),
    "pids": ("pids.max", "N", "Most processes and threads"),
    "io_weight": ("io.weight", "N", "Share of the disks: 1 to 10000"),
    "io_max": ("io.max", "RATES", "For a disk: 'vda rbps=20MB/s wiops=500'. Repeatable"),
}
"""Flags of the usual limits: the limit's key, the word for its value, and its help.

They stand here, and not with the limits, so that a verb that sets none does not load the limits.
"""


def _parameter(name: str, value: str, text: str) -> Parameter:
    option = Option(f"--{name.replace('_', '-')}", metavar=value, help=text)
    several = name == "io_max"
    kind: Any = Annotated[list[str] | None, option] if several else Annotated[str | None, option]
    return Parameter(name, kind, None, option, str, several)


def takes_limits(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb, whose last parameter is ``flags``, one option for each of LIMIT_FLAGS."""

    def wrapped(**given: Any) -> Any:
        flags = {name: given.pop(name) for name in LIMIT_FLAGS}
        return verb(**given, flags=flags)

    wrapped.__doc__, wrapped.__name__ = verb.__doc__, verb.__name__
    limits = [_parameter(name, value, text) for name, (_, value, text) in LIMIT_FLAGS.items()]
    wrapped.__dict__.update(__wrapped__=verb, limits=limits)
    return wrapped


def asked(assignments: list[str], flags: dict[str, Any]) -> dict[str, Any]:
    """Plain nested data from ``KEY=VALUE`` words and flags. Raises UsageError that names the wrong word."""
    from ..limits import BY_DEVICE, nest

    pairs: dict[str, Any] = {}
    disks: list[tuple[str, str]] = []
    for word in assignments:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{word!r}: not a limit. Write KEY=VALUE, such as memory.max=2G")
        if key in BY_DEVICE:
            disks.append((key, value))
        else:
            _add(pairs, key, value)
    for name, value in flags.items():
        key = LIMIT_FLAGS[name][0]
        if value is None:
            continue
        if key in BY_DEVICE:
            disks += ((key, line) for line in value)
        elif key in pairs:
            raise UsageError(f"{key}: given twice, once as --{name.replace('_', '-')}. Give it once")
        else:
            pairs[key] = value
    nested = nest(pairs)
    for key, line in disks:
        _merge_disk(key, nested, nest({key: line}))
    return nested


def _add(pairs: dict[str, Any], key: str, value: str) -> None:
    """Add a limit. A limit by device may be given once for each device."""
    from ..limits import has_lines

    if key not in pairs:
        pairs[key] = value
    elif has_lines(key):
        pairs[key] += f"\n{value}"
    else:
        raise UsageError(f"{key}: given twice. Give it once")


def _merge_disk(key: str, nested: dict[str, Any], more: dict[str, Any]) -> None:
    """Add another line of a limit by device, whose key has two parts."""
    group, field = key.split(".")
    disks = nested.setdefault(group, {}).setdefault(field, {})
    for disk, values in more[group][field].items():
        if twice := disks.get(disk, {}).keys() & values.keys():
            raise UsageError(f"{key}: {disk}: {sorted(twice)[0]} given twice. Give it once")
        disks.setdefault(disk, {}).update(values)


Names = Annotated[
    list[str],
    Argument(metavar="VE...", help="VEs, units, containers, cgroup paths with a leading /, or patterns"),
]
Name = Annotated[str, Argument(metavar="VE", help="The VE's name")]
NameOrPath = Annotated[str, Argument(metavar="VE", help="A VE, unit or container, or a cgroup path with a leading /")]
Json = Annotated[bool, Option("--json", help="Print JSON")]
DryRun = Annotated[bool, Option("--dry-run", "-n", help="Show the plan, change nothing")]
Thaw = Annotated[bool, Option("--thaw", help="If the VE is frozen, thaw it first")]
Force = Annotated[bool, Option("--force", help="Do it even if the kernel may kill or later changes are lost")]
DeadlineText = Annotated[
    str, Option("--deadline", metavar="TIME", help="Longest to wait for memory to be freed: 10s, 2min")
]
Wait = Annotated[
    str,
    Option("--deadline", metavar="TIME", help="Longest to wait for the processes to stop or continue: 10s, 2min"),
]
SpecFile = Annotated[str, Argument(metavar="FILE", help="The spec, a TOML file; - is standard input")]
UntilBoot = Annotated[
    bool, Option("--runtime", help="Until the next boot only; a unit of systemd otherwise keeps its limits")
]
Prune = Annotated[
    bool, Option("--prune", help="Also remove VEs that the spec does not name; refused when one has processes")
]


Batch = Annotated[
    str | None,
    Option("--batch", metavar="SIZE", help="Change so many VEs at a time: 10%, 5, or 1,10% (the last one repeats)"),
]
Pause = Annotated[str | None, Option("--pause", metavar="TIME", help="Wait between batches: 30s")]
CheckText = Annotated[
    str | None,
    Option("--check", metavar="COMMAND", help="Run this for each VE after its batch; see RCTL_VE, RCTL_PATH"),
]
CheckTimeout = Annotated[
    str | None, Option("--check-timeout", metavar="TIME", help="Longest for one check: 30s (default)")
]
AbortAfter = Annotated[
    int | None, Option("--abort-after", metavar="N", help="Stop when N VEs have failed (default: 1)")
]
OnAbort = Annotated[
    str | None, Option("--on-abort", metavar="keep|undo", help="Then keep what is done (default), or undo it")
]
Retry = Annotated[str | None, Option("--retry", metavar="ID", help="Go on with a rolling change where it stopped")]
Over = Annotated[str | None, Option("--over", metavar="TIME", help="Move the values in steps, within this time: 5min")]
Steps = Annotated[int | None, Option("--steps", metavar="N", help="So many steps (default: 20, or one a second)")]
StopAtPressure = Annotated[
    str | None,
    Option("--stop-at-pressure", metavar="PERCENT", help="Then put all back: 20%, or memory=20%,io=10%"),
]


def seconds(text: str, flag: str = "--deadline") -> float:
    """The time of a flag, in seconds. Raises UsageError."""
    from ..units import Deadline

    try:
        return Deadline.parse(text).seconds
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None


def is_ve(word: str) -> bool:
    """True if a word names VEs and is not ``KEY=VALUE``. ``label:env=prod`` and ``/a=b`` name VEs, too."""
    return "=" not in word or word.startswith(("label:", "/"))


_PLAIN = dict.fromkeys(map(ord, "_@%+=:,./-"))
"""The characters beside letters and digits that a shell takes as they are."""


def command_line() -> str:
    """The typed command line, for the history."""
    import sys

    words = ["rctl", *sys.argv[1:]]
    if "--" in words:  # the command of rctl run may hold secrets
        words = [*words[: words.index("--") + 1], "..."]
    if all(word.isascii() and word.translate(_PLAIN).isalnum() for word in words):
        return escaped(" ".join(words))  # there is nothing to quote, and shlex is not loaded
    import shlex

    return escaped(shlex.join(words))
