"""On a host that systemd runs, rctl writes below delegated units only; what is above them is systemd's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rctl.adjust.engine import adjust
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State
from rctl.cgroupfs import marks, ve_cgroups
from rctl.cgroupfs.tree import Tree
from rctl.errors import NotAvailableError
from rctl.systemd import bus
from tests.unit.fake_kernel import FakeKernel, limits, state_folder

UNIT = "/system.slice/app.service"
VE = f"{UNIT}/web1"


@dataclass
class Bench:
    """A host that systemd runs, with one delegated unit; no controllers are enabled."""

    kernel: FakeKernel
    tree: Tree
    state: State

    @property
    def site(self) -> Site:
        return Site(self.tree, self.kernel.host, self.state)

    def enable(self, *cgroups: str) -> None:
        """As systemd or the unit's owner would."""
        for path in cgroups:
            self.kernel.put(path, "cgroup.subtree_control", "+pids")

    def set(self, path: str) -> None:
        adjust(self.site, {path: limits({"pids.max": 5}, self.kernel.host)})

    def refusal(self, path: str) -> str:
        before = self.kernel.limits()
        with pytest.raises(NotAvailableError) as caught:
            self.set(path)
        assert self.kernel.limits() == before
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    kernel = FakeKernel()
    kernel.make(VE, enable=False)
    with state_folder() as state, kernel.installed() as tree:
        monkeypatch.setattr(ve_cgroups, "BOOTED", str(tmp_path))
        monkeypatch.setattr(marks, "delegated", lambda cgroup: cgroup.path == UNIT)
        yield Bench(kernel, tree, state)


def test_controllers_are_enabled_in_a_delegated_unit_and_below(bench: Bench) -> None:
    bench.enable("/", "/system.slice")
    bench.set(VE)
    assert bench.kernel.get(UNIT, "cgroup.subtree_control") == "pids"
    bench.kernel.make(f"{VE}/below", enable=False)
    bench.set(f"{VE}/below")
    assert bench.kernel.get(VE, "cgroup.subtree_control") == "pids"


@pytest.mark.parametrize(("enabled", "where"), [((), "/"), (("/",), "/system.slice")])
def test_above_it_they_are_systemds_to_enable(bench: Bench, enabled: tuple[str, ...], where: str) -> None:
    bench.enable(*enabled)
    assert bench.refusal(VE) == (
        f"pids.max: the pids controller is not enabled in {where}, which is systemd's to do. "
        f"Let a unit need it, such as by Delegate=pids in the unit above {VE}, or by pids.max on it"
    )


def test_controllers_that_systemd_leaves_alone_are_enabled_all_the_way(bench: Bench) -> None:
    adjust(bench.site, {VE: limits({"hugetlb.2MB": "4M"}, bench.kernel.host)})
    assert [bench.kernel.get(at, "cgroup.subtree_control") for at in ("/", "/system.slice", UNIT)] == ["hugetlb"] * 3


def test_without_systemd_they_are_enabled_all_the_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ve_cgroups, "BOOTED", "/nowhere")
    bench.set(VE)
    assert bench.kernel.get(VE, "pids.max") == "5"


def test_a_unit_itself_is_systemds_which_is_asked(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "PRIVATE", str(tmp_path / "private"))  # nobody listens there
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert bench.refusal(UNIT).startswith(f"systemd cannot be reached at {tmp_path}/private: ")


@pytest.mark.parametrize("path", ["/", "/app"])
def test_what_lies_outside_any_delegated_unit_is_refused_with_what_has_limits(bench: Bench, path: str) -> None:
    bench.kernel.make("/app", enable=False)
    assert bench.refusal(path) == (
        f"{path}: lies outside any delegated unit on a host that systemd runs. "
        "Name a unit, such as system.slice or user:NAME, or a cgroup below a unit with Delegate=yes"
    )


def test_a_ve_outside_any_delegated_unit_is_in_the_wrong_place(bench: Bench) -> None:
    bench.kernel.make("/rctl-web1", enable=False)
    assert bench.refusal("web1") == (
        "/rctl-web1: lies outside any delegated unit on a host that systemd runs. "
        "Unset RCTL_TREE, or set it to a cgroup below a unit with Delegate=yes"
    )
