"""Many VEs below a delegated unit cost as many calls for each VE as at the root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rctl.adjust import owner
from rctl.adjust.planning import intended
from rctl.adjust.request import Around, Wish
from rctl.cgroupfs.cgroup import _DIRECTORY, Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.cgroupfs.ve_cgroups import Naming

UNIT = "system.slice/ours.service"


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the folders that are opened within."""
    names: list[str] = []
    really = os.open

    def opened(name: str, flags: int, *rest: int, dir_fd: int | None = None) -> int:
        names.append(name)
        return really(name, flags, *rest, dir_fd=dir_fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", opened)
        yield names


def test_below_a_unit_each_ve_is_opened_once_and_the_unit_is_asked_once_for_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"ve{number}" for number in range(200)]
    for name in names:
        (tmp_path / UNIT / "ves" / name).mkdir(parents=True)
    monkeypatch.setattr(owner, "applies", lambda: True)
    monkeypatch.setattr("rctl.cgroupfs.marks.delegated", lambda cgroup: cgroup.path == f"/{UNIT}")
    with Tree(Cgroup("/", os.open(tmp_path, _DIRECTORY)), Naming(f"/{UNIT}/ves", "")) as tree:
        ves: list[Cgroup] = []
        with counted(monkeypatch) as opened:
            tree.open_ves(names, ves)
            found = intended.allowed(tree, [Wish(name, []) for name in names], ves, Around(), runtime=False)
        assert [ve.path for ve in ves] == [f"/{UNIT}/ves/{name}" for name in names]
        assert [ve.ino for ve in ves] == [os.stat(tmp_path / UNIT / "ves" / name).st_ino for name in names]
        assert {tuple(writer.NAME for writer in each) for each in found.values()} == {("files",)}
        for ve in ves:
            ve.close()
    assert len([name for name in opened if name in names]) == 200
    assert len(opened) < 200 + 20
