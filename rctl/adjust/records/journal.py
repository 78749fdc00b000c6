"""The journal of an adjustment under way.

A journal is complete and on disk before the first write to a cgroup, and goes when the adjustment has ended, one way
or the other. While its process lives the file is locked; a journal that nobody holds is a crash. A finished
adjustment moves into the history, one JSON line each, for ``rctl undo`` and ``rctl history``.

Its first line is the record. Where VEs were made first, a second one is the record with all that follows. One more line
is there when it is decided how the adjustment ends: back, which is written before anything is put back, so that an
adjustment that was half put back never counts as done; or forward, before the first VE is removed.

A finished one that the history does not take stays as ``ID.json.ended``: ``late`` adds its line when that is possible.
A name needs no room on a full disk, and no descriptor.
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
"""Bytes of a name; beyond it, none is set aside under its own name, for a name has 255 at most."""
_LONGEST = 3600.0
"""Seconds between the beginnings of adjustments that end in another order. Beyond it, one may be told twice."""
_OLDER = 100
"""So many that began earlier still are looked at, in case that the clock was set back since."""


class ForeignError(RctlError):
    """A file in the place of a journal that this rctl has not written, or that was damaged."""


class NewerJournalError(ForeignError):
    """A journal of a newer rctl, which this one cannot settle."""


class UnwrittenError(RctlError):
    """A finished adjustment whose line the history still does not take."""


class Journal:
    """An open journal, held until ``close`` or ``abandon``.

    ``back``: it is decided that all is put back; ``forward``: that what is left to do is done. ``ended``: all is done,
    and the history lacks its line.
    ``stepped``: its process has run its steps; what fails now is none of them. ``finished``, ``undone``: it has come to
    the end, or has begun to put them back.
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
        """Take over a journal that a crash left; ``None`` when its process still lives or it has just ended.

        Raises ForeignError for what is no journal of this rctl.
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
        """Write down, before anything is put back, that all of it is. Raises OSError."""
        self.undone = True
        if not self.back:
            self._add(_BACK)
        self.back = True

    def decide_forward(self) -> None:
        """Write down, before what cannot be put back, that all of it is done. Raises RctlError."""
        self._add_or_fail(_FORWARD)
        self.forward = True

    def extend(self, record: Record) -> None:
        """Add what follows: a record of the same id. Raises RctlError."""
        self._add_or_fail(encode(record))
        self.record, self._line = record, encode(record)

    def as_shown(self, steps: tuple[Step, ...]) -> None:
        """What the history is to have as the steps; on disk the journal keeps those that were planned."""
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
        """Whether a step writes a text as it is. A quote within a text has a backslash before it in the line."""
        return b'"exact":false' in self._line

    @property
    def open(self) -> bool:
        """Whether it has neither been closed nor left."""
        return self._fd >= 0

    def hand_over(self) -> list[str]:
        """Who becomes the command has closed it. Returns notes for people: it has no way left to tell them."""
        self._let_go(())
        if not os.access(self._name + _ENDED, os.F_OK, dir_fd=self._folder):
            return []
        return [f"{self.state.history}: cannot be written; this adjustment stands. Run rctl recover, which says why"]

    def revoke(self) -> None:
        """What was told as done has been put back after all: that counts as undone."""
        empty = Record(new_id(), time.time(), self.record.boot_id, self.record.command, {}, (), self.record.id)
        with suppress(OSError):
            append(self.state, self.state.history, encode(empty))

    def close(self, *, done: bool) -> list[str]:
        """The adjustment has ended: ``done`` moves it into the history; else nothing of it is left to tell.

        Returns notes for people; what has ended does not fail any more. What the history does not take stays.
        """
        with undisturbed():
            return self._close(done)

    def _close(self, done: bool) -> list[str]:
        if not done:
            self._let_go([self._name, self._name + _ENDED])  # by that name a child may have left it
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
        """Whether its steps were run by its process, even if they were put back."""
        return self.finished or self.undone

    def let_go(self, error: BaseException | None) -> None:
        """Nobody has closed it, for an interruption came in between: what was not begun needs no journal."""
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
        """Whether the history has it already: the crash came after the end."""
        older = 0
        with suppress(RctlError):  # a history that cannot be read keeps no adjustment unsettled
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
        """Whether it still has its name: one that has just ended is removed, or has another."""
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
            fd, self._fd = self._fd, -1  # first, for an interruption must not have it closed twice
            let_go(fd)


def new_id() -> str:
    """An id that sorts by time and that people can read: UTC date, time, milliseconds, and a random part."""
    now = time.time()
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return f"{moment}-{int(now * 1000) % 1000:03}-{os.urandom(4).hex()}"


def left_open(state: State, aside: bool = False) -> list[str]:
    """Names of all journals on disk, oldest first, those of living adjustments among them.

    ``aside``: those that were set aside too.
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
    """What a journal says, without taking it over; ``None`` when it has gone. Raises ForeignError when it is none."""
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
    """Move what is no journal out of the way of those that are. Returns a line for people.

    ``rctl recover`` tries it again each time, for a newer rctl may know it.
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
            with suppress(OSError):  # another process was faster, or it is no file
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
    """The record and its line; the longest of a journal that was extended. A line that a crash tore counts for none."""
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
    """A limit of the process or machine that was reached says nothing of the journal."""
    if error.errno in OUT_OF:
        return KernelError(f"{state.journals}/{name}", "", "", error.errno)
    return _foreign(state, name, str(error.strerror))


def _foreign(state: State, name: str, reason: str) -> ForeignError:
    return ForeignError(f"{state.journals}/{name}: not a journal of rctl: {reason}")
