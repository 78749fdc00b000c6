"""Another process that holds a lock, and has adjustments under way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rctl.adjust.state_folder import State

HOLD = """
import sys
from rctl.adjust.records.journal import Journal
from rctl.adjust.locks import Locks
from rctl.adjust.records.record_format import decode
from rctl.adjust.state_folder import State
with Locks(state := State(sys.argv[1], sys.argv[2])) as locks:
    locks.take([(int(sys.argv[3]), "/rctl-web1")])
    journals = [Journal(state, decode(line.encode())) for line in sys.argv[4:]]
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(state: State, *journals: str, ino: int = 7) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a lock, web1's, and journals with these records, until its standard input ends."""
    command = [sys.executable, "-c", HOLD, state.run, state.keep, str(ino), *journals]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
