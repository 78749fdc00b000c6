"""Random operations against a model: after each one the kernel's files are exactly as the model says.

``RCTL_RANDOM`` says how many operations (`make test-random`: 20,000) and ``SEED`` which; the same seed gives the same
ones. What rctl holds and costs must not grow meanwhile.
"""

import os
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, variance

import pytest

from rctl.adjust.records.log_files import parts
from rctl.adjust.state_folder import default_state
from rctl.errors import RctlError
from tests.kernel.compared import Run, shortest
from tests.kernel.operations import Operations
from tests.kernel.real import RealWorld
from tests.kernel.shell import load_for_all

COUNT = int(os.environ.get("RCTL_RANDOM") or 120)
SEED = int(os.environ.get("SEED") or 1)
_SHRINKING = 240.0
_MORE = 1.15
"""What an operation may cost at last, of what it cost at first; the operations differ by chance."""
_PART = 4 << 20
"""Bytes, after which the history begins a new part."""


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


def test_random_operations(place: Path, rawdisk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_for_all()
    monkeypatch.setenv("RCTL_STATE", str(tmp_path / "random"))
    world = RealWorld(place, tmp_path / "random")
    machine = world.machine()
    number = rawdisk.stat().st_rdev
    operations = Operations(SEED, f"{os.major(number)}:{os.minor(number)}")
    run = Run(world, machine)
    spent: dict[tuple[str, str], array[float]] = defaultdict(lambda: array("d"))
    begun: Counter[str] = Counter()
    first: tuple[int, int] | None = None
    print(f"\nseed {SEED}, {COUNT} operations")
    for done in range(COUNT):
        op = operations.next(run.model)
        begun[op.verb] += 1
        try:
            run.step(op)
        except (AssertionError, OSError, RctlError, KeyError, ValueError) as wrong:
            few, told = shortest(world, machine, list(run.last), _SHRINKING)
            lines = "\n".join(f"  {one}" for one in few[-40:])
            what = f"seed {SEED}, operation {done + 1}: {type(wrong).__name__}: {wrong}"
            pytest.fail(f"{what}\nThe same, or another one, in a few operations:\n{lines}\n{told}")
        if not op.killed:
            for what, amount in run.spent._asdict().items():
                spent[op.verb, what].append(amount)
        if done + 1 == max(100, COUNT // 2):
            first = resident(), descriptors()
        if (done + 1) % 500 == 0:
            held = f"{resident() >> 10} KiB, {descriptors()} descriptors"
            cost = f"set takes {median(spent['set', 'seconds'][-200:]) * 1000:.1f} ms"
            print(f"{done + 1}: {held}, {run.refused} refused, {run.kills} killed, {cost}", flush=True)
    print(f"{dict(begun)}, {run.refused} refused, {run.kills} killed")
    assert first
    assert resident() - first[0] < 2 << 20
    assert descriptors() <= first[1]
    assert state_is_bounded()
    for (verb, what), amounts in spent.items():
        fifth = len(amounts) // 5
        if fifth >= 100:
            early, late = mean(amounts[:fifth]), mean(amounts[-fifth:])
            print(f"{verb}: {what}: {early:.4g} on average at first, {late:.4g} at last, {len(amounts)} times")
            if what != "seconds":  # a busy machine's prove nothing
                assert late < _MORE * early + _chance(amounts[:fifth], amounts[-fifth:]), (verb, what)
    world.begin()


def _chance(early: Sequence[float], late: Sequence[float]) -> float:
    """By how much two averages may differ by chance: three standard errors. A copy of one limit is no copy of ten."""
    return 3 * ((variance(early) + variance(late)) / len(early)) ** 0.5


def state_is_bounded() -> bool:
    """No journal, one lock file, and no more parts of the history than its size asks for."""
    with default_state() as state:
        folder = state.folder(state.keep)
        names = set(os.listdir(folder))
        files = ("history.jsonl", "failures.jsonl")
        numbered = {part for name in files for part in parts(folder, name)}
        large = all(os.stat(part, dir_fd=folder).st_size >= _PART for part in numbered)
        return names <= {"run", *files, *numbered} and large and set(os.listdir(state.run)) <= {"journal", "lock"}
