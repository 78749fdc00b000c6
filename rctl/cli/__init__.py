"""The command line: one verb, or one small group, a file. It holds no logic of its own.

Exit status: 0 done; 1 failed, and nothing was changed; 2 used wrongly; 128 + N ended by signal N.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn


class Interrupted(KeyboardInterrupt):
    """A signal asks rctl to end: what is under way is put back first."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_status = 128 + number


def main() -> NoReturn:
    """Run the command line and exit with its status. Errors are one line on standard error."""
    gc.disable()  # a verb ends before garbage matters, and looking for it costs more than keeping it
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup(1)
            signal.signal(number, _interrupt)
    status = _status()
    try:
        sys.stdout.flush()
    except OSError as error:  # a pipe that was closed, a disk that is full
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            _warn(f"standard output: {error.strerror}")
        status = status or 1
    sys.exit(status)


def _status() -> int:
    from ..errors import RctlError

    try:
        from .app import app

        ended = app(sys.argv[1:] or ["--help"], prog_name="rctl", standalone_mode=False)
        if isinstance(ended, KeyboardInterrupt):
            raise ended
        return int(ended or 0)
    except RctlError as error:
        from .output import report_failure

        report_failure(error)
        return error.exit_status
    except KeyboardInterrupt as stop:
        adjusts = sys.argv[1:2] not in (["bench"], ["exporter"])
        _warn("interrupted" + "; an adjustment under way was put back. See rctl history" * adjusts)
        return getattr(stop, "exit_status", 130)
    except BrokenPipeError:
        return 1
    except OSError as error:
        _warn(str(error))
        return 1
    except Exception as error:
        if not hasattr(error, "format_message"):  # Typer's own word for "used wrongly"
            raise
        text = " ".join(str(error.format_message()).split()) or "no verb given"
        verb = getattr(getattr(error, "ctx", None), "command_path", "rctl")
        _warn(f"{text.rstrip('.')}. See {verb} --help")
        return 2


def _warn(text: str) -> None:
    from .output import warn

    warn(text)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)
