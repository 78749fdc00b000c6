"""All workloads in one list, by groups; each file holds one group."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from ...errors import UsageError
from . import applications, files, generators, kernel, network
from .base import Kit, Workload, built

__all__ = ["ALL", "Kit", "Workload", "built", "chosen"]

ALL: tuple[Workload, ...] = (*kernel.ALL, *files.ALL, *network.ALL, *applications.ALL, *generators.ALL)


def chosen(patterns: Sequence[str], among: Sequence[Workload] = ALL) -> tuple[Workload, ...]:
    """The workloads whose name or group matches one of the patterns; all workloads without patterns.

    A word without ``*``, ``?`` or ``[`` matches a part of the name. Raises UsageError if a pattern matches none.
    """
    for pattern in patterns:
        if not any(_matches(one, pattern) for one in among):
            raise UsageError(f"--only {pattern!r}: no workload matches. See --list")
    return tuple(one for one in among if not patterns or any(_matches(one, pattern) for pattern in patterns))


def _matches(one: Workload, pattern: str) -> bool:
    plain = not any(sign in pattern for sign in "*?[")
    wanted = f"*{pattern}*" if plain else pattern
    return any(fnmatchcase(text.lower(), wanted.lower()) for text in (one.name, one.group))
