"""The writer ``files``: an entry is written to its interface file and read back.

Memory is lowered gently. A list that cannot be emptied is widened.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.files import Texts
from ...cgroupfs.tree import enabled
from ...controllers import core, memory
from ...controllers.cpuset import INVALID, MEMBER, PARTITION
from ...errors import KernelError, NotAvailableError, RctlError
from ...formats import File, Write
from ...limits import file_named
from .. import cpuset_lists, owner
from ..enabling import enable
from ..shrink_memory import held, lower_high
from ..steps import Set, SetThrough
from .base import PutBack

NAME = "files"
STORES_ONLY = False
check = owner.check_if_applies
missing = enable.missing
MEMORY = frozenset((memory.MAX.name, memory.HIGH.name))
"""Files whose values are lowered gently."""
SLOW = MEMORY | {core.FREEZE.name, PARTITION.name}
"""Files whose write may take long, or needs further writes."""


def expressible(cgroup: Cgroup, writes: Sequence[Write]) -> Sequence[Write]:
    """All: every entry has a file."""
    return writes


def resets(file: File, path: str) -> bool:
    """False: a file keeps what was written to it."""
    return False


def kept(cgroup: Cgroup, writes: Sequence[Write], runtime: bool, texts: Texts, notes: list[str]) -> Sequence[str]:
    """Empty forms: the entries show everything."""
    return [""] * len(writes)


def form(file: File, key: str, entry: str, runtime: bool, kept: str) -> str:
    """Empty: the entry shows everything."""
    return ""


def outlives(path: str) -> bool:
    """False: files go with their cgroup."""
    return False


def for_good(form: str) -> bool:
    """False: files go with their cgroup."""
    return False


def put_back(path: str, step: SetThrough) -> PutBack:
    """Nothing: files go with their cgroup."""
    return "removed"


def write(cgroup: Cgroup, steps: Sequence[Set]) -> list[str]:
    """Write entries, one after the other, and read them back. Returns notes for people."""
    notes: list[str] = []
    for step in steps:
        if step.file == PARTITION.name:
            _begin_anew(cgroup, step.old)
        notes += write_at_once(cgroup, step)
    return notes


@contextmanager
def gently(cgroup: Cgroup, steps: Sequence[Set], deadline: float) -> Iterator[list[str]]:
    """In the block, lower memory limits are set: memory is freed before, and no more is taken meanwhile.

    For that, ``memory.high`` and ``memory.reclaim`` are written as files, also for another writer. The block gets a
    list for notes; a note says how many processes the kernel killed.
    """
    notes: list[str] = []
    lowered = {step.file: step for step in steps if step.file in MEMORY and _lowers(step)}
    if (high := lowered.get(memory.HIGH.name)) is not None:
        lower_high(cgroup, int(high.new), deadline)
    if (limit := lowered.get(memory.MAX.name)) is None:
        yield notes
        return
    before = _events(cgroup)
    with held(cgroup, int(limit.new), deadline) if limit.gentle else nullcontext():
        yield notes
    after = _events(cgroup)
    if after != before and (killed := _kills(after) - _kills(before)):
        notes.append(f"{cgroup.path}: the kernel killed {killed} process(es) for lack of memory")


def _lowers(step: Set) -> bool:
    return file_named(step.file).lowers(step.old, step.new)


def write_at_once(cgroup: Cgroup, step: Set) -> list[str]:
    """Write one entry and read it back. Returns notes for people."""
    file = file_named(step.file)
    try:
        text = (
            cgroup.exchange(step.file, file.line(step.new, step.key)) if step.exact else _exchange_lines(cgroup, step)
        )
    except NotAvailableError:
        if file.controller not in enabled(cgroup, core.CONTROLLERS):
            raise
        raise NotAvailableError(enable.absent(file, cgroup.path)) from None
    except KernelError as error:
        if error.errno in (errno.EINVAL, errno.ERANGE) and (number := cpuset_lists.no_such(file.name, step.new)):
            raise KernelError(cgroup.path, file.name, error.value, number) from None
        if error.errno != errno.ENOSPC or step.new or not cpuset_lists.applies(file):
            raise
        text, note = cpuset_lists.instead(cgroup, file)
        cgroup.write(file.name, text)
        return [note]
    if text == step.new + "\n":
        return []  # nearly always so
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


def _exchange_lines(cgroup: Cgroup, step: Set) -> str:
    """Write the text line by line, as the kernel takes it. Returns the text that the file holds then."""
    first, *more = step.new.splitlines() or ["\n"]
    text = cgroup.exchange(step.file, first)
    for line in more:
        text = cgroup.exchange(step.file, line)
    return text


def _begin_anew(ve: Cgroup, old: str) -> None:
    """Before a kind is written: make an invalid partition a member first; otherwise the kernel does not check it."""
    if INVALID in old:
        ve.write(PARTITION.name, MEMBER)
