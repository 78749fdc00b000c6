"""rctl's own folders, for locks, journals and the history, and adjustments that a crash left open."""

from __future__ import annotations

import os
import stat

from ..adjust.records import under_way
from ..adjust.records.journal import ForeignError, Journal, left_open, unwritten
from ..adjust.records.record_format import named
from ..adjust.state_folder import State, check_place
from ..cgroupfs.ve_cgroups import BOOTED
from ..errors import NotAvailableError, RctlError
from .check import Check
from .host_files import Machine

_RESTORE = "rctl-restore.service"
_REMEDY = "Set RCTL_STATE to your own folder"


def state_folder(state: State) -> Check:
    """Check that the folders can be used or made. The rules are those of ``State.make``; it makes no folder."""
    for folder in (state.run, state.journals, state.keep):
        if problem := _problem(folder):
            return Check("state folder", "fail", problem, _REMEDY)
    return Check("state folder", "ok", f"{state.run} and {state.keep}")


def _problem(folder: str) -> str:
    try:
        facts = os.stat(folder, follow_symlinks=False)
    except FileNotFoundError:
        return _cannot_make(folder)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    if not stat.S_ISDIR(facts.st_mode):
        return f"{folder}: is not a folder"
    if facts.st_uid != os.geteuid():
        return f"{folder}: belongs to user {facts.st_uid}"
    if facts.st_mode & 0o022:
        return f"{folder}: others may write in it"
    space = os.statvfs(folder)
    if space.f_flag & os.ST_RDONLY:
        return f"{folder}: lies on a file system that is mounted read-only"
    if space.f_blocks and not space.f_bfree:
        return f"{folder}: no space is left"
    return f"{folder}: no inode is left, so no file can be made" if space.f_files and not space.f_ffree else ""


def _cannot_make(folder: str) -> str:
    above = os.path.dirname(os.path.abspath(folder))
    while not os.path.exists(above):
        above = os.path.dirname(above)
    try:
        check_place(folder)
    except NotAvailableError as error:
        return str(error).partition(". ")[0]
    if os.access(above, os.W_OK | os.X_OK, effective_ids=True):
        return ""
    return f"{folder}: cannot be made, {above} is not writable"


def after_boot(machine: Machine, uid: int) -> list[Check]:
    """The check whether desired limits come back after a boot; none if systemd does not run this host."""
    if not machine.has_folder(BOOTED):
        return []
    home = os.path.expanduser("~")
    folder = (
        f"{home}/.config/systemd/user/default.target.wants" if uid else "/etc/systemd/system/multi-user.target.wants"
    )
    if _RESTORE in machine.names(folder):
        return [Check("after a boot", "ok", f"{_RESTORE} puts desired limits back")]
    found = f"{_RESTORE} is not enabled, so desired limits do not come back by themselves"
    return [Check("after a boot", "info", found, "Run: rctl setup --yes (without --yes, it shows what it would do)")]


def journals(state: State) -> Check:
    """Check for adjustments whose process is gone or stopped. It also names one that is under way."""
    try:
        crashed = [name.removesuffix(".json") for name in left_open(state, aside=True) if _abandoned(state, name)]
        ended = [name.partition(".json")[0] for name in unwritten(state)]
        others = list(under_way.under_way(state))
    except (RctlError, OSError) as error:
        return Check("journals", "warn", f"{state.journals}: {error}", "Look at it, or run rctl doctor as its owner")
    if crashed:
        return Check("journals", "warn", f"left open by a crash: {', '.join(crashed)}", "Run: rctl recover")
    if ended:
        return Check("journals", "warn", f"not in the history yet: {', '.join(ended)}", "Run: rctl recover")
    for one in others:
        if one.stopped:
            found = f"stopped half way: {named(one.record)}, process {one.pid}"
            return Check("journals", "warn", found, one.cure)
    return Check("journals", "ok", "; ".join(("none left open", *(f"under way: {one}" for one in others))))


def _abandoned(state: State, name: str) -> bool:
    try:
        journal = Journal.adopt(state, name)
    except ForeignError:
        return True
    if journal is None:
        return False
    journal.abandon()
    return True
