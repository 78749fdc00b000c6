"""The command line: one file for each verb or small group of verbs. It holds no logic of its own.

Exit status: 0 done; 1 failed, and nothing was changed; 2 used wrongly; 4 a part of a rolling change is done; 128 + N
ended by signal N.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C part of signal, which imports faster
import gc
import os
import sys
from types import FrameType
from typing import NoReturn

from ..signals import STOPS

_PATIENCE = 3
"""So many signals after the first are ignored while the adjustment is put back; the next one ends rctl at once."""
_came = 0
"""Number of signals so far."""
_over = False
"""True if only the output is left to do: a signal changes nothing any more."""


class Interrupted(KeyboardInterrupt):
    """A signal asks rctl to end: the adjustment under way is put back first."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by signal {number}")
        self.exit_status = 128 + number


def main() -> NoReturn:
    """Run the command line and exit with its status. Errors are one line on standard error."""
    global _over
    gc.disable()  # a verb ends before garbage matters; collecting it would cost more
    try:
        _open_closed()
        sys.unraisablehook = _unraisable
        for number in STOPS:
            if _signal.getsignal(number) != _signal.SIG_IGN:  # as under nohup(1)
                _signal.signal(number, _interrupt)
        status = _flushed(_status())
    except KeyboardInterrupt as stop:  # the result is printed already; the reader of the rest is gone
        _over = True
        _let_go_of_output()
        _warn("interrupted")
        status = getattr(stop, "exit_status", 130)
    _over = True
    sys.exit(status)


def _open_closed() -> None:
    """Open standard streams that are closed, so that no other file gets their number; writing there fails (EBADF).

    A command that rctl becomes finds them closed again.
    """
    for fd, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, mode)  # the lowest free number
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 (for the whole life of the process)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _flushed(status: int) -> int:
    """The exit status after the output is flushed, or failed to be."""
    try:
        sys.stdout.flush()
    except OSError as error:  # a closed pipe, or a full disk
        _let_go_of_output()
        if not isinstance(error, BrokenPipeError):
            _warn(f"standard output: {error.strerror}")
        status = status or 1
    return status


def _let_go_of_lost_output(error: OSError) -> None:
    from ..console.output import STDOUT

    if error.filename == STDOUT:  # the rest of the buffer would fail as well, and be reported again
        _let_go_of_output()


def _let_go_of_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _status() -> int:
    global _came, _over
    _came, _over = 0, False
    try:
        return _ended()
    except BaseException as error:  # noqa: BLE001 (an unknown one is raised again)
        _over = True
        return _told(error)


def _ended() -> int:
    """Run the verb."""
    from ..console.declare import Exit
    from .app import plain_call

    words = sys.argv[1:] or ["--help"]
    try:
        if call := plain_call(words):
            call()
            return 0
        return _by_typer(words)
    except Exit as end:
        return end.exit_code


def _by_typer(words: list[str]) -> int:
    """Let Typer read the words. Its own function would report an interruption in its words, with its own status."""
    from typer import Exit

    from .app import root

    try:
        with root().make_context("rctl", words) as context:
            return int(context.command.invoke(context) or 0)
    except Exit as end:
        return end.exit_code


def _told(error: BaseException) -> int:
    """Print the error in one line, and return the exit status."""
    from ..errors import RctlError, unforeseen

    error = _stop_within(error)
    if isinstance(error, RctlError):
        from ..console.output import report_failure

        report_failure(error)
        return error.exit_status
    if isinstance(error, KeyboardInterrupt):
        return _stopped(error)
    if isinstance(error, BrokenPipeError):
        return 1
    if isinstance(error, OSError):
        _let_go_of_lost_output(error)
        _warn(unforeseen(error))
        return 1
    if not hasattr(error, "format_message"):  # Typer's errors of wrong usage have it
        raise error
    from .usage_errors import told

    _warn(told(error))
    return 2


def _stop_within(error: BaseException) -> BaseException:
    """The interruption behind an unforeseen error, else the error itself.

    Python 3.11 raises a RuntimeError for any exception within ``__set_name__``, for example while a module is imported.
    Errors of rctl and of the kernel are returned unchanged.
    """
    from ..errors import RctlError

    within: BaseException | None = error
    while within is not None and not isinstance(within, (RctlError, OSError)):
        if isinstance(within, KeyboardInterrupt):
            return within
        within = within.__cause__ or within.__context__
    return error


def _stopped(stop: KeyboardInterrupt) -> int:
    from ..console.output import untold

    became = getattr(stop, "__notes__", ()) or ("an adjustment under way was completed",) * untold()
    _warn("; ".join(("interrupted", *became)) + ". See rctl history" * bool(became))
    return getattr(stop, "exit_status", 130)


def _warn(text: str) -> None:
    from ..console.output import warn

    warn(text)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first signal stops the adjustment under way; further ones have no effect while it is put back or reported."""
    global _came
    _came += 1
    if _came == 1 and not _over:
        raise Interrupted(number)
    if _came > 1 + _PATIENCE:
        os._exit(128 + number)


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """A signal within ``__del__`` stopped nothing: let the next one do so."""
    global _came
    if isinstance(what.exc_value, KeyboardInterrupt):
        _came = 0
    else:
        sys.__unraisablehook__(what)
