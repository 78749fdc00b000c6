"""Partitions beside a VE that gets or gives up CPUs. What the kernel makes of them is in tests/kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rctl.adjust.engine import Options, adjust
from rctl.adjust.site import Site
from rctl.adjust.steps import Renew
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.ve.remove import remove_all
from tests.unit.fake_kernel import FakeKernel, limits, state_folder

PARTITION = "cpuset.cpus.partition"
INVALID = "root invalid (Cpu list in cpuset.cpus not exclusive)"


@pytest.fixture
def kernel() -> FakeKernel:
    """A VE with CPU 1, and an invalid partition with the same CPU."""
    kernel = FakeKernel()
    for path in ("/rctl-web1", "/rctl-web2"):
        kernel.make(path)
        kernel.put(path, "cpuset.cpus", "1")
    kernel.node("/rctl-web2").files[PARTITION] = INVALID
    return kernel


@pytest.fixture
def site(kernel: FakeKernel) -> Iterator[Site]:
    with kernel.installed() as tree, state_folder() as state:
        yield Site(tree, kernel.host, state)


def renewed(site: Site, wanted: dict[str, str]) -> list[str]:
    """The partitions that a change of web1 has the kernel look at again."""
    asked = {"web1": limits(wanted, site.host)}
    account = adjust(site, asked, Options())
    return [step.path for one in account.outcomes for step in one.steps if isinstance(step, Renew)]


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        ({"cpuset.cpus": "0"}, True),
        ({"cpuset.cpus": ""}, True),
        ({"cpuset.cpus": "0-1"}, False),
        ({"pids.max": "9"}, False),
    ],
)
def test_a_list_that_gives_up_the_cpus_has_the_kernel_look_again(
    kernel: FakeKernel, site: Site, wanted: dict[str, str], seen: bool
) -> None:
    assert renewed(site, wanted) == ["/rctl-web2"] * seen
    assert kernel.get("/rctl-web2", PARTITION) == ("root" if seen else INVALID)


def test_so_does_a_ve_that_goes(kernel: FakeKernel, site: Site) -> None:
    remove_all(site, ["web1"], Options())
    assert kernel.get("/rctl-web2", PARTITION) == "root"


def test_a_partition_that_goes_itself_is_not_looked_at(site: Site) -> None:
    account = remove_all(site, ["web1", "web2"], Options())
    assert [step for one in account.outcomes for step in one.steps if isinstance(step, Renew)] == []


def test_a_removal_without_lists_looks_at_no_other_ve(kernel: FakeKernel, site: Site) -> None:
    """Operations on files, counted, with few VEs beside it and with many."""
    counts = []
    for number in (0, 2, 100):  # the first one makes the history
        for one in range(number):
            kernel.make(f"/rctl-n{number}-{one}")
        kernel.make("/rctl-plain")
        begin = len(kernel.operations)
        remove_all(site, ["plain"], Options())
        counts.append(len(kernel.operations) - begin)
    assert counts[1] == counts[2]


def test_a_partition_that_the_caller_may_not_write_is_left_as_it_is(
    kernel: FakeKernel, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    may = Cgroup.may_write
    monkeypatch.setattr(Cgroup, "may_write", lambda ve, name: ve.path != "/rctl-web2" and may(ve, name))
    assert renewed(site, {"cpuset.cpus": "0"}) == []
    assert (kernel.get("/rctl-web1", "cpuset.cpus"), kernel.get("/rctl-web2", PARTITION)) == ("0", INVALID)


def test_a_partition_that_is_removed_meanwhile_stops_nothing(
    kernel: FakeKernel, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Tree.walk

    def walked(tree: Tree, path: str) -> Cgroup:
        if path == "/rctl-web2" and "rctl-web2" in kernel.root.children:
            kernel.remove(path)
        return walk(tree, path)

    monkeypatch.setattr(Tree, "walk", walked)
    assert renewed(site, {"cpuset.cpus": "0"}) == []
    assert kernel.get("/rctl-web1", "cpuset.cpus") == "0"
