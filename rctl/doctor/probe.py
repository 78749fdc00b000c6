"""Checks that need a look into the cgroup tree, or a trial. Leaves nothing behind."""

from __future__ import annotations

import errno
import os
from collections import deque

from ..adjust.lifecycle import may_move, ve_cgroup
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.tree import Tree
from ..controllers.core import CONTROLLERS
from ..errors import GoneError, KernelError, NotAvailableError, NotFoundError, RctlError
from .controllers import FILES
from .rights import NEEDED

_MOST = 300  # cgroups to look into
_SECONDS = 5.0  # for the end of the process of the trial


def kernel_files(tree: Tree) -> dict[str, bool | None]:
    """For each of FILES: True if this kernel has it; ``None`` if no cgroup below the root has its controller."""
    found: dict[str, bool | None] = {file.name: None for file in FILES}
    waiting, looked = deque(_below(tree.root)), 0
    while waiting and looked < _MOST and not all(found.values()):
        looked += 1
        try:
            with tree.walk(waiting.popleft()) as cgroup:
                there = {"", *(cgroup.read_if_there(CONTROLLERS) or "").split()}
                for file in FILES:
                    if file.controller in there:
                        found[file.name] = found[file.name] or cgroup.has(file.name)
                waiting += _below(cgroup)
        except (GoneError, NotFoundError):
            continue
    return found


def _below(cgroup: Cgroup) -> list[str]:
    return [f"{cgroup.path.rstrip('/')}/{name}" for name in cgroup.children()]


def may_write(place: Cgroup) -> dict[str, bool]:
    """For each of NEEDED: True if the caller may write it, by its effective rights."""
    return {name: place.may_write(name) for name in NEEDED}


def trial(tree: Tree) -> str:
    """Do the steps of ``rctl run``: make a cgroup, let a child process enter it, and remove it.

    Returns the reason if that fails; else an empty text. The name is no VE's, in case the doctor is killed meanwhile.
    """
    path = f"{tree.base.rstrip('/')}/{tree.naming.component(f'_doctor-{os.getpid()}')}"
    try:
        with tree.walk(tree.base) as place:
            try:
                with ve_cgroup.make(place, path, "rctl doctor") as made:
                    number = _entered(made)
            finally:
                ve_cgroup.remove(place, path, _SECONDS)
        if number in (errno.EACCES, errno.EPERM, errno.ENOENT):
            may_move.check(tree, "self", path)
        return f"cgroup.procs: {os.strerror(number)}. See dmesg, and security modules" if number else ""
    except RctlError as error:
        return str(error)


def _entered(cgroup: Cgroup) -> int:
    """Let a child enter the cgroup, and end it. Returns the kernel's errno; 0 on success."""
    pid = os.fork()
    if not pid:
        number = errno.EIO
        try:
            ve_cgroup.enter(cgroup, 0)
            number = 0
        except KernelError as error:
            number = error.errno
        except NotAvailableError:
            number = errno.ENOENT
        finally:
            os._exit(number)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
