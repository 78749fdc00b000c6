"""The walk over a subtree: each cgroup down and up, one descriptor at a time, and who is left out is not entered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.cgroupfs.walk import walk
from tests.unit.fake_kernel import FakeKernel


@pytest.fixture
def kernel() -> FakeKernel:
    """A cgroup with two below it, one of which has another."""
    kernel = FakeKernel()
    for path in ("/a/b/c", "/a/d"):
        kernel.make(path)
    return kernel


@pytest.fixture
def tree(kernel: FakeKernel) -> Iterator[Tree]:
    with kernel.installed() as tree:
        yield tree


def test_each_cgroup_comes_down_before_and_up_after_those_inside_it(tree: Tree) -> None:
    with tree.walk("/a") as top:
        found = [(cgroup.path, down) for cgroup, down in walk(top, Cgroup.child, Cgroup.children)]
    assert found[0] == ("/a", True)
    assert found[-1] == ("/a", False)
    assert found.index(("/a/b", True)) + 1 == found.index(("/a/b/c", True))
    assert found.index(("/a/b/c", False)) + 1 == found.index(("/a/b", False))
    assert ("/a/d", True) in found


def test_one_that_is_not_to_be_entered_is_left_out_with_all_below(tree: Tree) -> None:
    def enter(here: Cgroup, name: str) -> Cgroup | None:
        return None if name == "b" else here.child(name)

    with tree.walk("/a") as top:
        assert [cgroup.path for cgroup, down in walk(top, enter, Cgroup.children) if down] == ["/a", "/a/d"]


def test_one_descriptor_is_open_at_a_time_and_none_after_a_walk_that_ends_early(kernel: FakeKernel, tree: Tree) -> None:
    with tree.walk("/a") as top:
        before = len(kernel.fds)
        steps = walk(top, Cgroup.child, Cgroup.children)
        for cgroup, _ in steps:
            assert len(kernel.fds) <= before + 1
            if cgroup.path == "/a/b/c":
                break
        assert len(kernel.fds) == before + 1
        steps.close()  # type: ignore[attr-defined]
        assert len(kernel.fds) == before
