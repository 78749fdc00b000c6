"""Several cgroup2 mounts, as in a container that has the host's beside its own: rctl works on its own one."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rctl.cgroupfs.tree import Tree
from rctl.errors import NotAvailableError
from tests.kernel.helpers import MOUNT, Ve
from tests.kernel.shell import Done, forked, load_for_all, rctl
from tests.kernel.workload import sleeper

OWN = "mount -t cgroup2 none /mnt"
"""The namespace's own mount beside the host's, which comes first in the list of mounts."""
_NEW_MOUNTS, _NEW_CGROUPS = 0x00020000, 0x02000000  # clone(2)'s flags


@pytest.fixture(autouse=True)
def _in_the_lab(as_root: None) -> None:
    """Mounts and namespaces need rights over the whole machine."""


@pytest.fixture
def box(place: Path) -> Path:
    """The cgroup that is the root of a cgroup namespace."""
    path = place / "box"
    path.mkdir()
    return path


Inside = Callable[..., Done]


@pytest.fixture
def inside(box: Path) -> Inside:
    """Runs commands, one after the other, with the box as their cgroup namespace, and mounts of their own.

    What they print is printed, and the last one's status is the whole's. `$$` is the process that runs them.
    """

    def run(*commands: str, **env: str) -> Done:
        load_for_all()  # to start Python anew for each costs seconds
        return forked(lambda: _unshared(box, commands, env))

    return run


def _unshared(box: Path, commands: tuple[str, ...], env: dict[str, str]) -> None:
    (box / "cgroup.procs").write_text("0")
    assert ctypes.CDLL(None).unshare(_NEW_MOUNTS | _NEW_CGROUPS) == 0
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    os.environ.update(env)
    for command in commands:
        words = command.replace("$$", str(os.getpid())).split()
        if words[0] == "rctl":
            done = rctl(*words[1:])
            print(done.out, end="")
            print(done.err, end="", file=sys.stderr)
            status = done.status
        else:
            status = subprocess.run(words, check=True).returncode
    sys.exit(status)


def test_wrong_mount_a_ve_is_made_below_the_containers_own_root(inside: Inside, box: Path, place: Path) -> None:
    done = inside(OWN, "rctl run -d web1 -- sleep 100", "rctl doctor")
    assert "mounted at /mnt, not using /sys/fs/cgroup (its root is /..); RCTL_MOUNT chooses" in done.out, done
    assert ((box / "rctl-web1").exists(), (place / "rctl-web1").exists()) == (True, False)


def test_wrong_mount_alone_is_refused(inside: Inside, place: Path) -> None:
    done = inside("rctl run web1 -- true")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(
        "rctl: cgroup2: no mount here has this cgroup namespace's root, only: /sys/fs/cgroup (/..)"
    )
    told = inside("rctl doctor").out
    assert "\nfail  cgroup2" in f"\n{told}"
    assert "RCTL_MOUNT=PATH" in told
    assert not (place / "rctl-web1").exists()


def test_a_controller_that_a_container_was_not_given_is_named_as_such(inside: Inside, place: Path) -> None:
    """Nothing is wrong with the host's kernel, as it would be if its root lacked one."""
    done = inside(OWN, "mkdir /mnt/rctl-web2", "rctl set web2 pids.max=5")
    assert done.status == 1
    assert (
        "the pids controller is not given to /mnt, which is not the root of the host. Outside of it, write +pids"
        in done.err
    )


def test_rctl_mount_names_the_hosts(inside: Inside, box: Path) -> None:
    done = inside(OWN, "rctl show /box --json", RCTL_MOUNT="/sys/fs/cgroup")
    assert '"path": "/box"' in done.out, done
    done = inside(OWN, "rctl ls", RCTL_MOUNT="/")
    assert "RCTL_MOUNT=/: not a cgroup2 mount" in done.err


@pytest.mark.parametrize(
    "words", ["run web1 -- true", "attach web2 $$", "label web2 a=b", "set web2 files.cgroup.max.depth=5"]
)
def test_a_read_only_mount_is_named_as_the_cause(inside: Inside, words: str) -> None:
    done = inside(OWN, "mkdir /mnt/rctl-web2", "mount -o remount,ro,bind /mnt", f"rctl {words}")
    assert done.status == 1
    assert done.err.count("the cgroup file system is mounted read-only. Run outside the container") == 1
    assert "Run as root" not in done.err


def test_undo_names_the_mount_on_which_an_adjustment_was_made(box: Path, place: Path, tmp_path: Path) -> None:
    (box / "rctl-web1").mkdir()
    (place / "cgroup.subtree_control").write_text("+pids")
    (part := tmp_path / "part").mkdir()
    subprocess.run(["mount", "--bind", str(box), str(part)], check=True)
    try:
        there = {"RCTL_MOUNT": str(part)}
        assert rctl("set", "web1", "pids.max=9", env=there).status == 0
        done = rctl("undo")
        assert done.status == 1
        assert f"is of VEs on the mount {part}. Take it back there: RCTL_MOUNT={part}" in done.err
        assert "removed" not in done.err
        assert rctl("undo", env=there).status == 0
    finally:
        subprocess.run(["umount", str(part)], check=True)


def test_a_failed_attach_in_a_cgroup_namespace_moves_nothing(inside: Inside, box: Path) -> None:
    """Process 2 is a kernel's, which cannot be moved, and lies outside the namespace."""
    worker = sleeper(box)
    done = inside(OWN, f"rctl attach web1 {worker.pid} 2")
    assert "2: could not be put back into its cgroup, which lies outside this cgroup namespace" in done.err
    assert Path(f"/proc/{worker.pid}/cgroup").read_text() == "0::/box\n"


@pytest.fixture
def covered(ve: Ve, tree: Tree) -> Iterator[Path]:
    """A file that looks like a limit, on another file system over the VE."""
    ve.able("pids.max")
    subprocess.run(["mount", "-t", "tmpfs", "none", str(ve.dir)], check=True)
    try:
        (ve.dir / "pids.max").write_text("max\n")
        yield ve.dir / "pids.max"
    finally:
        subprocess.run(["umount", str(ve.dir)], check=True)


def test_nothing_is_written_into_a_tmpfs_mounted_over_a_ve(ve: Ve, covered: Path) -> None:
    """Also by a program that opened the tree before, as `ve` did."""
    with pytest.raises(NotAvailableError, match="another file system is mounted over"):
        ve.set({"pids.max": 5})
    with (
        Tree.open() as tree,
        pytest.raises(NotAvailableError, match=f"another file system is mounted over {MOUNT}/rctl-web1"),
    ):
        tree.open_ve("web1")
    assert covered.read_text() == "max\n"


def test_a_covered_ve_is_named_and_the_others_are_listed(ve: Ve, other: Ve, covered: Path) -> None:
    """By whatever looks at all of them; who asks for that one by its name is refused."""
    other.able("pids.max")
    (other.dir / "pids.max").write_text("7")
    for verb in (["ls"], ["ls", "-a"], ["ls", "web*"], ["show", "web*"], ["ps"], ["export"], ["label", "web*"]):
        done = rctl(*verb)
        assert done.status == 0, (verb, done)
        assert f"rctl: web1: left out: another file system is mounted over {MOUNT}/rctl-web1" in done.err
        assert ("web2" in done.out) == (verb != ["ps"])
    for verb in (
        ["ls", "web1"],
        ["show", "/rctl-web1"],
        ["ps", "web1"],
        ["export", "web1"],
        ["set", "web*", "pids.max=9"],
    ):
        done = rctl(*verb)
        assert done.status == 1
        assert done.err.startswith("rctl: /rctl-web1: another file system is mounted over")
    assert other.text("pids.max") == "7"


def test_whole_cpus_are_chosen_beside_a_covered_ve(ve: Ve, other: Ve, covered: Path) -> None:
    assert rctl("set", "web2", "vcpus=1").status == 0
    assert other.text("cpu.max") == "100000 100000"


@pytest.mark.parametrize("what", ["another VE's", "a file"])
def test_what_is_mounted_over_an_interface_file_is_not_written(ve: Ve, other: Ve, tmp_path: Path, what: str) -> None:
    for one in (ve, other):
        one.able("pids.max")
    (tmp_path / "file").write_text("max\n")
    source = other.dir / "pids.max" if what == "another VE's" else tmp_path / "file"
    subprocess.run(["mount", "--bind", str(source), str(ve.dir / "pids.max")], check=True)
    try:
        done = rctl("set", "web1", "pids.max=5")
        assert done.status == 1
        assert f"something is mounted over {MOUNT}/rctl-web1/pids.max. Unmount it" in done.err
        assert {row["name"] for row in json.loads(rctl("ls", "--json").out)} == {"web1", "web2"}
        assert rctl("set", "web2", "memory.high=1G").status == 0
        assert source.read_text() == "max\n"
    finally:
        subprocess.run(["umount", str(ve.dir / "pids.max")], check=True)
    assert rctl("set", "web1", "pids.max=5").status == 0
