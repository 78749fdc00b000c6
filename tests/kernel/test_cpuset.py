"""Which CPUs and memory nodes: lists, partitions, and the whole CPUs that `vcpus` stands for."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rctl.adjust.engine import Options
from rctl.cgroupfs.tree import Tree
from rctl.errors import BusyError, KernelError, RctlError, UsageError
from rctl.host import Host
from rctl.ranges import Ranges
from tests.kernel.helpers import MOUNT, RELEASE, Ve, lacks, refused, set_all, undo
from tests.kernel.shell import rctl
from tests.kernel.workload import sleeper

invalid_ones = pytest.mark.skipif(
    RELEASE < (6, 1), reason="Linux 6.1 brought partitions that are invalid, and isolated ones"
)


@pytest.fixture(autouse=True)
def _two_cpus(host: Host) -> None:
    if len(host.cpus) < 2:
        pytest.skip("needs two CPUs; the lab has them")


def nproc(ve: Ve) -> int:
    """What a program inside the VE takes for the number of CPUs."""
    procs = ve.dir / "cgroup.procs"
    done = subprocess.run(
        ["nproc"], preexec_fn=lambda: procs.write_text("0"), capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def beyond() -> int:
    """The number of a CPU that this machine cannot have."""
    possible = Path("/sys/devices/system/cpu/possible").read_text()
    return Ranges.parse(possible).numbers[-1] + 5


def test_cpus_move_the_processes(ve: Ve, host: Host) -> None:
    worker = sleeper(ve.dir)
    ve.set({"cpuset.cpus": host.cpus[1]})
    assert ve.text("cpuset.cpus") == str(host.cpus[1])
    assert os.sched_getaffinity(worker.pid) == {host.cpus[1]}
    ve.set({"cpuset.cpus": f"{host.cpus[0]},{host.cpus[1]}"})
    assert os.sched_getaffinity(worker.pid) == set(host.cpus[:2])


def test_exclusive_cpus_are_a_limit_of_their_own(ve: Ve, other: Ve) -> None:
    if lacks(ve, "cpuset.cpus.exclusive", {"cpuset.exclusive": "1"}):
        return
    (note,) = ve.set({"cpuset.exclusive": "1"}).notes
    assert "cpuset.cpus.exclusive is 1, and takes effect with a partition alone" in note
    assert ve.text("cpuset.cpus.exclusive") == "1"
    assert rctl("get", "web1", "cpuset.exclusive").out == "1\n"
    with refused(KernelError, "a sibling has some of these CPUs", ve, other):
        other.set({"cpuset.exclusive": "0-1"})
    with refused(KernelError, "there is no such CPU", ve):
        ve.set({"cpuset.exclusive": beyond()})
    set_all(ve.tree, {other: {"cpuset.exclusive": "1"}, ve: {"cpuset.exclusive": "0"}})  # an exchange
    assert (ve.text("cpuset.cpus.exclusive"), other.text("cpuset.cpus.exclusive")) == ("0", "1")
    sleeper(ve.dir)
    ve.set({"cpuset.exclusive": ""})
    assert ve.text("cpuset.cpus.exclusive") == "", "it can be emptied under tasks"


@pytest.mark.usefixtures("as_root")
def test_a_partition_takes_its_exclusive_cpus_from_others_and_undo_gives_them_back(ve: Ve, other: Ve) -> None:
    if lacks(ve, "cpuset.cpus.exclusive", {"cpuset.exclusive": "1"}):
        return
    before = ve.snapshot()
    assert ve.set({"cpuset.exclusive": "1", "cpuset.partition": "root"}).notes == ()
    assert (ve.text("cpuset.cpus.partition"), ve.text("cpuset.cpus.effective")) == ("root", "1")
    assert "1" not in other.text("cpuset.cpus.effective").split(",")
    sleeper(ve.dir)  # the list of a partition with tasks cannot be emptied (EBUSY): that ends first
    assert rctl("undo").status == 0
    assert ve.snapshot() == before
    assert other.text("cpuset.cpus.effective").startswith("0")


def test_mems_are_written_and_read_back(ve: Ve) -> None:
    ve.set({"cpuset.mems": 0})
    assert (ve.text("cpuset.mems"), ve.text("cpuset.mems.effective")) == ("0", "0")
    ve.set({"cpuset.mems": ""})
    assert ve.text("cpuset.mems") == ""


def test_vcpus_are_what_programs_inside_see(ve: Ve) -> None:
    seen = []
    for count in (2, 1, 2):
        ve.set({"vcpus": count})
        seen.append((nproc(ve), ve.text("cpu.max")))
    assert seen == [(2, "200000 100000"), (1, "100000 100000"), (2, "200000 100000")]


def test_vcpus_keep_a_lower_cap(ve: Ve) -> None:
    ve.set({"vcpus": 2, "cpu.max": 0.5})
    ve.set({"vcpus": 1})
    assert ve.text("cpu.max") == "50000 100000"


def test_vcpus_max_is_every_cpu_without_a_cap(ve: Ve, host: Host) -> None:
    ve.set({"vcpus": 1})
    ve.set({"vcpus": "max"})
    assert ve.text("cpuset.cpus") == ""
    assert Ranges.parse(ve.text("cpuset.cpus.effective")).numbers == host.cpus
    assert ve.text("cpu.max") == "max 100000"


def test_vcpus_go_to_the_least_promised_cpus(make_ve: Callable[[str], Ve], host: Host) -> None:
    ves = [make_ve(f"web{number}") for number in range(2 * len(host.cpus))]
    for ve in ves:
        ve.set({"vcpus": 1})
    taken = [int(ve.text("cpuset.cpus")) for ve in ves]
    assert {cpu: taken.count(cpu) for cpu in host.cpus} == dict.fromkeys(host.cpus, 2)


def test_more_vcpus_than_cpus_are_refused(ve: Ve, host: Host) -> None:
    with refused(UsageError, f"this host has {len(host.cpus)} CPUs online", ve):
        ve.set({"vcpus": len(host.cpus) + 1, "pids.max": 10})


def test_a_cpu_that_cannot_be_is_refused(ve: Ve) -> None:
    ve.set({"cpuset.cpus": 0, "memory.max": "100M"})
    with refused(KernelError, "cpuset.cpus: .* ERANGE: there is no such CPU", ve):
        ve.set({"cpuset.cpus": beyond(), "memory.max": "50M", "cpu.max": 0.5})


@pytest.mark.parametrize(
    "words",
    [
        ["cpuset.cpus=BEYOND"],
        ["cpuset.cpus=60000"],
        ["cpuset.mems=1000"],
        ["cpuset.mems=60000"],
        ["cpuset.partition=root"],
        ["cpuset.cpus=0", "cpuset.partition=root"],
    ],
)
def test_a_dry_run_refuses_what_the_run_refuses_in_the_same_words(ve: Ve, other: Ve, words: list[str]) -> None:
    other.set({"cpuset.cpus": "0"})
    words = [word.replace("BEYOND", str(beyond())) for word in words]
    planned, done = rctl("set", "web1", *words, "-n"), rctl("set", "web1", *words)
    if other.has("cpuset.cpus.exclusive") and len(words) > 1:
        assert "not checked" in planned.err  # since Linux 6.7 lists may overlap
        return
    assert (planned.status, done.status) == (1, 1)
    assert planned.err.splitlines()[0] == done.err.splitlines()[0]


def test_the_kernel_makes_no_partition_of_what_rctl_refuses(ve: Ve, other: Ve) -> None:
    """Written past rctl, so that what it takes for granted is the kernel's own doing."""
    for one in (ve, other):
        one.set({"cpuset.cpus": "0"})
    for text in ("0", ""):
        (ve.dir / "cpuset.cpus").write_text(text or "\n")
        if text and ve.has("cpuset.cpus.exclusive"):
            continue
        with suppress(OSError):
            (ve.dir / "cpuset.cpus.partition").write_text("root")
        assert ve.text("cpuset.cpus.partition") != "root"
        (ve.dir / "cpuset.cpus.partition").write_text("member")


def test_list_emptied_with_tasks_becomes_all_of_the_parents(ve: Ve, tree: Tree, host: Host) -> None:
    """The kernel answers ENOSPC to an empty list then; the parent's list allows the same."""
    ve.set({"cpuset.cpus": 0})
    worker = sleeper(ve.dir)
    account = ve.set({"cpuset.cpus": ""})
    assert Ranges.parse(ve.text("cpuset.cpus")).numbers == host.cpus
    assert "because it cannot be empty while tasks run" in account.notes[0]
    assert os.sched_getaffinity(worker.pid) == set(host.cpus)
    undo(tree, host, Options())
    assert ve.text("cpuset.cpus") == "0"


def test_undo_of_the_first_list_of_a_ve_with_tasks(ve: Ve, tree: Tree, host: Host) -> None:
    worker = sleeper(ve.dir)
    ve.set({"cpuset.cpus": 0})
    undo(tree, host, Options())
    assert os.sched_getaffinity(worker.pid) == set(host.cpus)


@pytest.fixture
def offline(as_root: None, host: Host) -> Iterator[Path]:
    """The last CPU is offline; the file that says so. It comes back at the end."""
    switch = Path(f"/sys/devices/system/cpu/cpu{host.cpus[-1]}/online")
    switch.write_text("0")
    yield switch
    switch.write_text("1")


def test_undo_of_a_cpuset_while_a_cpu_is_offline(ve: Ve, tree: Tree, host: Host, offline: Path) -> None:
    """What was empty is all CPUs again, also those that come back later."""
    (ve.dir.parent / "cgroup.subtree_control").write_text("+cpuset")  # enabled before, so that it stays
    worker = sleeper(ve.dir)
    ve.set({"cpuset.cpus": host.cpus[0]})
    undo(tree, host, Options())
    offline.write_text("1")
    assert Ranges.parse(ve.text("cpuset.cpus.effective")).numbers == host.cpus
    assert os.sched_getaffinity(worker.pid) == set(host.cpus)


def test_undo_of_a_cpuset_while_a_partition_holds_a_cpu(ve: Ve, other: Ve, tree: Tree, place: Path, host: Host) -> None:
    """The undo neither takes the CPU from the partition nor leaves the VE confined and calls that undone."""
    if place != MOUNT:
        return
    sleeper(ve.dir)
    ve.set({"cpuset.cpus": host.cpus[0]})
    for file, text in (("cpuset.cpus", str(host.cpus[-1])), ("cpuset.cpus.partition", "root")):
        (other.dir / file).write_text(text)
    says = f"^cpuset.cpus: cannot be emptied on {ve.path} .* the partition of {other.path}"
    with refused(BusyError, says, ve, other):
        undo(tree, host, Options())
    (other.dir / "cpuset.cpus.partition").write_text("member")
    undo(tree, host, Options())
    assert Ranges.parse(ve.text("cpuset.cpus.effective")).numbers == host.cpus


@invalid_ones
@pytest.mark.usefixtures("as_root")
def test_undo_of_a_partition_whose_cpu_is_offline_needs_no_force(
    ve: Ve, tree: Tree, place: Path, host: Host, offline: Path
) -> None:
    """Nobody has changed it: the kernel made it invalid by itself, and would make it valid again."""
    if place != MOUNT:
        return
    offline.write_text("1")
    ve.set({"cpuset.cpus": host.cpus[-1], "cpuset.partition": "root"})
    sleeper(ve.dir)
    try:
        offline.write_text("0")
    except OSError:
        return  # Linux 6.12 keeps the only CPU of a partition with tasks
    assert "invalid" in ve.text("cpuset.cpus.partition")
    undo(tree, host, Options())
    assert ve.unset("cpuset.cpus.partition")


def test_setting_an_emptied_list_again_writes_nothing(ve: Ve) -> None:
    ve.set({"cpuset.cpus": 0})
    sleeper(ve.dir)
    ve.set({"cpuset.cpus": ""})
    assert ve.set({"cpuset.cpus": ""}).id is None


def test_partition_takes_its_cpus_away_from_the_others(ve: Ve, place: Path, host: Host) -> None:
    wanted = {"cpuset.cpus": host.cpus[-1], "cpuset.partition": "root"}
    if place != MOUNT:  # only the child of a partition can be one, and the root of the tree is one
        with refused(RctlError, r"^cpuset\.cpus\.partition: ", ve):
            ve.set(wanted)
        return
    ve.set(wanted)
    assert ve.text("cpuset.cpus.partition") == "root"
    worker = sleeper(ve.dir)
    assert os.sched_getaffinity(worker.pid) == {host.cpus[-1]}
    assert host.cpus[-1] not in os.sched_getaffinity(0)
    worker.kill()
    ve.set({"cpuset.partition": "member"})
    assert ve.text("cpuset.cpus.partition") == "member"
    assert host.cpus[-1] in os.sched_getaffinity(0)


def test_partition_that_the_kernel_calls_invalid_is_rolled_back(ve: Ve, host: Host) -> None:
    """A partition that would leave no CPU to the cgroup above, which has tasks, is none."""
    ve.set({"pids.max": 100, "cpuset.cpus": str(Ranges(tuple(host.cpus)))})
    why = "EINVAL: the cgroup above must be a partition" if RELEASE < (6, 1) else "The kernel's reason: "
    with refused(RctlError, rf"^cpuset\.cpus\.partition: .*{why}", ve):
        ve.set({"pids.max": 10, "cpuset.partition": "root"})


@invalid_ones
def test_a_partition_that_a_siblings_list_made_invalid_is_one_again_when_that_lets_go(
    ve: Ve, other: Ve, tree: Tree, place: Path, host: Host
) -> None:
    """Whether the list is refused, undone, another one, or goes with its VE."""
    if place != MOUNT:
        return
    last = str(host.cpus[-1])
    other.set({"cpuset.cpus": last, "cpuset.partition": "root"})
    by_list = not other.has("cpuset.cpus.exclusive")
    why = (BusyError, "may run on its CPUs, too") if by_list else (RctlError, "The kernel's reason: ")
    with refused(*why, ve, other):
        ve.set({"cpuset.cpus": last, "cpuset.partition": "root"})
    ve.set({"cpuset.cpus": last})
    undo(tree, host, Options())
    assert other.text("cpuset.cpus.partition") == "root"
    ve.set({"cpuset.cpus": last})
    ve.set({"cpuset.cpus": host.cpus[0]})
    assert other.text("cpuset.cpus.partition") == "root"
    said = any("its partition is now" in note for note in ve.set({"cpuset.cpus": last}).notes)
    assert ("invalid" in other.text("cpuset.cpus.partition")) == said
    assert rctl("rm", "web1").status == 0
    assert other.text("cpuset.cpus.partition") == "root"


@invalid_ones
def test_a_partition_that_is_invalid_becomes_one_when_its_cpus_are_free(
    ve: Ve, other: Ve, place: Path, host: Host
) -> None:
    if place != MOUNT:
        return
    last = str(host.cpus[-1])
    other.set({"cpuset.cpus": last, "cpuset.partition": "root"})
    ve.able("cpuset.cpus")
    for text in (last, str(host.cpus[0])):  # by somebody else
        (ve.dir / "cpuset.cpus").write_text(text)
    other.set({"cpuset.partition": "root"})
    assert other.text("cpuset.cpus.partition") == "root"


@invalid_ones
def test_a_partition_beside_is_one_again_after_a_failure_and_after_undo(
    ve: Ve, other: Ve, place: Path, host: Host
) -> None:
    if place != MOUNT:
        return
    last = str(host.cpus[-1])
    other.set({"cpuset.cpus": last, "cpuset.partition": "root"})
    ve.set({"cpuset.cpus": host.cpus[0], "cpuset.mems": 0})
    with refused(RctlError, "there is no such memory node", ve, other):
        ve.set({"cpuset.cpus": last, "cpuset.mems": 99})
    assert other.text("cpuset.cpus.partition") == "root"
    ve.set({"cpuset.cpus": last})
    other.set({"pids.max": 10})
    assert rctl("undo", "--ve", "web1").status == 0
    assert (other.text("cpuset.cpus.partition"), other.text("pids.max")) == ("root", "10")


@invalid_ones
def test_a_failure_that_keeps_ves_from_going_leaves_partitions_as_they_were(
    ve: Ve, other: Ve, make_ve: Callable[[str], Ve], place: Path, host: Host, tmp_path: Path
) -> None:
    if place != MOUNT:
        return
    first, last, every = host.cpus[0], host.cpus[-1], Ranges(tuple(host.cpus))
    other.set({"cpuset.cpus": last, "cpuset.partition": "root"})
    ve.set({"cpuset.cpus": first, "cpuset.mems": 0})
    surplus = make_ve("web3")
    spec = tmp_path / "spec.toml"
    two = "version = 1\n[ve.web2.limits]\n{}\n[ve.web1.limits]\n{}\n"
    for words in (
        ("", f'cpuset.cpus = "{last}"\ncpuset.mems = "99"'),
        (f'cpuset.cpus = "{every}"\ncpuset.partition = "root"', "pids.max = 7"),
    ):
        spec.write_text(two.format(*words))
        assert rctl("apply", "--prune", str(spec)).status == 1
        assert (other.text("cpuset.cpus.partition"), other.text("cpuset.cpus")) == ("root", str(last))
        assert (ve.text("cpuset.cpus"), surplus.dir.exists()) == (str(first), True)


def test_a_partition_shares_a_siblings_list_where_the_kernel_lets_it(
    ve: Ve, other: Ve, place: Path, host: Host, tmp_path: Path
) -> None:
    """Linux 7 leaves its CPUs out of the sibling's, 6.12 does not; the controller is enabled in the same adjustment."""
    if place != MOUNT or RELEASE < (6, 1):
        return
    spec = tmp_path / "spec.toml"
    lists = f'[ve.web1.limits]\ncpuset.cpus = "{host.cpus[-1]}"\ncpuset.partition = "root"\n[ve.web2.limits]\n'
    spec.write_text(f'version = 1\n{lists}cpuset.cpus = "{Ranges(tuple(host.cpus))}"\n')
    done = rctl("apply", str(spec))
    if done.status:
        assert "not exclusive" in done.err
        assert (ve.unset("cpuset.cpus"), other.unset("cpuset.cpus")) == (True, True)
    else:
        assert ve.text("cpuset.cpus.partition") == "root"
    assert rctl("apply", str(spec)).status == done.status


@invalid_ones
def test_undo_leaves_a_partition_beside_alone_that_somebody_else_set_since(
    ve: Ve, other: Ve, place: Path, host: Host
) -> None:
    if place != MOUNT:
        return
    last = str(host.cpus[-1])
    other.set({"cpuset.cpus": last, "cpuset.partition": "root"})
    ve.set({"cpuset.cpus": last})
    ve.set({"cpuset.cpus": host.cpus[0]})
    other.set({"cpuset.partition": "member"})
    assert rctl("undo", "--ve", "web1", "--last", "2").status == 0
    assert other.text("cpuset.cpus.partition") == "member"


@invalid_ones
def test_a_partition_that_its_own_list_makes_invalid_is_said_and_is_one_again_with_a_smaller_list(
    ve: Ve, place: Path, host: Host, tree: Tree
) -> None:
    """The cgroup above needs a CPU for its own tasks."""
    if place != MOUNT:
        return
    every, last = str(Ranges(tuple(host.cpus))), str(host.cpus[-1])
    ve.set({"cpuset.cpus": last, "cpuset.partition": "root"})
    (note,) = ve.set({"cpuset.cpus": every}).notes
    invalid = ve.text("cpuset.cpus.partition")
    assert note.startswith(f"{ve.name}: its partition is now {invalid}. ")
    assert invalid.startswith("root invalid (")
    assert ve.set({"cpuset.cpus": last}).notes == ()
    assert ve.text("cpuset.cpus.partition") == "root"
    ve.set({"cpuset.cpus": every})
    undo(tree, host, Options())
    assert ve.text("cpuset.cpus.partition") == "root"


@invalid_ones
@pytest.mark.parametrize("before", ["root", "isolated", "member"])
def test_a_partition_that_is_asked_for_is_one_or_nothing_is_changed(
    ve: Ve, place: Path, host: Host, before: str
) -> None:
    """Also where it is one already, and its list alone changes."""
    if place != MOUNT:
        return
    every, last = str(Ranges(tuple(host.cpus))), str(host.cpus[-1])
    ve.set({"cpuset.cpus": last, "cpuset.partition": before})
    with refused(RctlError, "The kernel's reason: Parent unable to distribute cpu downstream", ve):
        ve.set({"cpuset.cpus": every, "cpuset.partition": "root"})
    assert ve.text("cpuset.cpus.partition") == before
    with refused(BusyError, "has no CPUs of its own and cannot be a partition", ve):
        ve.set({"cpuset.cpus": "", "cpuset.partition": "root"})


@invalid_ones
def test_a_partition_within_a_partition(ve: Ve, tree: Tree, place: Path, host: Host) -> None:
    """Its CPUs count as those of the one above; when that is no partition any more, it is said, and undo mends it."""
    if place != MOUNT:
        return
    last = str(host.cpus[-1])
    ve.set({"cpuset.cpus": last, "cpuset.partition": "root"})
    (ve.dir / "below").mkdir()
    below = Ve(tree, f"{ve.path}/below")
    assert below.set({"cpuset.cpus": last, "cpuset.partition": "isolated"}).notes == ()
    (note,) = ve.set({"cpuset.partition": "member"}).notes
    assert note.startswith(f"{below.path}: its partition is now isolated invalid (Parent is not a partition root)")
    undo(tree, host, Options())
    assert below.text("cpuset.cpus.partition") == "isolated"
    assert ve.set({"cpuset.partition": "member", "cpuset.cpus": ""}).notes[:1] == (note,)
    assert undo(tree, host, Options()).notes == ()
    assert (ve.text("cpuset.cpus.partition"), below.text("cpuset.cpus.partition")) == ("root", "isolated")


def test_partition_that_had_lost_its_cpus_is_put_back(ve: Ve, tree: Tree, host: Host) -> None:
    ve.set({"pids.max": 100, "cpuset.cpus": "0-1"})
    (ve.dir / "below").mkdir()
    (ve.dir / "cgroup.subtree_control").write_text("+cpuset +pids")
    below = Ve(ve.tree, f"{ve.path}/below")
    (below.dir / "cpuset.cpus").write_text("1")
    try:
        (below.dir / "cpuset.cpus.partition").write_text("root")
    except OSError:
        return  # refused at once by kernels before 6.1
    invalid = below.text("cpuset.cpus.partition")
    assert invalid.startswith("root invalid (")
    below.set({"cpuset.partition": "member", "pids.max": 5})
    undo(tree, host, Options())
    assert below.text("cpuset.cpus.partition") == invalid


def test_vcpus_of_a_child_are_among_its_parents(ve: Ve, host: Host) -> None:
    last = host.cpus[-1]
    ve.set({"cpuset.cpus": last})
    (ve.dir / "below").mkdir()
    below = Ve(ve.tree, f"{ve.path}/below")
    with refused(UsageError, rf"vcpus: 2 asked for, and the parent of {below.path} has {last}: 1 CPUs online"):
        below.set({"vcpus": 2})
    below.set({"vcpus": 1})
    assert (below.text("cpuset.cpus"), below.text("cpuset.cpus.effective")) == (str(last), str(last))
    below.set({"vcpus": "max"})
    assert (below.text("cpuset.cpus"), below.text("cpuset.cpus.effective")) == ("", str(last))


def test_vcpus_leave_others_partitions_alone(ve: Ve, other: Ve, place: Path, host: Host) -> None:
    if place != MOUNT:
        return
    ve.set({"cpuset.cpus": host.cpus[0], "cpuset.partition": "root"})
    other.set({"vcpus": 1})
    assert other.text("cpuset.cpus") == str(host.cpus[1])
    ve.set({"vcpus": 1})
    assert ve.text("cpuset.cpus") == str(host.cpus[0])
    ve.set({"cpuset.partition": "member"})


def test_vcpus_beside_a_list_are_refused(ve: Ve) -> None:
    with refused(UsageError, "vcpus: given together with cpuset.cpus", ve):
        ve.set({"vcpus": 1, "cpuset.cpus": 0})
