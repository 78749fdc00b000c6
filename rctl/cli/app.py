"""The table of all verbs, and the help of ``rctl`` itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from ..console.declare import Exit
from ..console.lean import load_msgspec
from ..console.rows import Declared, VerbRow, VerbSource, verb_files
from ..console.words import arguments

_ORDER = (
    "doctor",
    "setup",
    "ls",
    "show",
    "get",
    "set",
    "reset",
    "copy",
    "apply",
    "diff",
    "export",
    "undo",
    "history",
    "recover",
    "drift",
    "restore",
    "keep",
    "forget",
    "run",
    "attach",
    "ps",
    "freeze",
    "thaw",
    "kill",
    "reclaim",
    "label",
    "rename",
    "rm",
    "schema",
    "help",
)
"""The order of their list. A verb that is not here comes after these."""
_OTHERS = (
    VerbRow("timers", "rctl.cli.timers:VERBS", "List, extend and cancel timed adjustments."),
    VerbRow("completion", "rctl.cli.complete:completion", "Print the script for completion in a shell."),
    VerbRow("complete", "rctl.cli.complete:complete", "Answer a shell's script.", hidden=True),
    VerbRow("bench", "rctl.bench.verbs:VERBS", "Measure the cost of rctl, as ratios within one run."),
    VerbRow("exporter", "rctl_exporter.verbs:VERBS", "Serve every figure of every VE to Prometheus."),
)
"""Verbs that have no file in ``verbs``, and groups of verbs."""
_WITHOUT_LIMITS = frozenset(("complete", "completion", "exporter", "bench"))
"""Verbs that may need no msgspec, or that run so long that its cost does not matter."""


def rows() -> list[VerbSource]:
    """The verbs, in the order of their list."""
    return [*verb_files(f"{__package__}.verbs", f"{os.path.dirname(__file__)}/verbs", _ORDER), *_OTHERS]


def declared() -> Declared:
    """``rctl`` itself, as its verbs declare it."""
    return Declared("rctl", rows())


def plain_call(words: Sequence[str]) -> Callable[[], object] | None:
    """The call of the verb that these words name, if they are right and plain; else ``None``: ``root`` reads them."""
    found: Any = declared()
    rest = list(words)
    while hasattr(found, "commands"):
        if not rest or rest[0] not in found.commands:
            return None
        found = found.commands[rest.pop(0)]
    if (given := arguments(found.function, rest)) is None:
        return None
    if words[0] not in _WITHOUT_LIMITS:
        load_msgspec()
    if given.pop("quiet", False):
        from ..console.output import be_quiet

        be_quiet()
    return lambda: found.function(**given)


def root() -> Any:
    """``rctl`` itself, as Typer runs it. Loads Typer."""
    from typer.core import TyperOption

    from ..console.table import VerbGroup

    version = TyperOption(
        param_decls=["--version", "-V"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_version,
        help="Show the version",
    )
    return VerbGroup(
        rows(),
        name="rctl",
        help="Set resource limits of containers, services and cgroups while they run.\n\n"
        "A VE is a cgroup with its processes: one of rctl's own by its name (web1), any other by its path "
        "(/docker/ID).",
        params=[version],
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _version(context: Any, parameter: Any, wanted: bool) -> None:
    if wanted:
        from ..console.output import say
        from ..version import __version__

        say(f"rctl {__version__}")
        raise Exit
