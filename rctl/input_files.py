"""Reads files that users name: opened without waiting, regular, of bounded size."""

from __future__ import annotations

import os
import select
import stat

from .errors import UsageError, explained

_KINDS = {stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def read(path: str, largest: int, *, or_stdin: bool = False) -> bytes:
    """The bytes of a regular file, at most ``largest``. ``or_stdin``: ``-`` is standard input.

    The unnamed pipe that a shell makes for ``<(command)`` is read like standard input. A named FIFO is refused, because
    it may have no writer. Raises UsageError that names the file, the cause and the remedy.
    """
    stdin = or_stdin and path == "-"
    try:
        with open(0, "rb", 0, closefd=False) if stdin else open(path, "rb", 0, opener=_at_once) as file:
            if not stdin:
                _check(path, file.fileno())
            data = _all(file.fileno(), largest + 1, wait=stdin)
    except OSError as error:
        raise UsageError(
            f"{path or repr(path)}: cannot be read: {explained(error, 'Give the path of a file that you may read')}"
        ) from None
    except ValueError:
        raise UsageError(f"{path[:80]!r}: no file has such a name. Give the file's path") from None
    if len(data) > largest:
        raise UsageError(f"{path}: larger than {largest >> 20} MiB. Split it")
    return data


def _all(fd: int, most: int, *, wait: bool) -> bytes:
    """All bytes, at most ``most``. ``wait``: wait for more if the descriptor does not block.

    Raises BlockingIOError if ``wait`` is not set.
    """
    data = b""
    while len(data) < most:
        try:
            part = os.read(fd, most - len(data))
        except BlockingIOError:
            if not wait:
                raise
            select.select([fd], [], [])
            continue
        if not part:
            break
        data += part
    return data


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _check(path: str, fd: int) -> None:
    """Refuse a file that is not regular; make an unnamed pipe wait for its writer."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return
    if stat.S_ISFIFO(mode) and os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
        os.set_blocking(fd, True)
        return
    kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
    raise UsageError(f"{path}: is {kind}. Give a regular file")
