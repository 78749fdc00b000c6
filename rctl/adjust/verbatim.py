"""Texts of files that rctl does not know: written as they are, and shown by the kernel in a form of its own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from ..cgroupfs.cgroup import Cgroup
from ..errors import RctlError
from .plan import Set, Step


def exchange(cgroup: Cgroup, step: Set) -> str:
    """Write the text, line by line as the kernel takes it, and read back what the file holds then."""
    first, *more = step.new.splitlines() or ["\n"]
    text = cgroup.exchange(step.file, first)
    for line in more:
        text = cgroup.exchange(step.file, line)
    return text


def as_shown(steps: tuple[Step, ...], cgroups: Mapping[str, Cgroup]) -> tuple[Step, ...]:
    """The steps with what the kernel made of such texts, ``16`` of ``0x10``: undo compares it."""
    if not [True for step in steps if type(step) is Set and not step.exact]:
        return steps
    return tuple(_shown(step, cgroups[step.path]) if isinstance(step, Set) else step for step in steps)


def _shown(step: Set, cgroup: Cgroup) -> Set:
    text = None
    if not step.exact:
        with suppress(RctlError):  # it is done, whatever became of the VE since
            text = cgroup.read_if_there(step.file)
    return step if text is None else msgspec.structs.replace(step, new=text.strip())
