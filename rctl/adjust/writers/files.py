"""Write one entry and read it back. Memory is lowered gently; a list that cannot be emptied is widened."""

from __future__ import annotations

import errno
from contextlib import nullcontext

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import enabled
from ...controllers import core, memory
from ...controllers.cpuset import PARTITION
from ...errors import KernelError, NotAvailableError, RctlError
from ...limits import file_named
from .. import widen_cpuset
from ..enabling.enable import absent
from ..planning import partitions, precheck
from ..shrink_memory import held, lower_high
from ..steps import Set
from . import verbatim

MEMORY = frozenset((memory.MAX.name, memory.HIGH.name))
"""Files that are lowered gently."""
SLOW = MEMORY | {core.FREEZE.name, PARTITION.name}
"""Files of which a write may take its time, or is not the only one."""


def put(cgroup: Cgroup, step: Set, deadline: float) -> list[str]:
    """Write one entry and read it back; memory is lowered gently. Returns notes for people."""
    file = file_named(step.file)
    if file is PARTITION:
        partitions.begin_anew(cgroup, step.old)
    if file.name not in MEMORY or not file.lowers(step.old, step.new):
        return write(cgroup, step)
    if file is memory.HIGH:
        lower_high(cgroup, int(step.new), deadline)
        return write(cgroup, step)
    before = _events(cgroup)
    with held(cgroup, int(step.new), deadline) if step.gentle else nullcontext():
        notes = write(cgroup, step)
    after = _events(cgroup)
    if after != before and (killed := _kills(after) - _kills(before)):
        notes.append(f"{cgroup.path}: the kernel killed {killed} process(es) for lack of memory")
    return notes


def write(cgroup: Cgroup, step: Set) -> list[str]:
    """Write one entry and read it back. Returns notes for people."""
    file = file_named(step.file)
    try:
        text = (
            cgroup.exchange(step.file, file.line(step.new, step.key)) if step.exact else verbatim.exchange(cgroup, step)
        )
    except NotAvailableError:
        if file.controller not in enabled(cgroup, core.CONTROLLERS):
            raise
        raise NotAvailableError(absent(file, cgroup.path)) from None
    except KernelError as error:
        if error.errno in (errno.EINVAL, errno.ERANGE) and (number := precheck.no_such(file.name, step.new)):
            raise KernelError(cgroup.path, file.name, error.value, number) from None
        if error.errno != errno.ENOSPC or step.new or not widen_cpuset.applies(file):
            raise
        text, note = widen_cpuset.instead(cgroup, file)
        cgroup.write(file.name, text)
        return [note]
    if text == step.new + "\n":
        return []  # as it is nearly always
    got = file.entry(text, step.key)
    if got != step.new and not file.holds(got, step.new) and (step.exact or got == step.old):
        raise RctlError(
            f"{step.file}: wrote {step.new!r} to {cgroup.path} and the kernel shows {got!r}. {file.refused(got)}"
        )
    return []


def _events(cgroup: Cgroup) -> str:
    return cgroup.read_if_there("memory.events") or ""


def _kills(text: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)
