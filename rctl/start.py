"""The first and the last code that runs for ``rctl``.

Until rctl can put things back by itself, Ctrl-C ends it at once, silently. Python's own action for SIGINT is an
exception, which would print a traceback during imports. Nothing is changed until then, so the system's action is right.
rctl cannot influence the time before that, the start of Python itself.

At the end, the kernel frees the memory. Python would first take each object apart, a tenth of the time of a short verb.
"""

import _signal  # type: ignore[import-not-found]  # the C part of signal, which imports faster

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Run the command line, and exit with its status."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # neither ignored nor set by another program
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from .cli import main

    try:
        main()
    except SystemExit as end:
        _end_at_once(end.code)
        raise


def _end_at_once(status: object) -> None:
    """End without Python's own end, unless a thread or a function of ``atexit`` waits for it."""
    import atexit
    import os
    import sys

    if isinstance(status, int) and "threading" not in sys.modules and not atexit._ncallbacks():
        try:
            sys.stderr.flush()  # the other stream is flushed already
        finally:
            os._exit(status)
