"""Lean VEs: pressure accounting off where the kernel can, a note where it cannot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rctl.cgroupfs.cgroup import Cgroup
from rctl.errors import UsageError
from rctl.limits import Limits
from rctl.ve import lean

Made = Callable[..., Cgroup]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """A VE with the files named."""
    opened: list[Cgroup] = []

    def make(*files: str) -> Cgroup:
        for name in files:
            (tmp_path / name).write_text("1\n")
        opened.append(Cgroup("/web1", os.open(tmp_path, os.O_RDONLY)))
        return opened[-1]

    yield make
    for cgroup in opened:
        cgroup.close()


def test_pressure_accounting_is_turned_off_beside_the_other_limits(made: Made) -> None:
    limits, note = lean.of(Limits(files={"memory.high": "max"}), made("cgroup.pressure"))
    assert limits.files == {"memory.high": "max", "cgroup.pressure": "0"}
    assert note == ""


def test_a_kernel_that_cannot_is_a_note_and_no_error(made: Made) -> None:
    asked = Limits(files={"memory.high": "max"})
    limits, note = lean.of(asked, made())
    assert limits == asked
    assert note.startswith("--lean: this kernel has no cgroup.pressure (it came with Linux 6.1)")


def test_the_opposite_wish_is_refused(made: Made) -> None:
    with pytest.raises(UsageError, match="the opposite"):
        lean.of(Limits(files={"cgroup.pressure": 1}), made("cgroup.pressure"))


@pytest.mark.parametrize("zero", ["0", 0, "0\n"])
def test_the_same_wish_given_twice_is_one(made: Made, zero: str | int) -> None:
    limits, _ = lean.of(Limits(files={"cgroup.pressure": zero}), made("cgroup.pressure"))
    assert limits.files == {"cgroup.pressure": "0"}
