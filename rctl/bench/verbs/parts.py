"""``rctl bench adjust``, ``density``, ``life`` and ``virtual``: one benchmark for each verb."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from ...console.declare import Option
from ...console.flags import Json, command_line

if TYPE_CHECKING:
    from ...adjust.state_folder import State
    from ..figures.result import Result
    from ..parts.benchmarks import Setting

CheckFlag = Annotated[bool, Option("--check", help="Exit with 1 unless every verdict is pass")]
DiskFolder = Annotated[str, Option("--folder", metavar="FOLDER", help="Folder on the disk to measure")]
PLACE = "/var/tmp"  # noqa: S108 (a new folder is made in it)


@contextmanager
def own_state() -> Iterator[State]:
    """Locks, journals and a history for the benchmark alone, so that the user's stay as they are. Raises RctlError."""
    import os
    import tempfile

    from ...adjust.state_folder import State

    above = "/run" if os.access("/run", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="rctl-bench-", dir=above) as place:
        yield State(f"{place}/run", place)


@contextmanager
def setting(folder: str, *, quick: bool = False) -> Iterator[Setting]:
    """The input of benchmarks. Raises UsageError if the folder cannot be written, RctlError without cgroup2."""
    import os

    from ...api.session import Session
    from ...errors import UsageError
    from ..parts.benchmarks import Setting
    from ..stage.guard import guarded
    from ..stage.place import controllers_as_before

    if not os.path.isdir(folder):
        raise UsageError(f"--folder {folder}: there is no such folder. Give one on the disk to measure")
    with own_state() as state, Session(state=state) as s, guarded(s.tree), controllers_as_before(s.tree):
        yield Setting(s.site, folder, quick, command_line())


def adjust(
    rounds: Annotated[
        int,
        Option(min=0, max=10000, metavar="N", help="Pairs of bare loop and engine, 3 or more; 0 leaves this out"),
    ] = 15,
    ves: Annotated[int, Option(min=1, max=5000, metavar="N", help="VEs for the second case")] = 1000,
    felt: Annotated[
        int,
        Option(
            min=0, max=1000, metavar="N", help="Rounds in which to time each limit until it is felt; 0 leaves this out"
        ),
    ] = 15,
    folder: DiskFolder = PLACE,
    check: Annotated[bool, Option("--check", help="Exit with 1 if a ratio is over its budget")] = False,
    json: Json = False,
) -> None:
    """Measure adjustments beside bare writes and reads.

    Both touch the same files. It also measures the time until a change is felt.
    """
    from ...errors import UsageError
    from ..parts import benchmarks

    if rounds in (1, 2):
        raise UsageError(f"--rounds {rounds}: too few for a result. Give 3 or more, or 0 to leave the engine out")
    if not rounds and not felt:
        raise UsageError("--rounds 0 --felt 0: nothing is left to measure. Give rounds to one of them")

    def run(place: Setting, tell: Callable[[str], None]) -> Result:
        return benchmarks.adjusted(place, tell, rounds=rounds, ves=ves, moments=felt)

    _one(run, folder, json, check)


def density(
    ves: Annotated[int, Option(min=8, max=20000, metavar="N", help="Number of VEs to make")] = 200,
    check: CheckFlag = False,
    json: Json = False,
) -> None:
    """Measure how many bare VEs fit into 1 GB.

    It measures the kernel's memory for each VE, empty and with a sleeping process.
    """
    from ..parts import benchmarks

    _one(lambda place, tell: benchmarks.dense(place, tell, ves=ves), PLACE, json, check)


def life(
    rounds: Annotated[int, Option(min=6, max=10000, metavar="N", help="Number of rounds")] = 15,
    check: CheckFlag = False,
    json: Json = False,
) -> None:
    """Measure the time to make, enter and remove a bare VE.

    It measures bare system calls, rctl within one process, and commands.
    """
    from ..parts import benchmarks

    _one(lambda place, tell: benchmarks.lived(place, tell, rounds=rounds), PLACE, json, check)


def virtual(
    rounds: Annotated[int, Option(min=6, max=1000, metavar="N", help="Number of rounds in each place")] = 10,
    folder: DiskFolder = PLACE,
    json: Json = False,
) -> None:
    """Measure work bare, in a VE and in a virtual machine.

    The work is on CPU and disk. The virtual machine is QEMU's with KVM, if that works.
    """
    from ..parts import benchmarks

    _one(lambda place, tell: benchmarks.virtually(place, tell, rounds=rounds), folder, json, check=False)


def _one(run: Callable[[Setting, Callable[[str], None]], Result], folder: str, json: bool, check: bool) -> None:
    from ...console.output import tell
    from ...errors import RctlError
    from ..stage.place import WorkError
    from .show import checked, show

    with setting(folder) as place:
        try:
            result = run(place, tell)
        except WorkError as error:
            raise RctlError(f"bench: {error}") from None
    show([result], json=json)
    checked([result], check)
