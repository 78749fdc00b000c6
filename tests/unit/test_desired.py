"""What each VE's limits were last set to, learned from the history as it grows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import msgspec
import pytest

from rctl.adjust.records import failures, history, log_files
from rctl.adjust.records.desired import Desired
from rctl.adjust.records.history import Record
from rctl.adjust.records.record_format import VERSION
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Enable, Reclaim, Set, Step

BOOT = "this-boot"
INO = 4711
_numbers = count()


@pytest.fixture
def state(tmp_path: Path) -> State:
    return make(State(f"{tmp_path}/run", f"{tmp_path}/keep"))


@pytest.fixture
def desired(state: State) -> Iterator[Desired]:
    found = Desired(state, BOOT)
    yield found
    found.close()


def step(file: str = "memory.max", new: str = "1048576", key: str = "", exact: bool = True) -> Set:
    return Set("/rctl-web1", file, "max", new, key, exact)


def adjusted(state: State, *steps: Step, boot: str = BOOT, ino: int = INO) -> None:
    record = Record(f"id{next(_numbers)}", 1.0, boot, "rctl set", {"/": 1, "/rctl-web1": ino}, steps)
    history.append(state, state.history, msgspec.json.encode(record))


class TestDrift:
    def test_a_limit_that_is_as_rctl_set_it_has_not_drifted(self, state: State, desired: Desired) -> None:
        adjusted(state, step())
        desired.refresh()
        assert desired.drift(INO, {"memory.max": "1048576\n"}) == {"memory.max": False}

    def test_one_that_somebody_else_changed_has(self, state: State, desired: Desired) -> None:
        adjusted(state, step())
        desired.refresh()
        assert desired.drift(INO, {"memory.max": "max\n"}) == {"memory.max": True}

    def test_of_a_limit_that_rctl_never_set_nothing_is_said(self, state: State, desired: Desired) -> None:
        adjusted(state, step())
        desired.refresh()
        assert desired.drift(INO, {"memory.max": "1048576\n", "pids.max": "5\n"}) == {"memory.max": False}

    def test_of_a_file_that_is_not_there_nothing_is_said(self, state: State, desired: Desired) -> None:
        adjusted(state, step())
        desired.refresh()
        assert desired.drift(INO, {}) == {}

    def test_a_ve_made_again_under_the_same_name_is_another(self, state: State, desired: Desired) -> None:
        adjusted(state, step())
        desired.refresh()
        assert desired.drift(INO + 1, {"memory.max": "max\n"}) == {}

    def test_limits_by_device(self, state: State, desired: Desired) -> None:
        adjusted(state, step("io.max", "rbps=1 wbps=max riops=max wiops=max", "8:0"), step("io.max", "rbps=2", "8:16"))
        desired.refresh()
        found = desired.drift(INO, {"io.max": "8:0 rbps=1 wbps=max riops=max wiops=max\n"})
        assert found == {"io.max 8:0": False, "io.max 8:16": True}

    def test_huge_pages(self, state: State, desired: Desired) -> None:
        adjusted(state, step("hugetlb.2MB.max", "2097152"))
        desired.refresh()
        assert desired.drift(INO, {"hugetlb.2MB.max": "0\n"}) == {"hugetlb.2MB.max": True}

    def test_the_last_adjustment_counts_an_undo_too(self, state: State, desired: Desired) -> None:
        adjusted(state, step(new="1048576"))
        adjusted(state, step(new="max"))
        desired.refresh()
        assert desired.drift(INO, {"memory.max": "max\n"}) == {"memory.max": False}

    def test_a_file_that_was_written_verbatim_is_not_compared(self, state: State, desired: Desired) -> None:
        adjusted(state, step("memory.some", "0", exact=False))
        desired.refresh()
        assert desired.drift(INO, {"memory.some": "1\n"}) == {}

    def test_a_limit_that_the_kernel_changed_with_another_is_not_compared(self, state: State, desired: Desired) -> None:
        adjusted(state, step("cpu.weight", "200"))
        adjusted(state, Set("/rctl-web1", "cpu.idle", "0", "1", disturbed=(("cpu.weight", "200"),)))
        desired.refresh()
        assert desired.drift(INO, {"cpu.weight": "0\n", "cpu.idle": "1\n"}) == {"cpu.idle": False}

    def test_an_idle_ve_that_gets_a_weight_again(self, state: State, desired: Desired) -> None:
        adjusted(state, step("cpu.idle", "0"), step("cpu.weight", "300"))
        desired.refresh()
        assert desired.drift(INO, {"cpu.weight": "300\n", "cpu.idle": "0\n"}) == {
            "cpu.idle": False,
            "cpu.weight": False,
        }

    def test_a_partition_that_becomes_valid_has_not_drifted(self, state: State, desired: Desired) -> None:
        adjusted(state, step("cpuset.cpus.partition", "root invalid (Cpu list empty)"))
        desired.refresh()
        assert desired.drift(INO, {"cpuset.cpus.partition": "root\n"}) == {"cpuset.cpus.partition": False}
        assert desired.drift(INO, {"cpuset.cpus.partition": "member\n"}) == {"cpuset.cpus.partition": True}


class TestWhatIsTold:
    def test_another_boots_adjustments_hold_no_more(self, state: State, desired: Desired) -> None:
        adjusted(state, step(), boot="another")
        desired.refresh()
        assert desired.drift(INO, {"memory.max": "max\n"}) == {}

    def test_what_was_adjusted_before_it_began_is_known(self, state: State) -> None:
        adjusted(state, step())
        desired = Desired(state, BOOT)
        assert desired.drift(INO, {"memory.max": "max\n"}) == {"memory.max": True}
        desired.close()

    def test_a_torn_line_and_a_strange_one_are_left_out(self, state: State, desired: Desired) -> None:
        adjusted(state, step())
        with open(state.history, "ab") as file:
            file.write(b'{"id": "x"}\n[]\n\xff\n{"id": "torn')
        adjusted(state, step("pids.max", "7"))
        desired.refresh()
        assert desired.drift(INO, {"memory.max": "max\n", "pids.max": "7\n"}) == {"memory.max": True, "pids.max": False}

    def test_an_adjustment_of_a_newer_rctl_is_refused_with_a_reason(self, state: State, desired: Desired) -> None:
        """What it set is not known, so nothing is told of what was set before; what is set later is known."""
        adjusted(state, step())
        desired.refresh()
        assert desired.refused == ""
        with open(state.history, "ab") as file:
            file.write(b'{"version": 99, "what": "comes"}\n')
        adjusted(state, step("pids.max", "7"))
        before = desired.version
        desired.refresh()
        assert desired.drift(INO, {"memory.max": "max\n", "pids.max": "7\n"}) == {"pids.max": False}
        assert desired.version > before
        assert f"an adjustment is of a newer rctl (record version 99, this rctl knows {VERSION})" in desired.refused
        again = Desired(state, BOOT)
        assert again.refused == desired.refused
        assert again.drift(INO, {"memory.max": "max\n", "pids.max": "7\n"}) == {"pids.max": False}
        again.close()

    def test_a_history_that_begins_anew(self, state: State, desired: Desired, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log_files, "_PART", 1000)
        for number in range(20):
            adjusted(state, step("pids.max", str(number)))
            desired.refresh()
            assert desired.drift(INO, {"pids.max": f"{number}\n"}) == {"pids.max": False}
        again = Desired(state, BOOT)
        assert again.drift(INO, {"pids.max": "19\n"}) == {"pids.max": False}
        again.close()

    def test_no_history_holds_nothing(self, tmp_path: Path) -> None:
        desired = Desired(State(f"{tmp_path}/no", f"{tmp_path}/nowhere"), BOOT)
        desired.refresh()
        assert (desired.drift(INO, {"memory.max": "max\n"}), desired.version) == ({}, 0)
        desired.close()

    def test_the_version_changes_with_every_adjustment_and_only_then(self, state: State, desired: Desired) -> None:
        before = desired.version
        desired.refresh()
        assert desired.version == before
        adjusted(state, step())
        desired.refresh()
        assert desired.version != before

    def test_cgroups_that_are_gone_can_be_forgotten(self, state: State, desired: Desired) -> None:
        for ino in range(1, 100):
            adjusted(state, step(), ino=ino)
        desired.refresh()
        assert len(desired) == 99
        desired.keep({7, 1000})
        assert len(desired) == 1
        assert desired.drift(7, {"memory.max": "max\n"}) == {"memory.max": True}


class TestCounts:
    def test_what_was_written_since_it_began_is_counted_by_file(self, state: State) -> None:
        adjusted(state, step(), step("pids.max", "7"))
        desired = Desired(state, BOOT)
        assert desired.writes == {}
        adjusted(state, Enable("/", ("memory",)), Reclaim("/rctl-web1", 1, 2), step(), step("pids.max", "7"))
        adjusted(state, step())
        desired.refresh()
        assert desired.writes == {"memory.max": 2, "pids.max": 1}
        desired.close()

    def test_what_could_not_be_written_too(self, state: State) -> None:
        failures.note(state, step(), OSError("before"))
        desired = Desired(state, BOOT)
        failures.note(state, step("io.max", "rbps=1", "8:0"), OSError("no such disk"))
        failures.note(state, Enable("/", ("memory",)), OSError("not a limit"))
        with open(state.failures, "ab") as file:
            file.write(b"torn")
        failures.note(state, step("io.max", "rbps=1", "8:0"), OSError("no such disk"))
        desired.refresh()
        assert desired.failures == {"io.max": 2}
        desired.close()

    def test_a_failure_carries_a_version_and_lines_before_it_are_read_as_such(self, state: State) -> None:
        desired = Desired(state, BOOT)
        failures.note(state, step(), OSError("why"))
        with open(state.failures, "rb+") as file:
            line = file.read()
            assert b'"version":1' in line
            file.write(line.replace(b',"version":1', b""))
        desired.refresh()
        assert (desired.failures, desired.refused) == ({"memory.max": 2}, "")
        desired.close()

    def test_a_failure_of_a_newer_version_is_not_counted_and_said(self, state: State) -> None:
        failures.note(state, step(), OSError("why"))
        desired = Desired(state, BOOT)
        with open(state.failures, "ab") as file:
            file.write(b'{"version":2,"limit":{"file":"memory.max"}}\n')
        failures.note(state, step(), OSError("why"))
        desired.refresh()
        assert desired.failures == {"memory.max": 1}
        assert desired.refused == (
            f"{state.failures}: a line is of a newer rctl (version 2, this rctl knows 1); it is not counted"
        )
        desired.close()

    def test_a_failure_on_a_disk_that_is_not_there_makes_matters_no_worse(self, tmp_path: Path) -> None:
        failures.note(State("/nowhere", f"{tmp_path}/nowhere"), step(), OSError("why"))
        assert list(tmp_path.iterdir()) == []
