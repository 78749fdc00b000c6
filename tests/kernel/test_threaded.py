"""Processes and controllers in one cgroup: the kernel makes that one threaded, and what is below it unusable.

https://docs.kernel.org/admin-guide/cgroup-v2.html#threads
"""

from pathlib import Path

import pytest

from rctl.adjust.engine import Options
from rctl.adjust.state_folder import State
from rctl.cgroupfs.tree import Tree
from rctl.doctor import diagnose
from rctl.errors import BusyError, NotAvailableError
from rctl.host import Host
from tests.kernel.helpers import MOUNT, Ve, enabled, refused, undo
from tests.kernel.shell import rctl
from tests.kernel.workload import sleeper


@pytest.fixture
def parent(scratch: Path, tree: Tree) -> Ve:
    """A cgroup with a child `below`."""
    (scratch / "below").mkdir()
    return Ve(tree, f"/{scratch.relative_to(MOUNT)}")


@pytest.fixture
def below(parent: Ve) -> Ve:
    """The child."""
    return Ve(parent.tree, f"{parent.path}/below")


@pytest.mark.parametrize(
    ("limit", "value"),
    [("pids.max", 64), ("cpu.max", 1), ("cpuset.cpus", "0"), ("memory.max", "64M"), ("io.weight", 50)],
)
def test_threaded_by_accident_is_refused(parent: Ve, below: Ve, limit: str, value: object) -> None:
    sleeper(parent.dir)
    says = (
        f"^{limit}: .* cannot be enabled in {parent.path}, which has 1 process.es. of its own: .*Move them into a child"
    )
    with refused(BusyError, says, parent, below):
        below.set({limit: value})
    assert (parent.text("cgroup.type"), below.text("cgroup.type")) == ("domain", "domain")
    sleeper(below.dir)


def test_threaded_by_accident_below_the_shells_own_cgroup(parent: Ve) -> None:
    """RCTL_TREE names the cgroup that holds the shell, as in a container."""
    sleeper(parent.dir)
    done = rctl("run", "web1", "--pids", "10", "--", "true", env={"RCTL_TREE": parent.path})
    assert done.status == 1
    assert f"in {parent.path}, which has 1 process(es) of its own" in done.err
    assert not (parent.dir / "web1").exists()
    assert enabled(parent.dir) == []


@pytest.mark.parametrize("words", [("attach", "web1", "{pid}"), ("run", "web1", "--", "true")])
def test_threaded_by_a_process_that_enters(ve: Ve, words: tuple[str, ...]) -> None:
    """The same from the other side: controllers first, then a process."""
    (ve.dir / "below").mkdir()
    below = Ve(ve.tree, f"{ve.path}/below")
    below.set({"pids.max": 64})
    worker = sleeper(MOUNT)
    done = rctl(*(word.format(pid=worker.pid) for word in words))
    assert done.status == 1
    assert f"{ve.path}: gives controllers (pids) to its children" in done.err
    assert (ve.text("cgroup.type"), below.text("cgroup.type")) == ("domain", "domain")
    assert ve.text("cgroup.procs") == ""


def test_threaded_on_purpose_takes_what_the_kernel_gives(parent: Ve, below: Ve) -> None:
    sleeper(parent.dir)
    (below.dir / "cgroup.type").write_text("threaded")
    below.set({"pids.max": 64})
    assert (below.text("pids.max"), below.text("cgroup.type")) == ("64", "threaded")
    with refused(NotAvailableError, "^memory.max: .* whose cgroup.type is 'domain threaded': only cpu, cpuset"):
        below.set({"memory.max": "64M"})
    (below.dir / "below").mkdir()
    with refused(NotAvailableError, "^memory.max: "):
        Ve(parent.tree, f"{below.path}/below").set({"memory.max": "64M"})


def test_undo_moves_a_process_out_of_a_threaded_cgroup(parent: Ve, below: Ve) -> None:
    """Such a cgroup tells no processes, only threads."""
    pid = str(sleeper(parent.dir).pid)
    (below.dir / "cgroup.type").write_text("threaded")
    assert rctl("attach", below.path, pid).status == 0
    assert below.text("cgroup.threads") == pid
    assert rctl("undo").status == 0
    assert (below.text("cgroup.threads"), parent.text("cgroup.procs")) == ("", pid)


def test_attach_moves_a_process_up_out_of_a_threaded_cgroup(parent: Ve, below: Ve) -> None:
    """The one above tells the processes of threaded ones as its own, so it seemed to be there already."""
    pid = str(sleeper(parent.dir).pid)
    (below.dir / "cgroup.type").write_text("threaded")
    assert rctl("attach", below.path, pid).status == 0
    assert pid in parent.text("cgroup.procs").split()
    assert rctl("attach", parent.path, pid).status == 0
    assert (below.text("cgroup.threads"), parent.text("cgroup.threads")) == ("", pid)
    assert rctl("undo").status == 0
    assert (below.text("cgroup.threads"), parent.text("cgroup.threads")) == (pid, "")
    assert rctl("undo").status == 0
    assert (below.text("cgroup.threads"), parent.text("cgroup.threads")) == ("", pid)


def test_an_attach_that_fails_half_way_leaves_nobody_in_a_threaded_cgroup(parent: Ve, below: Ve) -> None:
    pid, kernel_thread = str(sleeper(parent.dir).pid), "2"
    (below.dir / "cgroup.type").write_text("threaded")
    done = rctl("attach", below.path, pid, kernel_thread)
    assert (done.status, "kernel threads cannot be moved" in done.err) == (1, True)
    assert (below.text("cgroup.threads"), parent.text("cgroup.procs")) == ("", pid)


def test_a_cgroup_below_a_threaded_one_says_why_it_takes_no_process(parent: Ve, below: Ve) -> None:
    worker = sleeper(parent.dir)
    (parent.dir / "cgroup.subtree_control").write_text("+pids")
    done = rctl("attach", below.path, str(worker.pid))
    assert done.status == 1
    assert "EOPNOTSUPP: its cgroup.type is not 'domain': a cgroup above it is threaded" in done.err


def test_doctor_knows_a_threaded_place(parent: Ve, below: Ve, state: State) -> None:
    sleeper(parent.dir)
    (parent.dir / "cgroup.subtree_control").write_text("+pids")
    for path, kind in ((parent.path, "domain threaded"), (below.path, "domain invalid")):
        with Tree.open(path) as tree:
            found = next(check for check in diagnose(tree, state) if check.name == "processes")
        assert found.state == "fail"
        assert kind in found.found


def test_undo_takes_an_enabled_controller_back(ve: Ve, tree: Tree, host: Host) -> None:
    before = enabled(ve.dir.parent)
    sleeper(ve.dir)
    ve.set({"pids.max": 64, "cpuset.cpus": 0, "io.weight": 50, "hugetlb.2MB": "2M"})
    assert len(enabled(ve.dir.parent)) > len(before)
    undo(tree, host, Options())
    assert enabled(ve.dir.parent) == before


def test_undo_leaves_a_controller_that_another_ve_uses(ve: Ve, other: Ve, tree: Tree, host: Host) -> None:
    ve.set({"pids.max": 64, "hugetlb.2MB": "2M"})
    (other.dir / "hugetlb.2MB.max").write_text(str(4 << 20))
    undo(tree, host, Options())
    assert (other.text("hugetlb.2MB.max"), other.has("pids.max")) == (str(4 << 20), False)
