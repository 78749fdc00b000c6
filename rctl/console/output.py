"""What people and programs read: JSON, aligned columns, progress, one-line errors.

The one door to standard output and standard error: whatever comes from outside goes through here, and is escaped here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from ..escape import escaped, escaped_json, shortened
from . import terminal

if TYPE_CHECKING:
    from ..adjust.account import Account
    from ..adjust.progress import Event
    from ..errors import RctlError


class Shown(str):
    """Text that is escaped already; its line ends are meant."""

    __slots__ = ()


def as_json(data: Any) -> Shown:
    """JSON for programs, indented; quantities as numbers, no limit as ``"max"``, number lists as the kernel's text."""
    import msgspec

    try:
        text = msgspec.json.format(msgspec.json.encode(data, enc_hook=_plain), indent=2).decode()
    except UnicodeEncodeError:  # bytes that are no UTF-8, in the name of a file or cgroup
        import json

        text = json.dumps(msgspec.to_builtins(data, enc_hook=_plain), indent=2)
    return Shown(escaped_json(text, ascii_only=not _is_utf8(sys.stdout)))


def _plain(value: Any) -> Any:
    from ..ranges import Ranges
    from ..units import Quantity

    if isinstance(value, Quantity):
        return value.amount
    if isinstance(value, Ranges):
        return str(value)
    raise NotImplementedError(type(value))


def say(*lines: str) -> None:
    """Lines on standard output; none: an empty one. A line end inside one of them is shown as ``\\n``."""
    for line in lines or ("",):
        _out(line if isinstance(line, Shown) else escaped(line))


STDOUT = "standard output"
"""What an OSError of it names as its file."""
_quiet = False
_untold = False
"""Whether an adjustment has ended of which nothing has been said yet."""


def be_quiet() -> None:
    """From now on ``done``, ``report`` and ``progress`` say nothing; what went wrong, notes and JSON are still said."""
    global _quiet
    _quiet = True


def untold() -> bool:
    """Whether an adjustment was completed, and nobody has been told yet."""
    return _untold


def done(*lines: str) -> None:
    """Say what was done, unless ``be_quiet`` was called; JSON is said all the same.

    It is done all the same where nobody can read it: that is a word on standard error at most.
    """
    if _quiet and not any(isinstance(line, Shown) for line in lines):
        return
    try:
        say(*lines)
        sys.stdout.flush()
        global _untold
        _untold = False
    except OSError as error:  # a disk that is full, a pipe that was closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            warn(f"standard output: {error.strerror}; what was asked for is done all the same")


def _out(text: str) -> None:
    if not _is_utf8(sys.stdout):
        text = text.encode(sys.stdout.encoding, "backslashreplace").decode(sys.stdout.encoding)
    _clear()
    try:
        sys.stdout.write(text + "\n")
    except OSError as error:
        error.filename = STDOUT
        raise


def _is_utf8(stream: TextIO) -> bool:
    return stream.encoding is None or stream.encoding.lower() in ("utf-8", "utf8")


def warn(text: str) -> None:
    """A line on standard error, without what is longer than any name; on a terminal that is too narrow, several."""
    _clear()
    _lines(f"rctl: {shortened(escaped(text))}", len("rctl: "))


def _lines(line: str, indent: int) -> None:
    _err("".join(f"{part}\n" for part in terminal.wrapped(line, indent, terminal.width(sys.stderr))))


def _err(text: str) -> None:
    """Write on standard error. Where nobody reads it, or the disk is full, there is nobody to be told."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


_USUAL = 80
"""Columns of a terminal that does not say how many it has, as serial consoles do not."""
_under_way = False


def tell(text: str) -> None:
    """Progress of a long job, one line on standard error that overwrites itself; silent in a pipe."""
    global _under_way
    if sys.stderr.isatty():
        room = terminal.width(sys.stderr) or _USUAL
        _err(f"\r\x1b[K{terminal.cut(escaped(text), room - 1)}")
        _under_way = bool(text)


def _clear() -> None:
    """Take that line away, so that what comes next stands alone."""
    global _under_way
    if _under_way:
        _under_way = False
        _err("\r\x1b[K")


def page(pieces: Iterable[bytes]) -> None:
    """Bytes for a program on standard output; on a terminal their lines are escaped like others."""
    if sys.stdout.isatty():
        say(*b"".join(pieces).decode("utf-8", "surrogateescape").rstrip("\n").split("\n"))
        return
    try:
        sys.stdout.flush()
        sys.stdout.buffer.writelines(pieces)
    except OSError as error:
        error.filename = STDOUT
        raise


def columns(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: frozenset[int] = frozenset(),
    spare: Sequence[int] = (),
    whole: Sequence[int] = (),
    *,
    paths: Sequence[int] = (),
    wrap: bool = False,
) -> None:
    """A table with aligned columns; bold head on a terminal. ``right``: columns that are aligned to the right.

    On a terminal that is too narrow, texts are cut, except in columns that are ``whole``; then columns are left out
    that are ``spare``, in this order. In columns of ``paths`` a path is cut at its front, for its end tells it from
    others. ``wrap``: the last column goes on in the next line instead.
    """
    table = [[escaped(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    if (room := terminal.width(sys.stdout)) is not None:
        widths = terminal.fit(widths, room, [i for i in range(len(head)) if i not in right and i not in whole], spare)
    for number, row in enumerate(table):
        cells, more = list(row), list[str]()
        if wrap:
            cells[-1], *more = terminal.wrapped(row[-1], 0, widths[-1], breaks=True)
        sized = enumerate(zip(cells, widths, strict=True))
        fitting = [(i, terminal.cut(cell, w, path=i in paths), w) for i, (cell, w) in sized if w]
        line = "  ".join(cell.rjust(w) if i in right else cell.ljust(w) for i, cell, w in fitting).rstrip()
        _out(f"\x1b[1m{line}\x1b[0m" if number == 0 and terminal.colors(sys.stdout) else line)
        for rest in more:
            _out(" " * (sum(w + 2 for _, _, w in fitting[:-1])) + rest)


def progress(event: Event) -> None:
    """One line on a terminal that tells how a long adjustment goes; silent in a pipe.

    It never says 100 %: when all is done, the line is gone. Only whom it waits for stays, in a pipe too.
    """
    if event.what == "close":
        global _untold
        _untold = True
        _clear()
    elif event.what == "wait":
        if not _quiet:
            warn(event.text)
    elif event.what != "journal":
        percent = min(99, 100 * event.done // max(1, event.total))
        tell(f"{percent:3}% {event.text}")


def report(account: Account, *, json: bool, verbose: bool = True) -> None:
    """The account of an adjustment: every VE, what was done to it, and notes."""
    tell = say if any(outcome.status == "planned" for outcome in account.outcomes) else done
    if json:
        tell(as_json(account))
        return
    for note in account.notes:
        warn(note)
    lines = []
    for outcome in account.outcomes:
        lines.append(f"{outcome.name}: {outcome.status}")
        lines += [f"  {step.describe().removeprefix(outcome.path + ': ')}" for step in outcome.steps if verbose]
    if lines:
        tell(*lines)


def report_failure(error: RctlError) -> None:
    """One line for the error, then a line for every VE that the adjustment spoke of."""
    warn(str(error))
    for note in getattr(error, "__notes__", ()):
        _lines(f"  {escaped(note)}", 4)
    for outcome in error.account.outcomes if error.account else ():
        _err(f"  {escaped(outcome.name)}: {outcome.status}\n")
