"""A guest in which the same work takes nearly the same number of instructions, also when the host is busy.

`python -m tests.overhead.steady COMMAND...` makes it so and runs the command, with `{}` as a folder on its disk.
"""

import os
import sys
from pathlib import Path

from tests.overhead import disk, programs

_NEVER = str(2**31 - 1)
_HOUSEKEEPING = {
    "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs": _NEVER,
    "/sys/kernel/mm/transparent_hugepage/khugepaged/alloc_sleep_millisecs": _NEVER,
    "/proc/sys/vm/compaction_proactiveness": "0",
}
"""What the kernel does now and then for all, 5 ms at a time, and nobody asked for."""


def make() -> str:
    """Make the guest steady; the folder for the workloads' files.

    Raises RuntimeError on a machine that is no guest of the lab's, for nothing of it is put back.
    """
    if os.environ.get("LAB") != "1":
        raise RuntimeError("this is no guest of the lab's. Use make test-overhead, or python -m tests.lab run")
    for file, text in _HOUSEKEEPING.items():
        if os.path.exists(file):
            Path(file).write_text(text)
    programs.hold()
    return disk.make()


if __name__ == "__main__":
    folder = make()
    words = [word.replace("{}", folder) for word in sys.argv[1:]]
    os.execvp(words[0], words)
