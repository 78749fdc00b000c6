"""The first that runs of ``rctl``: until rctl can put things back by itself, Ctrl-C ends it at once and without a word.

Python's own answer to SIGINT is an exception, which would show wherever the imports are. Nothing has been changed by
then, so the system's answer is right. What comes before this, Python's own start, is not in rctl's power.
"""

import _signal  # type: ignore[import-not-found]  # of what signal is made; that itself takes longer to import than rctl.start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Run the command line, and exit with its status."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # neither ignored nor somebody else's
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from .cli import main

    main()
