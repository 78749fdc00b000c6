"""The journal of an adjustment under way.

A journal is complete and on disk before the first write to a cgroup, and is removed at the end of the adjustment. While
its process lives, the file is locked; a journal that no process holds is left by a crash. A finished adjustment moves
into the history, one JSON line each, for ``rctl undo`` and ``rctl history``.

Its first line is the record. If VEs were made first, a second line is the record with all further steps. One more line
is the decision how the adjustment ends. *Back* is written before anything is put back, so that a half-done roll-back
never counts as done. *Forward* is written before the first VE is removed.

If the history cannot take a finished adjustment, the journal stays as ``ID.json.ended``; ``pending_history`` adds its
line later. A new name needs no room on a full disk, and no descriptor.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Self

import msgspec

from ...errors import OUT_OF, KernelError, RctlError, explained, note_outcome
from ...signals import undisturbed
from ..fork import hold, let_go
from ..state_folder import State
from ..steps import Step
from .history import append, latest
from .log_files import not_own, write_all
from .record_format import NewerRecordError, Record, decode, encode

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_ADOPT = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BACK, _FORWARD = b'{"decided":"back"}', b'{"decided":"forward"}'
_ASIDE, _ENDED = ".aside", ".ended"
_REMEDIES = {errno.EEXIST: "Try again", errno.ENOSPC: "Make room there", errno.EDQUOT: "Make room there"}
HALF_DONE = "is half done: rctl recover completes it"
_LARGEST = 256 << 20
_LONGEST_NAME = 200
"""Most bytes of the name of a journal that is set aside under its own name; a file name has at most 255 bytes."""
_LONGEST = 3600.0
"""Seconds between the beginnings of adjustments that end in another order. Above it, one may be reported twice."""
_OLDER = 100
"""Number of earlier adjustments that are still looked at, in case the clock was set back since."""


class ForeignError(RctlError):
    """A file in the place of a journal that this rctl did not write, or that is damaged."""


class NewerJournalError(ForeignError):
    """A journal of a newer rctl; this one cannot settle it."""


class UnwrittenError(RctlError):
    """A finished adjustment whose line still cannot be added to the history."""


class Journal:
    """An open journal, held until ``close`` or ``abandon``.

    ``back``: the decision is made to put everything back. ``forward``: the decision is made to complete the rest.
    ``ended``: everything is done, and the history lacks its line. ``stepped``: its process has run its steps, so a
    later failure is not theirs. ``finished``, ``undone``: its process has come to the end, or has begun to put steps
    back.
    """

    finished = undone = stepped = False

    def __init__(self, state: State, record: Record) -> None:
        """Write the journal and wait until it is on disk. Raises RctlError; a journal of the same id stays as it is."""
        self.record, self.state, self.back, self.forward, self.ended = record, state, False, False, False
        self._line, self._name = encode(record), f"{record.id}.json"
        self._folder = state.folder(state.journals)
        draft, made = f".{record.id}.{os.getpid()}", []
        self._fd = -1
        try:
            self._fd = hold(os.open(draft, _CREATE, 0o600, dir_fd=self._folder))
            made.append(draft)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            write_all(self._fd, self._line + b"\n")
            os.fsync(self._fd)
            os.link(draft, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            made.append(self._name)
            os.unlink(draft, dir_fd=self._folder)
            os.fsync(self._folder)
        except BaseException as error:
            self._let_go(made)
            if not isinstance(error, OSError):
                raise
            raise self._unwritten(error) from None

    @classmethod
    def adopt(cls, state: State, name: str) -> Self | None:
        """Take over a journal that a crash left; ``None`` if its process still lives or it has just ended.

        Raises ForeignError for a file that is no journal of this rctl.
        """
        journal = cls.__new__(cls)
        journal.state, journal._name, journal._folder = state, name, state.folder(state.journals)
        try:
            journal._fd = hold(os.open(name, _ADOPT, dir_fd=journal._folder))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(state, name, error) from None
        try:
            fcntl.flock(journal._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not journal._is_there():
                raise BlockingIOError
            lines = _content(state, name, journal._fd)
            journal._line, journal.record = _latest(state, name, lines)
            journal.back, journal.forward = _BACK in lines, _FORWARD in lines
            journal.ended = name.startswith(f"{journal.record.id}.json{_ENDED}")
        except BlockingIOError:
            journal.abandon()
            return None
        except BaseException:
            journal.abandon()
            raise
        return journal

    def decide_back(self) -> None:
        """Write the decision to put everything back, before that begins. Raises OSError."""
        self.undone = True
        if not self.back:
            self._add(_BACK)
        self.back = True

    def decide_forward(self) -> None:
        """Write the decision to complete everything, before steps that cannot be put back. Raises RctlError."""
        self._add_or_fail(_FORWARD)
        self.forward = True

    def extend(self, record: Record) -> None:
        """Add the following steps: a record of the same id. Raises RctlError."""
        self._add_or_fail(encode(record))
        self.record, self._line = record, encode(record)

    def as_shown(self, steps: tuple[Step, ...]) -> None:
        """Set the steps for the history; on disk the journal keeps the planned ones."""
        self._line = encode(msgspec.structs.replace(self.record, steps=steps))

    def _add_or_fail(self, line: bytes) -> None:
        try:
            self._add(line)
        except OSError as error:
            raise self._unwritten(error) from None

    def _unwritten(self, error: OSError) -> RctlError:
        remedy = _REMEDIES.get(error.errno or 0, "Set RCTL_STATE to a folder that can be written")
        return RctlError(f"{self._path}: nothing was changed: {explained(error, remedy)}")

    def _add(self, line: bytes) -> None:
        write_all(self._fd, b"\n" + line + b"\n")
        os.fsync(self._fd)

    @property
    def verbatim(self) -> bool:
        """True if a step writes a verbatim text. In the line, a quote within a text has a backslash before it."""
        return b'"exact":false' in self._line

    @property
    def open(self) -> bool:
        """True if it was neither closed nor abandoned."""
        return self._fd >= 0

    def hand_over(self) -> list[str]:
        """Note that the command's process has closed it. Returns notes for people, which that cannot show."""
        self._let_go(())
        if not os.access(self._name + _ENDED, os.F_OK, dir_fd=self._folder):
            return []
        return [f"{self.state.history}: cannot be written; this adjustment stands. Run rctl recover, which says why"]

    def revoke(self) -> None:
        """Note that an adjustment reported as done was put back after all; it counts as undone."""
        empty = Record(new_id(), time.time(), self.record.boot_id, self.record.command, {}, (), self.record.id)
        with suppress(OSError):
            append(self.state, self.state.history, encode(empty))

    def close(self, *, done: bool) -> list[str]:
        """End the adjustment. ``done`` moves the journal into the history; otherwise it is deleted.

        Returns notes for people. It does not fail: if the history cannot take the line, the journal stays.
        """
        with undisturbed():
            return self._close(done)

    def _close(self, done: bool) -> list[str]:
        if not done:
            self._let_go([self._name, self._name + _ENDED])  # a child may have left it under that name
            return []
        try:
            append(self.state, self.state.history, self._line)
        except (OSError, RctlError) as error:
            self._stay()
            remedy = _REMEDIES.get(getattr(error, "errno", 0), "Look at it")
            why = explained(error, remedy) if isinstance(error, OSError) else error
            return [f"{self.state.history}: cannot be written: {why}, then run rctl recover; this adjustment stands"]
        self._let_go([self._name])
        return []

    @property
    def begun(self) -> bool:
        """True if its process ran its steps, even if they were put back."""
        return self.finished or self.undone

    def let_go(self, error: BaseException | None) -> None:
        """Leave a journal that was not closed because of an interruption; if nothing was begun, delete it."""
        if self.open and not self.begun:
            self.close(done=False)
        elif self.open and error:
            note_outcome(error, HALF_DONE)
            self.abandon()

    def _stay(self) -> None:
        if not self.ended:
            with suppress(OSError):
                os.rename(self._name, self._name + _ENDED, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._let_go(())

    def told(self) -> bool:
        """True if the history has it already: the crash came after the end."""
        older = 0
        with suppress(RctlError):  # an unreadable history must not keep an adjustment open
            for record in latest(self.state):
                if record.id == self.record.id:
                    return True
                older += record.time < self.record.time - _LONGEST
                if older > _OLDER:
                    break
        return False

    def abandon(self) -> None:
        """Leave the journal open on disk, for ``rctl recover``."""
        self._let_go(())

    @property
    def _path(self) -> str:
        return f"{self.state.journals}/{self._name}"

    def _is_there(self) -> bool:
        """True if it still has its name: one that just ended is removed, or has another name."""
        try:
            facts = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(facts, os.fstat(self._fd))

    def _let_go(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(OSError):
                os.unlink(name, dir_fd=self._folder)
        if self._fd >= 0:
            fd, self._fd = self._fd, -1  # first, so that an interruption does not close it twice
            let_go(fd)


def new_id() -> str:
    """An id that sorts by time and that people can read: UTC date, time, milliseconds, and a random part."""
    now = time.time()
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return f"{moment}-{int(now * 1000) % 1000:03}-{os.urandom(4).hex()}"


def any_open(state: State) -> bool:
    """True if there are files of journals; one look, for each adjustment. Makes the folder if it is missing."""
    return bool(os.listdir(state.folder(state.journals)))


def left_open(state: State, aside: bool = False) -> list[str]:
    """Names of all journals on disk, oldest first, also of adjustments that still run.

    ``aside``: include those that were set aside.
    """
    folder = state.folder_if_there(state.journals)
    if folder is None:
        return []
    ends = (".json", _ASIDE) if aside else (".json",)
    return sorted(name for name in os.listdir(folder) if name.endswith(ends) and name[0] != ".")


def unwritten(state: State) -> list[str]:
    """Names of the journals of finished adjustments that the history lacks, oldest first."""
    folder = state.folder_if_there(state.journals)
    return sorted(name for name in os.listdir(folder) if name.endswith(_ENDED)) if folder is not None else []


def peek(state: State, name: str) -> Record | None:
    """The record of a journal, without taking it over; ``None`` if it is gone. Raises ForeignError if it is none."""
    try:
        fd = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=state.folder(state.journals)
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(state, name, error) from None
    try:
        return _latest(state, name, _content(state, name, fd))[1]
    finally:
        os.close(fd)


def set_aside(state: State, name: str, why: ForeignError) -> str:
    """Move a file that is no journal away, so that it does not block others. Returns a line for people.

    ``rctl recover`` tries it again each time, because a newer rctl may know it.
    """
    folder = state.folder(state.journals)
    newer = isinstance(why, NewerJournalError)
    remedy = "Run rctl recover of that rctl" if newer else "Look at it, then remove it by hand"
    if name.endswith(_ASIDE):
        return f"{why}. {remedy}"
    own = os.fsencode(name)
    short = os.fsdecode(own[:_LONGEST_NAME])
    aside = short + _ASIDE
    if len(own) > _LONGEST_NAME or aside in os.listdir(folder):
        aside = f"{short}.{os.urandom(4).hex()}{_ASIDE}"
    try:
        os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
    except FileNotFoundError:
        pass  # another process was faster
    except OSError as error:
        return f"{why}; it cannot be set aside: {error.strerror}. {remedy}"
    return f"{why}; it is set aside as {aside}. {remedy}"


def sweep(state: State) -> None:
    """Remove half-written journals of processes that ended before they had changed anything."""
    folder = state.folder(state.journals)
    for name in os.listdir(folder):
        if name[0] == "." and not os.path.exists(f"/proc/{name.rpartition('.')[2]}"):
            with suppress(OSError):  # another process was faster, or it is not a file
                os.unlink(name, dir_fd=folder)


def _content(state: State, name: str, fd: int) -> list[bytes]:
    """The lines of a journal."""
    facts = os.fstat(fd)
    if reason := not_own(facts):
        raise _foreign(state, name, reason)
    if facts.st_size > _LARGEST:
        raise _foreign(state, name, f"has {facts.st_size} bytes")
    return os.pread(fd, facts.st_size, 0).split(b"\n")


def _latest(state: State, name: str, lines: list[bytes]) -> tuple[bytes, Record]:
    """The record and its line; of a journal that was extended, the longest. A line torn by a crash does not count."""
    line, record = lines[0], _decoded(state, name, lines[0])
    for longer in lines[1:]:
        if longer not in (b"", _BACK, _FORWARD):
            try:
                line, record = longer, _decoded(state, name, longer)
            except NewerJournalError:
                raise
            except ForeignError:
                continue
    return line, record


def _decoded(state: State, name: str, line: bytes) -> Record:
    try:
        record = decode(line)
    except NewerRecordError as error:
        raise NewerJournalError(f"{state.journals}/{name}: {error}") from None
    except ValueError as error:
        raise _foreign(state, name, str(error)) from None
    if not name.startswith(f"{record.id}.json"):
        raise _foreign(state, name, f"its id is {record.id}, which is not its name")
    return record


def _unreadable(state: State, name: str, error: OSError) -> RctlError:
    """The error for exhausted resources of the process or machine; it says nothing about the journal."""
    if error.errno in OUT_OF:
        return KernelError(f"{state.journals}/{name}", "", "", error.errno)
    return _foreign(state, name, str(error.strerror))


def _foreign(state: State, name: str, reason: str) -> ForeignError:
    return ForeignError(f"{state.journals}/{name}: not a journal of rctl: {reason}")
