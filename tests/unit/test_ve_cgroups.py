"""Where rctl's own VEs lie, and how their cgroups are called, with and without systemd."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rctl.cgroupfs import ve_cgroups
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.cgroupfs.ve_cgroups import Naming, is_unit
from rctl.formats import VE_NAME

USER = "/user.slice/user-1000.slice/user@1000.service"
PLAIN, BELOW = Naming(), Naming("/a", "")
OF_ROOT, OF_USER = Naming(suffix=".service"), Naming(USER, suffix=".service")
UNIT_NAME = re.compile(r"[A-Za-z0-9:_.\\-]+\.service")
"""A unit that is no template and no instance: systemd.unit(5)."""


@pytest.mark.parametrize(
    ("naming", "path"),
    [
        (PLAIN, "/rctl-web1"),
        (OF_ROOT, "/rctl-web1.service"),
        (OF_USER, f"{USER}/rctl-web1.service"),
        (BELOW, "/a/web1"),
    ],
)
def test_a_ve_has_one_path_and_the_path_one_name(naming: Naming, path: str) -> None:
    tree = Tree(Cgroup("/", -1), naming)
    assert tree.path("web1") == path
    assert tree.managed(path) == tree.name(path) == "web1"
    assert tree.managed(f"{path}/below") == ""


def test_what_no_unit_may_be_called_is_escaped() -> None:
    assert OF_ROOT.component("a@b+c") == r"rctl-a\x40b\x2bc.service"
    assert PLAIN.component("a@b+c") == "rctl-a@b+c"


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(st.from_regex(VE_NAME.pattern, fullmatch=True), st.sampled_from([PLAIN, OF_ROOT, OF_USER, BELOW]))
def test_every_name_can_be_read_from_its_cgroup(name: str, naming: Naming) -> None:
    component = naming.component(name)
    assert naming.name(component) == name
    assert not naming.suffix or UNIT_NAME.fullmatch(component)


@pytest.mark.parametrize(
    "path", ["/rctl-web1", "/system.slice/rctl-exporter.service", "/rctl-.service", "/rctl-web1.slice"]
)
def test_other_cgroups_are_none_of_its_ves(path: str) -> None:
    assert Tree(Cgroup("/", -1), OF_ROOT).managed(path) == ""


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("/rctl-web1.service", True),
        (f"{USER}/rctl-web1.service", True),
        (f"{USER}/app.slice/rctl-web1.service", False),
        ("/user.slice/user-1000.slice/user@1001.service/rctl-web1.service", False),
        ("/rctl-web1.service/below", False),
        ("/system.slice/rctl-exporter.service", False),
        ("/rctl-web1", False),
    ],
)
def test_a_path_says_whether_it_is_the_unit_of_a_ve(path: str, is_one: bool) -> None:
    assert is_unit(path) is is_one


@pytest.mark.parametrize(
    ("booted", "uid", "manager", "naming"),
    [
        (False, 0, False, PLAIN),
        (False, 1000, True, PLAIN),
        (True, 0, True, OF_ROOT),
        (True, 1000, True, OF_USER),
        (True, 1000, False, OF_ROOT),
    ],
)
def test_the_usual_place(
    booted: bool, uid: int, manager: bool, naming: Naming, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {True: str(tmp_path), False: str(tmp_path / "none")}
    monkeypatch.setattr(ve_cgroups, "BOOTED", there[booted])
    monkeypatch.setattr(ve_cgroups, "USER_MANAGER", there[manager])
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert ve_cgroups.usual() == naming
