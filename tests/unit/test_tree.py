"""Names, patterns and paths: which cgroup is meant, and that none outside the tree ever is."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.mounts import Mount
from rctl.cgroupfs.tree import Tree, check_path
from rctl.cgroupfs.ve_cgroups import Naming
from rctl.errors import GoneError, KernelError, NotAvailableError, NotFoundError, UsageError
from rctl.names.patterns import match, shown
from tests.unit.fake_kernel import FakeKernel

BELOW = Tree(Cgroup("/", -1), Naming("/some/cgroup", ""))
TOP = Tree(Cgroup("/", -1))


@pytest.fixture
def kernel() -> FakeKernel:
    return FakeKernel()


@pytest.fixture
def tree(kernel: FakeKernel) -> Iterator[Tree]:
    for path in ("/rctl-web1", "/rctl-web2", "/rctl-db", "/system.slice/nginx.service", "/system.slice/ssh.service"):
        kernel.make(path)
    kernel.make("/rctl-web1/app")
    with kernel.installed() as tree:
        yield tree


# Names


def test_a_managed_ve_lies_directly_below_the_root() -> None:
    assert TOP.path("web1") == "/rctl-web1"


def test_with_a_place_of_its_own_it_lies_there() -> None:
    assert BELOW.path("web1") == "/some/cgroup/web1"


def test_a_foreign_ve_is_named_by_its_path() -> None:
    assert TOP.path("/system.slice/nginx.service") == "/system.slice/nginx.service"


@pytest.mark.parametrize("tree", [TOP, BELOW])
@pytest.mark.parametrize("name", ["web1", "a.b", "x@1", "A-b_c+d"])
def test_a_name_and_its_path_are_one(tree: Tree, name: str) -> None:
    assert tree.name(tree.path(name)) == name


def test_a_path_that_is_not_rctls_is_its_own_name() -> None:
    assert TOP.name("/system.slice/nginx.service") == "/system.slice/nginx.service"
    assert TOP.name("/rctl-web1/app") == "/rctl-web1/app"


BAD_NAMES = ["", ".", "..", "../x", "a/b", "a b", "-a", ".hidden", "a\n", "ä", "a" * 65, "a\0", "\udcff", "a\\b"]
BAD_PATHS = ["/..", "/a/../b", "/a//b", "/./a", "/a\nb", "/a\0", "/" + "a" * 256, "/a" * 3000, "/\udcff"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_what_could_be_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not a VE's name"):
        TOP.path(name)


@pytest.mark.parametrize("path", BAD_PATHS)
def test_what_could_be_no_path_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="not a cgroup path"):
        TOP.path(path)


PIECES = st.sampled_from(["a", "..", ".", "/", "//", "rctl-", "\0", "\n", " ", "ä", "-", "web1", "\\", "*"])
TRICKY = st.one_of(st.text(max_size=12), st.lists(PIECES, max_size=8).map("".join))


@settings(derandomize=True, database=None, deadline=None, max_examples=500)
@given(TRICKY, st.sampled_from([TOP, BELOW]))
def test_no_name_that_is_accepted_ever_leaves_the_tree(name: str, tree: Tree) -> None:
    try:
        path = tree.path(name)
    except UsageError:
        return
    parts = path.split("/")
    assert parts[0] == ""
    assert path == "/" or not {"", ".", ".."} & set(parts[1:])
    assert not any(ord(letter) < 32 for letter in path)
    if not name.startswith("/"):
        assert path == f"{tree.base.rstrip('/')}/{tree.naming.prefix}{name}"
        assert "/" not in name


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(TRICKY)
def test_a_path_in_normal_form_stays_as_it_is(text: str) -> None:
    try:
        path = check_path(text, "VE")
    except UsageError:
        return
    assert check_path(path, "VE") == path


# Opening


def test_a_ve_is_opened_by_name_or_by_path(tree: Tree) -> None:
    with tree.open_ve("web1") as by_name, tree.open_ve("/rctl-web1") as by_path:
        assert by_name.ino == by_path.ino


def test_a_ve_that_is_not_there_is_named(tree: Tree) -> None:
    with pytest.raises(NotFoundError, match="web9"):
        tree.open_ve("web9")


def test_the_root_can_be_opened(tree: Tree) -> None:
    with tree.walk("/") as root:
        assert root.path == "/"


def test_a_file_is_no_ve(tree: Tree) -> None:
    with pytest.raises(NotFoundError):
        tree.open_ve("/cgroup.procs")


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "mount").mkdir()
    (tmp_path / "mount" / "rctl-x").symlink_to(tmp_path / "out")
    root = Cgroup("/", os.open(tmp_path / "mount", os.O_RDONLY | os.O_DIRECTORY))
    with Tree(root) as real, pytest.raises(NotFoundError, match="link"):
        real.walk("/rctl-x")


# Patterns


def test_the_managed_ves_are_listed_in_order(tree: Tree) -> None:
    assert tree.names() == ["db", "web1", "web2"]


def test_a_place_that_is_not_made_yet_has_no_ves(tree: Tree) -> None:
    assert Tree(tree.root, Naming("/nowhere", "")).names() == []


def test_a_pattern_takes_all_that_match(tree: Tree) -> None:
    assert match(tree, ["web*"]) == ["web1", "web2"]


def test_a_pattern_of_a_path_does_not_cross_a_slash(tree: Tree) -> None:
    assert match(tree, ["/system.slice/*.service"]) == ["/system.slice/nginx.service", "/system.slice/ssh.service"]
    assert "/rctl-web1/app" not in match(tree, ["/*"])


def test_each_ve_comes_once_in_the_order_given(tree: Tree) -> None:
    assert match(tree, ["web2", "web*", "/rctl-web1", "web2"]) == ["web2", "web1"]


@pytest.mark.parametrize("pattern", ["/**", "/system.slice/**", "/**/a"])
def test_two_stars_are_refused_and_not_taken_for_one_level(tree: Tree, pattern: str) -> None:
    with pytest.raises(UsageError, match=r"\*\* is not allowed here. Write \* for each level"):
        match(tree, [pattern])


@pytest.mark.parametrize("pattern", ["nope*", "/nope/*", "[", "/../*", "/*/../*", "?"])
def test_a_pattern_that_matches_nothing_is_named(tree: Tree, pattern: str) -> None:
    with pytest.raises(NotFoundError, match="no VE matches"):
        match(tree, [pattern])


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(["/", "*", "..", ".", "?", "[a]", "rctl-web1", "app"]), max_size=6).map("".join))
def test_no_pattern_ever_leaves_the_tree(pattern: str) -> None:
    kernel = FakeKernel()
    kernel.make("/rctl-web1/app")
    known = {node.path for node in kernel.root.family()}
    with kernel.installed() as tree:
        try:
            found = match(tree, [pattern])
        except (NotFoundError, UsageError):
            return
        assert {tree.path(name) for name in found if "*" in pattern or "?" in pattern} <= known


def test_a_name_that_cannot_be_printed_is_passed_over(tree: Tree, kernel: FakeKernel) -> None:
    for name in ("evil\x1b[2J", "evil\udcff", "evil"):
        kernel.make(f"/user.slice/{name}/below", enable=False)
    assert match(tree, ["/user.slice/*"]) == ["/user.slice/evil"]
    assert match(tree, ["/user.slice/*/below"]) == ["/user.slice/evil/below"]


# What the kernel's answers mean


def test_a_device_that_is_none_does_not_mean_that_the_ve_is_gone(tree: Tree, kernel: FakeKernel) -> None:
    kernel.broken = lambda operation: errno.ENODEV if operation.kind == "write" else None
    with tree.open_ve("web1") as ve, pytest.raises(KernelError, match=r"io\.weight: .* ENODEV: .* a partition"):
        ve.write("io.weight", "8:1 50")


def test_a_controller_that_was_disabled_meanwhile_does_not_mean_it_either(tree: Tree, kernel: FakeKernel) -> None:
    with tree.open_ve("web2") as ve:
        ve.edit("pids.max")
        for above in ("/system.slice", "/rctl-web1", "/"):
            if "pids" in kernel.get(above, "cgroup.subtree_control"):
                kernel.put(above, "cgroup.subtree_control", "-pids")
        with pytest.raises(NotAvailableError, match="its controller is not enabled"):
            ve.read("pids.max")


@pytest.mark.parametrize("file", ["io.weight", "io.max", "memory.max"])
def test_of_a_ve_that_was_removed_every_file_says_so(tree: Tree, kernel: FakeKernel, file: str) -> None:
    with tree.open_ve("web2") as ve:
        ve.edit(file)
        kernel.remove("/rctl-web2")
        with pytest.raises(GoneError, match="was removed meanwhile"):
            ve.write(file, "max")


def test_a_bad_place_of_rctls_own_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RCTL_TREE", "../etc")
    with pytest.raises(UsageError, match=r"RCTL_TREE '\.\./etc'"):
        Tree.open()


# What is mounted over a VE


def test_a_covered_ve_is_left_out_and_told_unless_it_was_asked_for_by_name(tree: Tree) -> None:
    tree.mount = Mount("/sys/fs/cgroup", over=("/rctl-web1",))
    heard: list[str] = []
    assert shown(tree, ["db", "web1", "/rctl-web1/app"], ["*", "/*/*"], heard.append) == ["db"]
    why = "another file system is mounted over /sys/fs/cgroup/rctl-web1. Unmount it, see findmnt"
    assert heard == [f"web1: left out: {why}", f"/rctl-web1/app: left out: {why}"]
    assert shown(tree, ["db", "web1"], ["db", "/rctl-web1"], heard.append) == ["db", "web1"]


def test_a_label_is_found_beside_a_covered_ve(tree: Tree) -> None:
    tree.mount = Mount("/sys/fs/cgroup", over=("/rctl-web1",))
    heard: list[str] = []
    with pytest.raises(NotFoundError, match="no VE has such a label"):
        match(tree, ["label:env=prod"], heard.append)
    assert len(heard) == 1
