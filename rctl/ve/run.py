"""Runs a command in a VE, makes the VE for it, and returns its result."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from ..adjust.lifecycle import may_move, processes
from ..adjust.progress import waits
from ..adjust.request import Options
from ..adjust.site import Site
from ..cgroupfs.tree import Tree
from ..errors import GoneError, NotFoundError, UsageError
from ..limits import Limits
from . import bare, lean
from .command import Command, find
from .remove import end


class Ran(msgspec.Struct, frozen=True):
    """``pid``: of the command. ``status``: as a shell has it, 128 + N for signal N; ``None``: it still runs."""

    ve: str
    pid: int
    status: int | None = None


def run(
    site: Site,
    name: str,
    words: Sequence[str],
    limits: Limits,
    options: Options,
    *,
    become: bool = False,
    detach: bool = False,
    remove: bool = False,
    without_pressure: bool = False,
) -> Ran:
    """Run a command in a managed VE. Makes the VE if it is missing, and removes it again if the command cannot start.

    ``become``: the calling process becomes the command, and this never returns. ``detach``: return at once. Otherwise
    wait for its end. ``remove``: then remove the VE, which must be new. ``without_pressure``: see ``lean``.

    Raises UsageError for a command that cannot be run, and for ``remove`` of a VE that existed before.
    """
    tree = site.tree
    path = bare.managed_path(tree, name)
    if remove and bare.exists(tree, name):
        raise UsageError(
            f"{name}: exists already; --rm only removes a VE that is made for the command. "
            "Keep the VE, or choose another name"
        )
    program = find(words)
    if beside := _inside(tree, name):
        site.tell(f"{name}: exists. The command joins its processes: {beside}")
    may_move.check(tree, "self", path)
    if without_pressure:
        limits, note = lean.of(limits, tree.root)
        if note:
            site.tell(note)
    if become and os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid()):
        site.tell(
            f"{name}: when systemd stops this service, it ends the command, and not the processes that this started in "
            f"{name}. Use: rctl run --rm, and ExecStopPost=-rctl rm --kill {name}"
        )
    job = Command(site, program, words, beside=not become, detach=detach)
    if not detach:
        site = msgspec.structs.replace(
            site, progress=waits(site.progress)
        )  # its line would stand before the command's output
    try:
        bare.apply(site, {name: limits}, options, start=job.start, passing=remove)
        if detach:
            return Ran(name, job.pid)
        status = job.wait()
        if remove and (died := end(site, name, job.ino, options)):
            site.tell(died)
        return Ran(name, job.pid, status)
    finally:
        job.hear()  # a blocked signal arrives now: the command runs, or everything is over


def _inside(tree: Tree, name: str) -> int:
    """The number of processes in a VE; 0 if it does not exist."""
    with suppress(NotFoundError, GoneError), tree.open_ve(name) as ve:
        return len(processes.processes(ve))
    return 0
