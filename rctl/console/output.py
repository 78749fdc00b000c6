"""All output for people and programs: JSON, aligned columns, progress, one-line errors.

Only this module writes to standard output and standard error. It escapes all text from outside.
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
    """Text that is escaped already; its line ends are intended."""

    __slots__ = ()


def as_json(data: Any, *, one_line: bool = False) -> Shown:
    """JSON for programs, indented: quantities as numbers, no limit as ``"max"``, number lists as the kernel's text."""
    import msgspec

    try:
        text = msgspec.json.format(msgspec.json.encode(data, enc_hook=_plain), indent=-1 if one_line else 2).decode()
    except UnicodeEncodeError:  # the name of a file or cgroup has bytes that are no UTF-8
        import json

        text = json.dumps(msgspec.to_builtins(data, enc_hook=_plain), indent=None if one_line else 2)
    return Shown(escaped_json(text, ascii_only=not _is_utf8(sys.stdout)))


def as_json_line(data: Any) -> Shown:
    """JSON for programs on one line, for events."""
    return Shown(" ".join(line.strip() for line in as_json(data).split("\n")))


def _plain(value: Any) -> Any:
    from ..ranges import Ranges
    from ..units import Quantity

    if isinstance(value, Quantity):
        return value.amount
    if isinstance(value, Ranges):
        return str(value)
    raise NotImplementedError(type(value))


def say(*lines: str) -> None:
    """Print lines on standard output; without lines, an empty one. A line end inside a line is shown as ``\\n``."""
    for line in lines or ("",):
        _out(line if isinstance(line, Shown) else escaped(line))


STDOUT = "standard output"
"""The file name in an OSError about standard output."""
_quiet = False
_untold = False
"""True if an adjustment has ended and its result is not printed yet."""


def be_quiet() -> None:
    """From now on ``done``, ``report`` and ``progress`` print nothing. Errors, notes and JSON are still printed."""
    global _quiet
    _quiet = True


def untold() -> bool:
    """True if an adjustment was completed and its result is not printed yet."""
    return _untold


def done(*lines: str) -> None:
    """Print the result of an operation, unless ``be_quiet`` was called. JSON is always printed.

    If standard output fails, the operation is done all the same; then there is only a warning on standard error.
    """
    if _quiet and not any(isinstance(line, Shown) for line in lines):
        return
    try:
        say(*lines)
        sys.stdout.flush()
        global _untold
        _untold = False
    except OSError as error:  # a full disk, or a closed pipe
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
    """Print a line on standard error. Overlong words are cut; on a narrow terminal it becomes several lines."""
    _clear()
    _lines(f"rctl: {shortened(escaped(text))}", len("rctl: "))


def _lines(line: str, indent: int) -> None:
    _err("".join(f"{part}\n" for part in terminal.wrapped(line, indent, terminal.width(sys.stderr))))


def _err(text: str) -> None:
    """Write to standard error. A failure there is ignored: no other place is left to report it."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


_USUAL = 80
"""Columns of a terminal that does not report its size, such as a serial console."""
_under_way = False


def tell(text: str) -> None:
    """Show the progress of a long job, as one line on standard error that overwrites itself; silent in a pipe."""
    global _under_way
    if sys.stderr.isatty():
        room = terminal.width(sys.stderr) or _USUAL
        _err(f"\r\x1b[K{terminal.cut(escaped(text), room - 1)}")
        _under_way = bool(text)


def _clear() -> None:
    """Remove the line of progress, so that the next output stands alone."""
    global _under_way
    if _under_way:
        _under_way = False
        _err("\r\x1b[K")


def page(pieces: Iterable[bytes]) -> None:
    """Write bytes for a program to standard output. On a terminal, control characters in them are escaped."""
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
    names: Sequence[int] = (),
    wrap: bool = False,
) -> None:
    """Print a table with aligned columns; its head is bold on a terminal. ``right``: columns aligned to the right.

    On a narrow terminal, texts are cut, except in the columns ``whole``. If that is not enough, the columns ``spare``
    are left out, in this order. In the columns ``names``, ids of containers are shortened on a terminal, and names are
    cut in the middle. ``wrap``: instead of being cut, the last column continues in the next line.
    """
    table = [[escaped(cell) for cell in row] for row in (head, *rows)]
    if (room := terminal.width(sys.stdout)) is not None:
        table = [[terminal.short_ids(cell) if i in names else cell for i, cell in enumerate(row)] for row in table]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    if room is not None:
        widths = terminal.fit(widths, room, [i for i in range(len(head)) if i not in right and i not in whole], spare)
    for number, row in enumerate(table):
        cells, more = list(row), list[str]()
        if wrap:
            cells[-1], *more = terminal.wrapped(row[-1], 0, widths[-1], breaks=True)
        sized = enumerate(zip(cells, widths, strict=True))
        fitting = [(i, terminal.cut(cell, w, name=i in names), w) for i, (cell, w) in sized if w]
        line = "  ".join(cell.rjust(w) if i in right else cell.ljust(w) for i, cell, w in fitting).rstrip()
        _out(f"\x1b[1m{line}\x1b[0m" if number == 0 and terminal.colors(sys.stdout) else line)
        for rest in more:
            _out(" " * (sum(w + 2 for _, _, w in fitting[:-1])) + rest)


def progress(event: Event) -> None:
    """Show the progress of a long adjustment as one line on a terminal; silent in a pipe.

    It never shows 100 %: the line is removed at the end. The line about a wait for another adjustment stays, also in a
    pipe.
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
    """Print the account of an adjustment: every VE, its changes, and notes."""
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
    """Print one line for the error, then a line for every VE of the adjustment."""
    warn(str(error))
    for note in getattr(error, "__notes__", ()):
        _lines(f"  {escaped(note)}", 4)
    for outcome in error.account.outcomes if error.account else ():
        _err(f"  {escaped(outcome.name)}: {outcome.status}\n")
