"""After a crash: what recovery does, and what it says. Crashes at every operation are in test_engine_faults."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from rctl.adjust.engine import Options, adjust
from rctl.adjust.records import record_format as record_file
from rctl.adjust.records.history import history, latest
from rctl.adjust.records.journal import Journal, left_open
from rctl.adjust.records.record_format import VERSION, Record, version_of
from rctl.adjust.recovery.recover import recover
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Enable, Renew, Set, Step
from rctl.cgroupfs.cgroup import Cgroup
from rctl.cgroupfs.tree import Tree
from rctl.errors import KernelError, RctlError, RollbackError, unforeseen
from tests.unit.fake_kernel import BOOT, FakeKernel, limits, state_folder
from tests.unit.few_files import few_open_files

PIDS = Set("/rctl-web1", "pids.max", "max", "50")
LOW = Set("/rctl-web1", "memory.low", "0", "4096")


@pytest.fixture
def kernel() -> FakeKernel:
    kernel = FakeKernel()
    kernel.make("/rctl-web1")
    return kernel


@pytest.fixture
def tree(kernel: FakeKernel) -> Iterator[Tree]:
    with kernel.installed() as tree:
        yield tree


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as place:
        yield make(place)


@pytest.fixture
def site(kernel: FakeKernel, tree: Tree, state: State) -> Site:
    return Site(tree, kernel.host, state)


def crashed(kernel: FakeKernel, state: State, *steps: Step, name: str = "20261122-1", boot: str = BOOT) -> None:
    """A journal whose process is gone."""
    inodes = {step.path: kernel.node(step.path).ino for step in steps}
    record = Record(name, 1.0, boot, "rctl set web1", inodes, steps, version=version_of(steps))
    Journal(state, record).abandon()


def crashed_beside_a_partition(kernel: FakeKernel, state: State) -> None:
    """A list that shared a CPU with a sibling's partition has given it up."""
    kernel.make("/rctl-web2")
    kernel.put("/rctl-web2", "cpuset.cpus", "1")
    kernel.put("/rctl-web2", "cpuset.cpus.partition", "root")
    crashed(kernel, state, Set("/rctl-web1", "cpuset.cpus", "1", "2"), Renew("/rctl-web2", "root"))
    kernel.put("/rctl-web1", "cpuset.cpus", "2")
    kernel.node("/rctl-web2").files["cpuset.cpus.partition"] = "root invalid (Cpu list not exclusive)"


def test_with_no_journal_there_is_nothing_to_recover(site: Site) -> None:
    assert recover(site, 1) == []


def test_half_of_an_adjustment_is_rolled_back(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS, LOW)
    kernel.put("/rctl-web1", "pids.max", "50")
    assert recover(site, 1) == ["recovered 20261122-1 (rctl set web1): rolled back to what was there before"]
    assert kernel.get("/rctl-web1", "pids.max") == "max"


def test_all_of_an_adjustment_is_rolled_forward_and_can_be_undone(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS, LOW)
    kernel.put("/rctl-web1", "pids.max", "50")
    kernel.put("/rctl-web1", "memory.low", "4096")
    assert "rolled forward, all of it had been written" in recover(site, 1)[0]
    assert [record.id for record in history(site.state)] == ["20261122-1"]


def test_an_adjustment_that_had_ended_is_not_told_twice(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS)
    line = Path(site.state.journals, "20261122-1.json").read_bytes()
    Path(site.state.history).write_bytes(line + b"\n")
    assert "rolled forward, it had ended" in recover(site, 1)[0]
    assert len(list(history(site.state))) == 1


def test_a_journal_from_before_the_last_boot_needs_nothing(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS, boot="an older one")
    kernel.put("/rctl-web1", "pids.max", "50")
    assert "its VEs went with the last boot" in recover(site, 1)[0]
    assert kernel.get("/rctl-web1", "pids.max") == "50"
    assert left_open(site.state) == []


def test_a_ve_that_is_gone_needs_nothing(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS)
    kernel.remove("/rctl-web1")
    recover(site, 1)
    assert left_open(site.state) == []


def test_several_crashes_are_settled_newest_first(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS, name="1")
    crashed(kernel, site.state, Set("/rctl-web1", "pids.max", "50", "70"), LOW, name="2")
    kernel.put("/rctl-web1", "pids.max", "70")
    told = recover(site, 1)
    assert [line.split()[1] for line in told] == ["2", "1"]
    assert kernel.get("/rctl-web1", "pids.max") == "50"


def test_controllers_that_were_enabled_are_disabled_again(site: Site, kernel: FakeKernel) -> None:
    crashed(kernel, site.state, Enable("/rctl-web1", ("pids",)), PIDS)
    kernel.put("/rctl-web1", "cgroup.subtree_control", "+pids")
    recover(site, 1)
    assert kernel.get("/rctl-web1", "cgroup.subtree_control") == ""


def test_controllers_that_were_yet_to_be_enabled_are_not_told_as_done(site: Site, kernel: FakeKernel) -> None:
    """Where the limit is what it was, enabling the controller is all that is done."""
    crashed(kernel, site.state, Enable("/", ("pids",)), Enable("/rctl-web1", ("pids",)))
    (told,) = recover(site, 1)
    assert "rolled back" in told
    assert history(site.state) == []


def test_controllers_that_a_child_has_come_to_use_stay(site: Site, kernel: FakeKernel) -> None:
    kernel.make("/rctl-web1/app", enable=False)
    crashed(kernel, site.state, Enable("/rctl-web1", ("pids",)), PIDS)
    kernel.put("/rctl-web1", "cgroup.subtree_control", "+pids")
    kernel.put("/rctl-web1/app", "cgroup.subtree_control", "+pids")
    recover(site, 1)
    assert kernel.get("/rctl-web1", "cgroup.subtree_control") == "pids"


def test_what_cannot_be_put_back_keeps_its_journal_until_it_can(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS, LOW)
    kernel.put("/rctl-web1", "pids.max", "50")
    kernel.broken = lambda op: 5 if op.kind == "write" else None
    with pytest.raises(RollbackError, match=r"20261122-1 .*not put back: pids\.max: .*run rctl recover again"):
        recover(site, 1)
    kernel.broken = lambda op: None
    recover(site, 1)
    assert kernel.get("/rctl-web1", "pids.max") == "max"


def plant(state: State, name: str, content: bytes) -> Path:
    place = Path(state.journals, name)
    place.write_bytes(content)
    place.chmod(0o600)
    return place


@pytest.mark.parametrize("name", ["0.json", "x.json"])
def test_one_bad_journal_beside_good_ones_keeps_none_of_them_unsettled(
    kernel: FakeKernel, site: Site, name: str
) -> None:
    crashed(kernel, site.state, PIDS, LOW)
    kernel.put("/rctl-web1", "pids.max", "50")
    bad = plant(site.state, name, b"\x00")
    with pytest.raises(RollbackError, match=rf"{name}: not a journal of rctl: .* set aside as {name}\.aside") as caught:
        recover(site, 1)
    assert caught.value.settled == ("recovered 20261122-1 (rctl set web1): rolled back to what was there before",)
    assert kernel.get("/rctl-web1", "pids.max") == "max"
    assert left_open(site.state) == []
    assert bad.with_name(f"{name}.aside").read_bytes() == b"\x00"


def test_a_bad_journal_stands_in_no_adjustments_way_and_is_told(kernel: FakeKernel, site: Site) -> None:
    plant(site.state, "x.json", b"\x00")
    account = adjust(site, {"web1": limits({"cpu.max": 1}, kernel.host)}, Options())
    assert "x.json: not a journal of rctl" in account.notes[0]
    assert kernel.get("/rctl-web1", "cpu.max") == "100000 100000"


def test_a_journal_of_a_newer_rctl_is_set_aside_and_that_rctl_still_settles_it(
    kernel: FakeKernel, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    inodes = {"/rctl-web1": kernel.node("/rctl-web1").ino}
    newer = Record("20261122-1", 1.0, BOOT, "rctl set web1", inodes, (PIDS, LOW), version=VERSION + 1)
    Journal(site.state, newer).abandon()
    kernel.put("/rctl-web1", "pids.max", "50")
    for _ in range(2):
        with pytest.raises(
            RollbackError, match=rf"of a newer rctl \(record version {VERSION + 1}, this rctl knows {VERSION}\)"
        ):
            recover(site, 1)
        assert kernel.get("/rctl-web1", "pids.max") == "50"
    monkeypatch.setattr(record_file, "VERSION", VERSION + 1)
    assert "rolled back" in recover(site, 1)[0]
    assert kernel.get("/rctl-web1", "pids.max") == "max"
    assert left_open(site.state, aside=True) == []


def test_a_folder_in_the_place_of_a_draft_stands_in_nobodys_way(kernel: FakeKernel, site: Site) -> None:
    Path(site.state.journals, ".x.1234567890").mkdir()
    crashed(kernel, site.state, PIDS)
    assert "rolled back" in recover(site, 1)[0]


def test_a_history_that_cannot_be_read_keeps_no_adjustment_unsettled(kernel: FakeKernel, site: Site) -> None:
    Path(site.state.history).mkdir()
    crashed(kernel, site.state, PIDS, LOW)
    kernel.put("/rctl-web1", "pids.max", "50")
    assert "rolled back" in recover(site, 1)[0]
    assert kernel.get("/rctl-web1", "pids.max") == "max"


def test_a_good_journal_is_not_set_aside_for_want_of_open_files(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS, LOW)
    kernel.put("/rctl-web1", "pids.max", "50")
    told: list[str] = []
    said: set[str] = set()
    spare = 0
    while not told:
        with few_open_files(spare):
            try:
                told = recover(site, 1)
            except (RctlError, OSError) as error:
                said.add(unforeseen(error) if isinstance(error, OSError) else str(error))
        assert left_open(site.state, aside=True) == ([] if told else ["20261122-1.json"])
        spare += 1
    assert told == ["recovered 20261122-1 (rctl set web1): rolled back to what was there before"]
    assert said
    assert all("may open no more files. Raise its limit" in line for line in said)


def test_a_journal_set_aside_replaces_none_that_was_before(site: Site) -> None:
    for content in (b"first", b"second"):
        plant(site.state, "x.json", content)
        with pytest.raises(RollbackError):
            recover(site, 1)
    kept = [Path(site.state.journals, name).read_bytes() for name in left_open(site.state, aside=True)]
    assert sorted(kept) == [b"first", b"second"]


def test_a_bad_journal_of_a_very_long_name_is_told_once(kernel: FakeKernel, site: Site) -> None:
    plant(site.state, "\u00e4" * 125 + ".json", b"\x00")
    asked = {"web1": limits({"cpu.max": 1}, kernel.host)}
    (note,) = adjust(site, asked, Options()).notes
    assert "; it is set aside as " in note
    assert adjust(site, asked, Options()).notes == ()


def test_a_shrink_killed_before_memory_high_is_put_back_is_not_told_as_done(kernel: FakeKernel, site: Site) -> None:
    """``memory.max`` has its new value; ``memory.high``, lowered to help, would stay low for good."""
    shrunk = Set("/rctl-web1", "memory.max", "max", "1048576", disturbed=(("memory.high", "max"),), gentle=True)
    crashed(kernel, site.state, shrunk)
    kernel.put("/rctl-web1", "memory.max", "1048576")
    kernel.put("/rctl-web1", "memory.high", "1048576")
    assert "rolled back" in recover(site, 1)[0]
    assert [kernel.get("/rctl-web1", name) for name in ("memory.max", "memory.high")] == ["max", "max"]


def test_a_shrink_that_was_all_written_is_rolled_forward(kernel: FakeKernel, site: Site) -> None:
    shrunk = Set("/rctl-web1", "memory.max", "max", "1048576", disturbed=(("memory.high", "max"),), gentle=True)
    crashed(kernel, site.state, shrunk)
    kernel.put("/rctl-web1", "memory.max", "1048576")
    assert "rolled forward" in recover(site, 1)[0]


def test_a_shrinks_memory_high_that_somebody_else_set_since_stays(kernel: FakeKernel, site: Site) -> None:
    shrunk = Set("/rctl-web1", "memory.max", "max", "1048576", disturbed=(("memory.high", "max"),), gentle=True)
    crashed(kernel, site.state, shrunk, PIDS)
    kernel.put("/rctl-web1", "memory.max", "1048576")
    kernel.put("/rctl-web1", "memory.high", "4096")
    assert "rolled back" in recover(site, 1)[0]
    assert [kernel.get("/rctl-web1", name) for name in ("memory.max", "memory.high")] == ["max", "4096"]


def test_memory_high_on_its_way_down_is_ours_wherever_it_stands(kernel: FakeKernel, site: Site) -> None:
    crashed(
        kernel,
        site.state,
        Set("/rctl-web1", "memory.high", "max", "1048576"),
        Set("/rctl-web1", "memory.max", "max", "1048576", disturbed=(("memory.high", "max"),), gentle=True),
        Set("/rctl-web1", "memory.high", "1048576", "max"),
    )
    kernel.put("/rctl-web1", "memory.high", "33554432")
    assert recover(site, 1)[0].endswith("rolled back to what was there before")
    assert kernel.get("/rctl-web1", "memory.high") == "max"


def test_what_is_decided_to_be_put_back_is_never_rolled_forward(kernel: FakeKernel, site: Site) -> None:
    """``memory.high`` is put back first, and has then the value that it would have at the end."""
    inodes = {"/rctl-web1": kernel.node("/rctl-web1").ino}
    journal = Journal(site.state, Record("1", 1.0, BOOT, "", inodes, (PIDS, LOW)))
    kernel.put("/rctl-web1", "pids.max", "50")
    kernel.put("/rctl-web1", "memory.low", "4096")
    journal.decide_back()
    journal.abandon()
    assert "rolled back" in recover(site, 1)[0]
    assert kernel.get("/rctl-web1", "pids.max") == "max"


def test_a_decision_that_a_crash_tore_counts_for_nothing(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS)
    kernel.put("/rctl-web1", "pids.max", "50")
    with Path(site.state.journals, "20261122-1.json").open("ab") as file:
        file.write(b'\n{"decided":"ba')
    assert "rolled forward" in recover(site, 1)[0]


def test_a_partition_that_the_kernel_calls_invalid_by_now_was_written(kernel: FakeKernel, site: Site) -> None:
    kernel.put("/rctl-web1", "cpuset.cpus", "1")
    crashed(kernel, site.state, Set("/rctl-web1", "cpuset.cpus.partition", "member", "root"))
    kernel.put("/rctl-web1", "cpuset.cpus.partition", "root")
    kernel.node("/rctl-web1").files["cpuset.cpus.partition"] = "root invalid (Cpu list empty)"
    assert recover(site, 1)[0].endswith(": rolled back to what was there before")
    assert kernel.get("/rctl-web1", "cpuset.cpus.partition") == "member"


@pytest.mark.parametrize("now", ["root invalid (Cpu list not exclusive)", "member"])
def test_a_list_that_gave_up_cpus_before_a_crash_gives_them_to_a_siblings_partition(
    kernel: FakeKernel, site: Site, now: str
) -> None:
    """It is a member when the crash came while the kernel was made to look again."""
    crashed_beside_a_partition(kernel, site.state)
    kernel.node("/rctl-web2").files["cpuset.cpus.partition"] = now
    assert "rolled forward" in recover(site, 1)[0]
    assert kernel.get("/rctl-web2", "cpuset.cpus.partition") == "root"


@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize("now", ["root invalid (Cpu list not exclusive)", "member", "root"])
def test_an_adjustment_that_is_rolled_back_leaves_a_partition_beside_it_as_it_was(
    kernel: FakeKernel, site: Site, valid: bool, now: str
) -> None:
    """The kernel of the test takes every list; the real one decides whether the partition is valid."""
    crashed_beside_a_partition(kernel, site.state)
    recover(site, 1)
    kernel.node("/rctl-web2").files["cpuset.cpus.partition"] = now
    steps = Set("/rctl-web1", "cpuset.cpus", "2", "1-2"), Renew("/rctl-web2", "root", valid), PIDS
    crashed(kernel, site.state, *steps, name="20261122-2")
    assert "rolled back" in recover(site, 1)[0]
    others = valid and now == "member"  # rctl makes none of a valid one, unless it was putting back already
    assert kernel.get("/rctl-web2", "cpuset.cpus.partition") == ("member" if others else "root")


@pytest.mark.parametrize("valid", [True, False])
def test_a_partition_that_was_being_put_back_at_a_crash_is_put_back(
    kernel: FakeKernel, site: Site, valid: bool
) -> None:
    crashed_beside_a_partition(kernel, site.state)
    recover(site, 1)
    kernel.node("/rctl-web2").files["cpuset.cpus.partition"] = "member"
    steps = Set("/rctl-web1", "cpuset.cpus", "2", "1-2"), Renew("/rctl-web2", "root", valid), PIDS
    crashed(kernel, site.state, *steps, name="20261122-2")
    journal = Journal.adopt(site.state, "20261122-2.json")
    assert journal
    journal.decide_back()
    journal.abandon()
    assert "rolled back" in recover(site, 1)[0]
    assert kernel.get("/rctl-web2", "cpuset.cpus.partition") == "root"


@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize("done", [True, False])
def test_a_partition_of_another_kind_is_somebody_elses_by_now(
    kernel: FakeKernel, site: Site, valid: bool, done: bool
) -> None:
    crashed_beside_a_partition(kernel, site.state)
    recover(site, 1)
    kernel.node("/rctl-web2").files["cpuset.cpus.partition"] = "isolated invalid (Cpu list not exclusive)"
    steps = Set("/rctl-web1", "cpuset.cpus", "1", "2"), Renew("/rctl-web2", "root", valid), *[PIDS] * (not done)
    crashed(kernel, site.state, *steps, name="20261122-2")
    recover(site, 1)
    assert kernel.get("/rctl-web2", "cpuset.cpus.partition") == "isolated invalid (Cpu list not exclusive)"


def test_partitions_that_are_valid_again_are_no_adjustment_of_their_own(kernel: FakeKernel, site: Site) -> None:
    """The end of ``run --rm``, which a crash stopped, is nothing to take back."""
    crashed_beside_a_partition(kernel, site.state)
    recover(site, 1)
    before = len(list(latest(site.state)))
    crashed(kernel, site.state, Renew("/rctl-web2", "root"), name="20261122-2")
    assert "rolled forward" in recover(site, 1)[0]
    assert len(list(latest(site.state))) == before


def test_a_partition_on_its_way_from_one_kind_to_another_is_put_back(kernel: FakeKernel, site: Site) -> None:
    """One that is invalid becomes a member first."""
    kernel.put("/rctl-web1", "cpuset.cpus", "1")
    invalid = "root invalid (Cpu list not exclusive)"
    crashed(kernel, site.state, PIDS, Set("/rctl-web1", "cpuset.cpus.partition", invalid, "isolated"))
    assert recover(site, 1) == ["recovered 20261122-1 (rctl set web1): rolled back to what was there before"]
    assert kernel.get("/rctl-web1", "cpuset.cpus.partition") == "root"


def test_a_partition_that_the_kernel_does_not_take_again_is_told(
    kernel: FakeKernel, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed_beside_a_partition(kernel, site.state)
    write = Cgroup.write

    def refused(cgroup: Cgroup, name: str, text: str) -> None:
        if text.startswith("root"):
            raise KernelError(cgroup.path, name, text, errno.EBUSY)
        write(cgroup, name, text)

    monkeypatch.setattr(Cgroup, "write", refused)
    (line,) = recover(site, 1)
    assert "/rctl-web2: its partition is a member now. Set cpuset.cpus.partition=root: " in line


def test_a_verbatim_value_that_the_kernel_shows_in_other_words_was_written(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, Set("/rctl-web1", "cpu.weight.nice", "0", "+5", exact=False))
    kernel.put("/rctl-web1", "cpu.weight.nice", "5")
    assert "rolled forward" in recover(site, 1)[0]


def test_recovery_costs_as_the_adjustment_does_and_grows_as_it_does(kernel: FakeKernel, tree: Tree) -> None:
    """Operations on files, counted: a VE more costs the same whether there are few or many."""
    costs = {}
    for number in (20, 200):
        steps = [Set(f"/rctl-n{i}", name, "max", "50") for name in ("pids.max", "memory.high") for i in range(number)]
        for step in steps:
            kernel.make(step.path)
        with state_folder() as state:
            make(state)
            crashed(kernel, state, *steps)
            for step in steps[:-1]:
                kernel.put(step.path, step.file, step.new)
            begin = len(kernel.operations)
            recover(Site(tree, kernel.host, state), 1)
            costs[number] = (len(kernel.operations) - begin) / number
            asked = limits({"pids.max": 50, "memory.high": 4096}, kernel.host)
            begin = len(kernel.operations)
            adjust(Site(tree, kernel.host, state), {f"n{i}": asked for i in range(number)}, Options())
            adjusting = (len(kernel.operations) - begin) / number
            for step in steps:
                kernel.put(step.path, step.file, step.old)
            assert costs[number] < 3 * adjusting
    assert costs[200] <= costs[20]


def test_the_next_adjustment_recovers_first_and_says_so(kernel: FakeKernel, site: Site) -> None:
    crashed(kernel, site.state, PIDS, LOW)
    kernel.put("/rctl-web1", "pids.max", "50")
    asked = limits({"cpu.max": 1}, kernel.host)
    account = adjust(site, {"web1": asked}, Options())
    assert "rolled back" in account.notes[0]
    assert kernel.get("/rctl-web1", "pids.max") == "max"


def test_an_adjustment_that_is_still_under_way_is_left_alone(kernel: FakeKernel, site: Site) -> None:
    inodes = {"/rctl-web1": kernel.node("/rctl-web1").ino}
    living = Journal(site.state, Record("1", 1.0, BOOT, "", inodes, (PIDS, LOW)))
    kernel.put("/rctl-web1", "pids.max", "50")
    assert recover(site, 1) == []
    assert kernel.get("/rctl-web1", "pids.max") == "50"
    living.abandon()
