"""Limits on the number of cgroups: https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from ..errors import NotAvailableError, RctlError
from ..formats import flat_keyed
from .cgroup import Cgroup

_DESCENDANTS, _DEPTH = "cgroup.max.descendants", "cgroup.max.depth"


def explained(parent: Cgroup, name: str, error: RctlError) -> RctlError:
    """The error of a refused mkdir(2) in ``parent``, with the limit that is reached, and the cgroup that has it."""
    number = getattr(error, "errno", 0)
    what = f"{parent.path.rstrip('/')}/{name}: cannot be made"
    if number == errno.EAGAIN:
        return NotAvailableError(f"{what}: {_reached(parent)}")
    if number == errno.ENOSPC:
        return NotAvailableError(
            f"{what}: the kernel has no free cgroup number. Removed cgroups count, too, while memory is charged "
            "to them: see nr_dying_descendants in cgroup.stat. Remove VEs, or free memory"
        )
    return error


def check(parent: Cgroup, names: Sequence[str]) -> None:
    """Raise NotAvailableError if so many cgroups cannot be made in ``parent``; none is made yet."""
    if names and (why := _met(parent, len(names))):
        raise NotAvailableError(f"{parent.path.rstrip('/')}/{names[0]}: cannot be made: {why}")


def _reached(parent: Cgroup) -> str:
    return _met(parent, 1) or f"{_DESCENDANTS} or {_DEPTH} of a cgroup above this namespace is reached. Raise it there"


def _met(parent: Cgroup, more: int) -> str:
    """The limit that ``more`` cgroups in ``parent`` would exceed, and the cgroup that has it; empty if none."""
    for level, here in enumerate(parent.upwards(), 1):
        below = flat_keyed(here.read("cgroup.stat")).get("nr_descendants", 0)
        if (most := _limit(here, _DESCENDANTS)) is not None and below + more > most:
            new = f", and {more} more are to be made" if more > 1 else ""
            return f"{_DESCENDANTS} of {here.path} is {most}, and {below} are below it{new}. Raise it, or remove some"
        if (most := _limit(here, _DEPTH)) is not None and level > most:
            return f"{_DEPTH} of {here.path} is {most}, and this would be level {level} below it. Raise it"
    return ""


def _limit(cgroup: Cgroup, file: str) -> int | None:
    text = (cgroup.read_if_there(file) or "max").strip()
    return None if text == "max" else int(text)
