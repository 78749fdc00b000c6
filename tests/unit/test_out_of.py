"""Where no file can be opened any more, that is said; nothing counts as absent for it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import psutil
import pytest

from rctl.adjust.lifecycle import remove
from rctl.cgroupfs import cgroup_limits, files
from rctl.cgroupfs.cgroup import Cgroup
from rctl.doctor.host_files import Machine
from rctl.errors import KernelError, NotAvailableError
from rctl.host import Host
from rctl.ve import processes
from tests.unit.few_files import few_open_files


def host(number: int) -> Host:
    """A host that tells its CPUs and answers this errno to all else."""

    def read(path: str) -> str:
        if path.endswith("/cpu/online"):
            return "0-1\n"
        raise OSError(number, os.strerror(number), path)

    return Host(read)


FACTS: dict[str, tuple[Callable[[Host], object], object]] = {
    "zswap": (lambda host: host.zswap, False),
    "arrays": (lambda host: host.arrays, {}),
    "nodes": (lambda host: host.nodes, {0: (0, 1)}),
}


@pytest.mark.parametrize("fact", FACTS)
def test_a_host_lacks_nothing_for_want_of_open_files(fact: str) -> None:
    look, absent = FACTS[fact]
    assert look(host(errno.ENOENT)) == absent
    with pytest.raises(OSError, match="Too many open files"):
        look(host(errno.EMFILE))


LOOKS: dict[str, Callable[[], object]] = {
    "doctor reads": lambda: Machine().read("/proc/self/mountinfo"),
    "doctor lists": lambda: Machine().names("/sys/block"),
    "ps": lambda: processes._process("web1", os.getpid()),
}


@pytest.mark.parametrize("look", LOOKS)
def test_what_is_there_is_not_left_out_for_want_of_open_files(look: str) -> None:
    psutil.Process().oneshot()  # loaded by now
    assert LOOKS[look]() is not None
    with few_open_files(0), pytest.raises(OSError, match="Too many open files"):
        LOOKS[look]()


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Cgroup]:
    """A cgroup 40 levels below the root, as plain folders without a limit."""
    names = [str(level) for level in range(40)]
    for depth in range(len(names) + 1):
        place = tmp_path.joinpath(*names[:depth])
        place.mkdir(exist_ok=True)
        (place / "cgroup.stat").write_text("nr_descendants 1\n")
        (place / "cgroup.procs").touch()
    place.joinpath("cpu.max").write_text("max 100000\n")
    tmp_path.joinpath("0", "cpu.max").write_text("1000 100000\n")
    with Cgroup("/" + "/".join(names), os.open(place, os.O_RDONLY)) as cgroup:
        yield cgroup


def test_a_deep_ve_needs_few_open_files_to_name_what_is_above_it(deep: Cgroup) -> None:
    refused = KernelError(deep.path, "", "", errno.EAGAIN)
    before = os.listdir("/proc/self/fd")
    with few_open_files(4):
        assert "of a cgroup above this namespace is reached" in str(cgroup_limits.explained(deep, "x", refused))
        assert remove._why_not_dead(deep) == "cpu.max of /0 slows their end. Lift it, or raise --deadline"
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("soft", "hard", "descriptors", "becomes"),
    [
        (1024, 4096, 15, 1024),
        (20, 4096, 15, 271),
        (40, 40, 15, 40),
        (20, 4096, 48, 304),
        (20, 100, 48, 100),
        (1024, 4096, 500, 1024),
        (1024, 4096, 1000, 1256),
        (1024, 1100, 1000, 1100),
    ],
)
def test_room_is_made_for_few_descriptors_too(soft: int, hard: int, descriptors: int, becomes: int) -> None:
    limits = [(soft, hard)]
    with (
        mock.patch.object(files.resource, "getrlimit", side_effect=lambda _: limits[-1]),
        mock.patch.object(files.resource, "setrlimit", side_effect=lambda _, pair: limits.append(pair)),
        mock.patch.object(files, "_former", None),
        mock.patch.object(files, "_open_below", return_value=8),
    ):
        files.raise_file_limit(descriptors)
        assert limits[-1] == (becomes, hard)
        files.put_file_limit_back()  # before a command starts, which is to have the limit that its user gave
    assert limits[-1] == (soft, hard)


@pytest.mark.parametrize(("hard", "descriptors", "least"), [(30, 7, 31), (20, 48, 72), (1024, 1009, 1033)])
def test_too_many_descriptors_for_the_hard_limit_are_named(hard: int, descriptors: int, least: int) -> None:
    with (
        mock.patch.object(files.resource, "getrlimit", return_value=(hard, hard)),
        mock.patch.object(files, "_open_below", return_value=8),
        pytest.raises(
            NotAvailableError, match=f"^open files: {least} needed .*, and the hard limit is {hard}. Raise it"
        ),
    ):
        files.raise_file_limit(descriptors)


def test_open_files_are_counted_without_one_more() -> None:
    with few_open_files(0):
        before = files._open_below(1 << 12)
    with open(os.devnull, "rb"):
        assert files._open_below(1 << 12) == before + 1
    assert files._open_below(0) == 0
