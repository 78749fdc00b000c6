"""Programs of the workloads, held in the guest's memory.

The guest's root is the host's, shared without a cache: each start of a program there reads it anew, waits for the host
meanwhile, and on the instruction clock time leaps in such waits, with all that the kernel does now and then.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from shutil import which

from rctl.bench.workloads import ALL

COMPILER = ("cc1", "as")
"""What cc starts to compile, and asks itself where it lies."""
_ON_DISK = tuple(filter(None, (os.environ.get("LAB_TOOLS"), os.path.dirname(os.path.dirname(sys.executable)))))
"""What has a disk of its own, which is not shared."""


def hold() -> None:
    """Copy the programs that are here, and their libraries, from the shared folders to the memory above them."""
    for file in sorted(set(_files())):
        if not file.startswith(_ON_DISK):
            os.utime(file)  # any change makes the overlay copy the whole file up to its own, which is in memory


def _files() -> Iterator[str]:
    names = {"sh", *(name for work in ALL for name in work.needs)}
    programs = [path for name in names if (path := which(name))] + [sys.executable]
    if compiler := which("cc"):
        programs += [_told(compiler, f"-print-prog-name={name}") for name in COMPILER]
    for program in programs:
        path = which(program) or program
        yield from map(os.path.realpath, (path, *_libraries(path)))


def _libraries(program: str) -> Sequence[str]:
    """The libraries that a program is linked with, and what loads them."""
    return re.findall(r"(/\S+) \(0x", _told("ldd", program))


def _told(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
