"""A handle on one cgroup: a directory descriptor, and reads and writes relative to it.

The inode identifies a cgroup: a removed one answers ENODEV or ENOENT for ever, even if its name is made again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Self

from ..controllers.core import PROCS, SUBTREE_CONTROL, THREADS
from ..errors import BusyError, GoneError, KernelError, NotAvailableError, NotFoundError, RctlError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC
READ_FLAGS, _WRITE, _EDIT = os.O_RDONLY | FILE_FLAGS, os.O_WRONLY | FILE_FLAGS, os.O_RDWR | FILE_FLAGS
_PAGE = 4096
_SHORT = 448
"""Buffer size in bytes; a limit is hardly ever longer. Python reuses small buffers, and allocates a page each time."""
_OF_MANY = (PROCS, THREADS)
"""Files of many records: a short read there is not the end."""
_CHUNK = 1 << 16


class Cgroup:
    """One cgroup, held open. Use as a context manager, or ``close()`` it.

    ``path``: the absolute cgroup path (``/`` is the root of the mount); only for messages and the journal.
    """

    __slots__ = ("_edits", "_ino", "device", "fd", "path")

    def __init__(self, path: str, fd: int, device: int = 0) -> None:
        """Take over an open directory descriptor. Tests may pass a plain directory; see ``Tree`` for real ones.

        ``device``: the number of the mount's device; each cgroup must be on it. 0: not known.
        """
        self.path = path
        self.fd = fd
        self.device = device
        self._ino = 0
        self._edits: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ino(self) -> int:
        """The inode number; it identifies the cgroup. Raises NotAvailableError if this is not on the mount's device."""
        if not self._ino:
            self.know(os.fstat(self.fd))
        return self._ino

    def learn_inodes(self, children: Mapping[str, Cgroup]) -> None:
        """Take the inodes of many open children from one listing, which costs far less than an fstat(2) for each.

        A child that is removed and made again in between gets the wrong inode. It answers ENODEV or ENOENT to whatever
        is opened in it from then on, so this does no harm.
        """
        with os.scandir(self.fd) as entries:
            for entry in entries:
                if (child := children.get(entry.name)) is not None:
                    child._ino = entry.inode()

    def know(self, facts: os.stat_result) -> None:
        """Take the inode from a stat(2) that was done already. Raises NotAvailableError if it is on another device."""
        if self.device and facts.st_dev != self.device:
            raise NotAvailableError(f"{self.path}: another file system is mounted over it. Unmount it, see findmnt")
        self._ino = facts.st_ino

    def is_leaf(self) -> bool:
        """True if there is no cgroup below: a directory has two links, and one more for each directory in it.

        Raises GoneError, KernelError.
        """
        try:
            return os.fstat(self.fd).st_nlink == 2
        except OSError as error:
            raise self._translated("", "", error) from error

    def inodes(self) -> dict[str, int]:
        """The cgroups directly below: inode by name. Raises GoneError, KernelError."""
        try:
            with os.scandir(self.fd) as entries:
                return {entry.name: entry.inode() for entry in entries if entry.is_dir(follow_symlinks=False)}
        except OSError as error:
            raise self._translated("", "", error) from error

    def close_edits(self) -> None:
        """Close the files that ``edit`` keeps open."""
        edits = self._edits
        while edits:
            os.close(edits.popitem()[1])

    def close(self) -> None:
        """Close all descriptors. The cgroup itself stays."""
        if self._edits:
            self.close_edits()
        if self.fd >= 0:
            fd, self.fd = self.fd, -1  # first, so that an interruption does not close it twice
            os.close(fd)

    @property
    def closed(self) -> bool:
        """True if ``close`` was called."""
        return self.fd < 0

    @property
    def depth(self) -> int:
        """The number of levels below the root of the mount."""
        return 0 if self.path == "/" else self.path.count("/")

    def child(self, name: str) -> Cgroup:
        """Open the cgroup ``name`` directly below. Raises NotFoundError, GoneError."""
        path = f"/{name}" if self.path == "/" else f"{self.path}/{name}"
        try:
            return Cgroup(path, os.open(name, _DIRECTORY, dir_fd=self.fd), self.device)
        except OSError as error:
            if error.errno == errno.ENOENT:
                raise NotFoundError(f"{path}: there is no such cgroup. See rctl ls") from None
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise NotFoundError(f"{path}: that is a file or a link, not a cgroup. See rctl ls") from None
            raise KernelError(path, "", "", error.errno or 0) from error

    def children(self) -> list[str]:
        """Names of the cgroups directly below, sorted."""
        try:
            with os.scandir(self.fd) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError as error:
            raise self._translated("", "", error) from error

    def files(self) -> list[str]:
        """Names of the interface files, in the kernel's order. Raises GoneError, KernelError."""
        try:
            names = os.listdir(self.fd)
            if os.fstat(self.fd).st_nlink != 2:  # there are directories, too
                with os.scandir(self.fd) as entries:
                    names = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            raise self._translated("", "", error) from error
        if not names:
            raise self.gone()
        return names

    def above(self) -> Cgroup:
        """Open the cgroup directly above. Not for the root. Raises GoneError, KernelError."""
        try:
            fd = os.open("..", _DIRECTORY, dir_fd=self.fd)
        except OSError as error:
            raise self._translated("", "", error) from error
        return Cgroup(self.path.rpartition("/")[0] or "/", fd, self.device)

    def upwards(self) -> Iterator[Cgroup]:
        """This cgroup and those above it, up to the root. Each is closed when the next one is asked for; this one
        stays.

        Needs two descriptors, whatever the depth. Raises as ``above``.
        """
        here = self
        try:
            while True:
                yield here
                if here.path == "/":
                    return
                below, here = here, here.above()
                if below is not self:
                    below.close()
        finally:
            if here is not self:
                here.close()

    def has(self, name: str) -> bool:
        """True if the interface file exists."""
        return os.access(name, os.F_OK, dir_fd=self.fd, follow_symlinks=False)

    def may_write(self, name: str) -> bool:
        """True if the caller may write the file (``.``: the directory), by its effective rights."""
        return os.access(name, os.W_OK, dir_fd=self.fd, effective_ids=True)

    def check_write(self, name: str, path: str, what: str) -> None:
        """Raise KernelError if the caller may not write the file. ``what``: the operation on ``path``, for messages."""
        if not self.may_write(name):
            number = errno.EACCES
            with suppress(OSError):
                number = errno.EROFS if os.fstatvfs(self.fd).f_flag & os.ST_RDONLY else number
            raise KernelError(path, "" if name == "." else name, "", number, what)

    def read(self, name: str) -> str:
        """The whole text of an interface file. Raises GoneError, NotAvailableError, KernelError."""
        if name in self._edits:
            return self.edit(name)
        try:
            fd = os.open(name, READ_FLAGS, dir_fd=self.fd)
            try:
                data = os.pread(fd, _PAGE, 0)
                return (_read_all(fd) if len(data) == _PAGE or name in _OF_MANY else data).decode("utf-8", "replace")
            finally:
                os.close(fd)
        except OSError as error:
            raise self._translated(name, "", error) from error

    def read_if_there(self, name: str) -> str | None:
        """As ``read``; ``None`` if this kernel, or this cgroup, has no such file."""
        try:
            return self.read(name)
        except NotAvailableError:
            return None
        except KernelError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                return None
            raise

    def texts(self, names: Iterable[str]) -> dict[str, str]:
        """As ``read_if_there``, for many short files; missing ones are left out."""
        found: dict[str, str] = {}
        directory, opened, read, close = None, os.open, os.pread, os.close
        for name in names:
            try:
                if directory is None:
                    directory = self.fd
                fd = opened(name, READ_FLAGS, dir_fd=directory)
                try:
                    data = read(fd, _SHORT, 0)
                    found[name] = _text(data if len(data) < _SHORT else _read_all(fd))
                finally:
                    close(fd)
            except OSError:  # the slow way finds the cause
                if (text := self.read_if_there(name)) is not None:
                    found[name] = text
        return found

    def edit(self, name: str, known: bool = True) -> str:
        """As ``read``, for a limit's file. It stays open until ``close()``, for the next writes and reads.

        If it is not ``known`` to be a limit's file, it may be read-only, also if root can open it: then RctlError.
        """
        fd = self._edits.get(name)
        try:
            if fd is None:
                fd = self._edits[name] = os.open(name, _EDIT, dir_fd=self.fd)
                if not known and not os.fstat(fd).st_mode & 0o222:
                    raise RctlError(
                        f"{name}: on {self.path}: the kernel shows it, and takes nothing. See rctl set --help"
                    )
            data = os.pread(fd, _SHORT, 0)
            return (data if len(data) < _SHORT else _read_all(fd)).decode()
        except OSError as error:
            raise self._translated(name, "", error, "" if fd else "cannot be opened for writing") from error

    def exchange(self, name: str, text: str) -> str:
        """Write ``text`` to a limit's file and read it back. Returns the new text."""
        fd = self._edits.get(name)
        if fd is None:
            self.write(name, text)
            return self.read(name)
        try:
            os.write(fd, text.encode())
            data = os.pread(fd, _SHORT, 0)
            return (data if len(data) < _SHORT else _read_all(fd)).decode()
        except OSError as error:
            raise self._translated(name, text, error) from error

    def write(self, name: str, text: str) -> None:
        """Write ``text`` in one write(2). Raises GoneError, NotAvailableError, KernelError."""
        try:
            fd = self._edits.get(name)
            if fd is not None:
                os.write(fd, text.encode())
                return
            fd = os.open(name, _WRITE, dir_fd=self.fd)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise self._translated(name, text, error) from error

    def attributes(self, prefix: str) -> dict[str, str]:
        """Extended attributes with this prefix, by the rest of their names; empty if the kernel keeps none.

        Raises GoneError.
        """
        try:
            names = [name for name in os.listxattr(self.fd) if name.startswith(prefix)]
            values = {name[len(prefix) :]: self._attribute(name) for name in sorted(names)}
        except OSError as error:
            if error.errno in (errno.ENOTSUP, errno.EPERM, errno.EACCES):
                return {}
            raise self.gone() from None
        return {name: value for name, value in values.items() if value is not None}

    def _attribute(self, name: str) -> str | None:
        """The value of an attribute; ``None`` if it was removed in between."""
        try:
            return os.getxattr(self.fd, name).decode("utf-8", "surrogateescape")
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
            return None

    def make(self, name: str) -> Cgroup:
        """Make a cgroup directly below and open it. Raises BusyError if the name is taken."""
        try:
            os.mkdir(name, 0o755, dir_fd=self.fd)
        except FileExistsError:
            raise BusyError(f"{self.path.rstrip('/')}/{name}: exists already. Choose another name") from None
        except OSError as error:
            raise self._translated(name, "mkdir", error) from error
        try:
            return self.child(name)
        except BaseException:
            with suppress(OSError):
                os.rmdir(name, dir_fd=self.fd)
            raise

    def remove(self, name: str) -> None:
        """Remove the empty cgroup ``name`` directly below. Raises BusyError while it holds processes or children."""
        try:
            os.rmdir(name, dir_fd=self.fd)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise BusyError(
                    f"{self.path.rstrip('/')}/{name}: still has processes or child cgroups. Stop them, or use --kill"
                ) from None
            raise self._translated(name, "rmdir", error) from error

    def _translated(self, name: str, text: str, error: OSError, what: str = "") -> Exception:
        """The error for an errno; the only place that knows what each errno means for a cgroup."""
        number = error.errno or 0
        if number in (errno.ENOENT, errno.ENODEV) and not self.alive():
            return self.gone()
        disabled = number == errno.ENODEV and not name.startswith("io.")  # io's own ENODEV is about the disk
        if disabled or (number == errno.ENOENT and name != SUBTREE_CONTROL):
            return NotAvailableError(
                f"{name}: not there on {self.path}: this kernel lacks it, or its controller is not enabled. "
                "See rctl doctor"
            )
        return KernelError(self.path, name, text, number, what)

    def alive(self) -> bool:
        """True if the cgroup still exists."""
        return self.fd >= 0 and self.has("cgroup.procs")

    def gone(self) -> GoneError:
        """The error for a cgroup that was removed."""
        return GoneError(f"{self.path}: the cgroup was removed meanwhile. See rctl ls")


@lru_cache(1 << 12)
def _text(data: bytes) -> str:
    """Decode a text; the same text gives the same object, because most cgroups have the same limits."""
    return data.decode("utf-8", "replace")


def read_one(fd: int) -> bytes:
    """Read a file in one call. Most files are one seq_file record, which fits if the buffer is larger than it."""
    data = os.pread(fd, _PAGE, 0)
    return data if len(data) < _PAGE else _read_all(fd)


def _read_all(fd: int) -> bytes:
    """Read until the end of the file."""
    parts: list[bytes] = []
    size = 0
    while data := os.pread(fd, _CHUNK, size):
        parts.append(data)
        size += len(data)
    return b"".join(parts)
