"""Texts of files that rctl does not know: the history stores them as the kernel shows them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from ...cgroupfs.cgroup import Cgroup
from ...errors import RctlError
from ..steps import Set
from .journal import Journal


def tell_as_shown(journal: Journal, cgroups: Mapping[str, Cgroup]) -> None:
    """Store the kernel's form of such texts in the history (``16`` for ``0x10``), because undo compares it."""
    if journal.verbatim:
        steps = journal.record.steps
        journal.as_shown(tuple(_shown(step, cgroups[step.path]) if isinstance(step, Set) else step for step in steps))


def _shown(step: Set, cgroup: Cgroup) -> Set:
    text = None
    if not step.exact:
        with suppress(RctlError):  # the VE may be gone by now; the adjustment is done
            text = cgroup.read_if_there(step.file)
    return step if text is None else msgspec.structs.replace(step, new=text.strip())
