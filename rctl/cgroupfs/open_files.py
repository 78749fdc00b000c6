"""Files of a cgroup that are read repeatedly: their descriptors stay open, within a budget.

To read an open file costs a fifth of open, read and close. But the kernel keeps about 5 KiB for each open file. So
there is a budget, and a cgroup without room in it is read the slow way. ``spared`` files are read the slow way, too,
unless the number of kept descriptors was set.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import repeat

from ..errors import KernelError, UsageError
from .cgroup import READ_FLAGS, Cgroup, read_one

_COST = 5 << 10  # bytes of kernel memory for an open interface file that was read: seq_file's page, the file itself
_SHARE = 64  # of the memory, for all of them
_OTHERS = 128  # descriptors left for everything else: clients, logs, history, the configuration
_LEAST = 128
_PAGE = 4096
_FROM_START = repeat(0)
_ABSENT = (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP, errno.EINVAL)


class Budget:
    """The number of descriptors that may still be kept: of interface files, and of cgroups' directories (``Handle``).

    ``told``: the number of files was set. ``kept``: files that are kept. ``held``: directories that are kept, and files
    that are held but not read (``Noted``). One more directory, the ``guest``, is open while it is used.
    """

    __slots__ = ("guest", "held", "kept", "most", "told", "total")

    def __init__(self, most: int | None = None, total: int | None = None) -> None:
        """``most``: number of files; unset: the rest of ``total``, and at most 1/64 of the memory.

        ``total``: number of files and directories; unset: ``room()``. Raises UsageError for a negative number.
        """
        if most is not None and most < 0:
            raise UsageError(f"kept descriptors {most}: cannot be less than 0. Leave it out, or give a number")
        self.total = room() if total is None else total
        self.told = most is not None
        self.most = _affordable() if most is None else most
        self.kept = self.held = 0
        self.guest: Cgroup | None = None

    def take(self, number: int) -> bool:
        """Reserve room for this many files. Returns False if there is none."""
        if self.kept + number > self.most or self.kept + self.held + number > self.total:
            return False
        self.kept += number
        return True

    def hold(self) -> bool:
        """Reserve room for a directory, or for a file that is not read. Returns False if there is none."""
        if self.kept + self.held >= self.total:
            return False
        self.held += 1
        return True


def room() -> int:
    """The number of descriptors that cgroups may hold: RLIMIT_NOFILE, less those open now, less a reserve."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(0, soft - len(os.listdir("/proc/self/fd")) - min(_OTHERS, soft // 2))


def _affordable() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _SHARE // _COST


class Kept:
    """Some files of one cgroup, read together. ``close()`` it; the cgroup's own handle stays open."""

    __slots__ = ("_budget", "_cgroup", "_fds", "_sizes", "_spared", "names")

    def __init__(self, cgroup: Cgroup, names: Sequence[str], budget: Budget, spared: bool = False) -> None:
        """``spared``: descriptors of these files are kept only if the budget was ``told``."""
        self._cgroup = cgroup
        self._budget = budget
        self._spared = spared and not budget.told
        self.names = tuple(names)
        self._fds: tuple[int, ...] = ()
        self._sizes: tuple[int, ...] = ()

    def read(self) -> bytes:
        """The texts of all files, one after the other. Raises OSError if one cannot be read; then see ``each``.

        A file that is longer than its buffer is cut off, so it has no newline at its end.
        """
        if self._fds:
            return b"".join(map(os.pread, self._fds, self._sizes, _FROM_START))
        return b"".join(_each(self._cgroup.fd, self.names))

    def each(self) -> tuple[dict[str, bytes], list[KernelError]]:
        """Read every file whole, by name, and keep the existing ones open. Raises GoneError.

        A file that this kernel or cgroup lacks is left out from then on. Any other that cannot be read is reported.
        """
        texts: dict[str, bytes] = {}
        errors: list[KernelError] = []
        absent = False
        self._drop()
        fds: list[int] = []
        room = self._room(len(self.names))
        directory, opened, read, close = None, os.open, os.pread, os.close
        for name in self.names:
            try:
                if directory is None:
                    directory = self._cgroup.fd
                fd = opened(name, READ_FLAGS, dir_fd=directory)
                try:
                    text = read(fd, _PAGE, 0)
                    texts[name] = text if len(text) < _PAGE else read_one(fd)
                except OSError:
                    close(fd)
                    raise
            except OSError as error:
                absent = True
                if error.errno not in _ABSENT:
                    errors.append(KernelError(self._cgroup.path, name, "", error.errno or 0))
                continue
            if room:
                fds.append(fd)
            else:
                close(fd)
        if room:
            self._budget.kept -= len(self.names) - len(fds)
            self._fds = tuple(fds)
            self._sizes = _rooms_for(tuple(map(len, texts.values())))
        if len(texts) < len(self.names):
            self.names = tuple(texts)
        if absent and not self._cgroup.alive():
            self.close()
            raise self._cgroup.gone()
        return texts, errors

    @property
    def keeps(self) -> bool:
        """True if its descriptors are kept."""
        return bool(self._fds)

    def lines(self) -> int | None:
        """The total number of lines in the files; ``None`` if it cannot be known.

        Raises GoneError, KernelError.
        """
        try:
            if self._fds:
                return sum(map(_lines, self._fds))
            return sum(_lines_once(self._cgroup.fd, name) for name in self.names)
        except OSError as error:
            if error.errno in _ABSENT and self._cgroup.alive():
                return None
            raise self._cgroup._translated(self.names[0], "", error) from error

    def close(self) -> None:
        """Close the descriptors."""
        self._drop()

    def _room(self, number: int) -> bool:
        return not self._spared and self._budget.take(number)

    def _drop(self) -> None:
        self._budget.kept -= len(self._fds)
        for fd in self._fds:
            os.close(fd)
        self._fds = self._sizes = ()


class Together:
    """Several ``Kept`` that keep their descriptors, read in one go: Python does no step for each.

    All have the same number of files. After one is closed, or read with ``each``, the caller makes a new ``Together``.
    """

    def __init__(self, kept: Iterable[Kept]) -> None:
        those = list(kept)
        self._fds = [fd for one in those for fd in one._fds]
        self._sizes = [size for one in those for size in one._sizes]
        self._width = len(self._fds) // max(1, len(those))

    def read(self) -> Iterator[bytes]:
        """The result of ``Kept.read`` of each, one after the other. Raises OSError if a file cannot be read."""
        texts = map(os.pread, self._fds, self._sizes, _FROM_START)
        return map(b"".join, zip(*[texts] * self._width, strict=True))


def _lines(fd: int) -> int:
    """The number of lines. The kernel fills the buffer while there are lines; a buffer that is not full is the end."""
    text = os.pread(fd, _PAGE, 0)
    if len(text) < _PAGE - _LEAST:
        return text.count(b"\n")
    lines, at = 0, 0
    while text := os.pread(fd, _PAGE, at):
        lines += text.count(b"\n")
        at += len(text)
    return lines


def _lines_once(directory: int, name: str) -> int:
    fd = os.open(name, READ_FLAGS, dir_fd=directory)
    try:
        return _lines(fd)
    finally:
        os.close(fd)


def _each(directory: int, names: Sequence[str]) -> list[bytes]:
    """The whole texts of some files; each is open only while it is read."""
    opened, read, close, texts = os.open, os.pread, os.close, []
    for name in names:
        fd = opened(name, READ_FLAGS, dir_fd=directory)
        try:
            text = read(fd, _PAGE, 0)
            texts.append(text if len(text) < _PAGE else read_one(fd))
        finally:
            close(fd)
    return texts


@lru_cache(1 << 10)
def _rooms_for(lengths: tuple[int, ...]) -> tuple[int, ...]:
    """Buffer sizes in bytes for files of these lengths, with room to grow; the same object for the same lengths."""
    return _shared(tuple(max(_LEAST, 1 << (length * 5 // 4).bit_length()) for length in lengths))


@lru_cache(1 << 10)
def _shared(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return sizes
