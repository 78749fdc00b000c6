"""Caveats about lists of CPUs and partitions: sentences for rows of ``caveats``."""

from __future__ import annotations

from collections.abc import Iterator

from ...controllers import cpuset
from ...ranges import Ranges
from ..steps import Set
from .context import Surroundings


def offline(step: Set, around: Surroundings) -> str | None:
    wanted = set(Ranges.parse(step.new).numbers)
    if (text := around.text(step.path, f"{step.file}.effective")) is None:
        return None  # the controller is disabled again
    effective = Ranges.parse(text)
    if wanted <= set(effective.numbers) or wanted <= {*effective.numbers, *_in_partitions(step, around)}:
        return None
    if wanted.isdisjoint(effective.numbers):
        return (
            f"{step.path}: {step.file} is {step.new}, and all of it is offline or not the parent's: "
            f"{effective} is in effect, as if it were empty"
        )
    rest = "the rest is offline or not the parent's"
    return f"{step.path}: {step.file} is {step.new}; only {effective} is in effect, {rest}"


def _in_partitions(step: Set, around: Surroundings) -> Iterator[int]:
    """The CPUs of partitions below; they still count as the VE's."""
    for path, text in around.children(step.path, cpuset.PARTITION.name):
        if step.file == cpuset.CPUS.name and text.strip() in ("root", "isolated"):
            yield from Ranges.parse(around.text(path, cpuset.CPUS.name) or "").numbers


def partition_below_lost(step: Set, around: Surroundings) -> str | None:
    """A partition below needs a partition above it, and some of its CPUs."""
    if step.file == cpuset.CPUS.name and not cpuset.CPUS.lowers(step.old, step.new):
        return None
    for path, text in around.children(step.path, cpuset.PARTITION.name):
        if cpuset.INVALID in text:
            return f"{path}: its partition is now {text.strip()}. Make {step.path} a partition with these CPUs again"
    return None


def partition_lost(step: Set, around: Surroundings) -> str | None:
    """CPUs that a sibling takes make a partition invalid, up to Linux 6.12; Linux 7 leaves them to the partition."""
    if not around.partitions:
        return None
    wanted = set(Ranges.parse(step.new).numbers)
    lost: list[str] = []
    theirs: set[int] = set()
    for path, valid in around.partitions.items():
        text = (around.text(path, cpuset.PARTITION.name) or "").strip()
        if not valid or path == step.path or cpuset.INVALID not in text:
            continue
        held = Ranges.parse(around.text(path, cpuset.CPUS.name) or "").numbers
        if path.rpartition("/")[0] == step.path.rpartition("/")[0] and wanted.intersection(held):
            lost.append(f"{path}: its partition is now {text}")
            theirs |= {*held}
    return f"{'; '.join(lost)}. Give {step.path} other CPUs than {Ranges(tuple(theirs))}" if lost else None


def own_partition_lost(step: Set, around: Surroundings) -> str | None:
    """A list that leaves no CPU to the cgroup above, or, up to Linux 6.12, shares CPUs with a sibling's list."""
    if (valid := around.partitions.get(step.path)) is None:
        return None
    text = (around.text(step.path, cpuset.PARTITION.name) or "").strip()
    if cpuset.INVALID not in text or cpuset.waits(text):
        return None
    return (
        f"{step.path}: its partition is {'now' if valid else 'still'} {text}. "
        "Give it other CPUs, or set cpuset.partition=member"
    )


def waits(step: Set, around: Surroundings) -> str | None:
    now = (around.text(step.path, step.file) or "").strip()
    if not cpuset.waits(now):
        return None
    return f"{step.path}: {step.file} is {now}: it takes effect when the cgroup above is a partition, too"


def no_partition(step: Set, around: Surroundings) -> str | None:
    if not step.new or around.entry(step.path, cpuset.PARTITION.name) != "member":
        return None
    return (
        f"{step.path}: {step.file} is {step.new}, and takes effect with a partition alone. "
        "Set cpuset.partition to root or isolated"
    )
