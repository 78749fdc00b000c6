"""What all adjustments together ask for: a fold over the history that a checkpoint may begin anywhere."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rctl.adjust.records.checkpoint import VERSION
from rctl.adjust.records.desired_limits import Checkpoint, DesiredLimits
from rctl.adjust.records.record_format import Record, decode, encode, version_of
from rctl.adjust.records.stable_name import stable_name
from rctl.adjust.steps import Label, Make, Remove, Set, Start, Step

BOOT, NEXT = "boot-1", "boot-2"
WEB, DB = "/rctl-web1", "/rctl-db"
_numbers = count(1)


def adjusted(*steps: Step, id: str = "", boot: str = BOOT, ino: int = 7, **more: Any) -> Record:  # noqa: A002
    number = next(_numbers)
    inodes = dict.fromkeys([step.path for step in steps], ino)
    version = version_of(steps, lasting=bool(more.keys() - {"undoes"}))
    record = Record(id or f"id{number}", float(number), boot, "rctl set", inodes, steps, version=version, **more)
    return decode(encode(record))


def to(new: str, old: str = "max", file: str = "pids.max", path: str = WEB, **more: Any) -> Set:
    return Set(path, file, old, new, **more)


def folded(*records: Record) -> DesiredLimits:
    found = DesiredLimits()
    for record in records:
        found.take(record)
    return found


def wanted(found: DesiredLimits, path: str = WEB, boot: str = BOOT, now: float = 0.0) -> dict[str, str]:
    ve = found.ves.get(stable_name(path))
    return {entry: layer.value for entry, layer in ve.present(boot, found.due(now)).items()} if ve else {}


class TestWhatIsDesired:
    def test_the_last_value_that_was_set(self) -> None:
        assert wanted(folded(adjusted(to("5")), adjusted(to("9", "5")))) == {"pids.max": "9"}

    def test_no_limit_is_a_wish_too(self) -> None:
        assert wanted(folded(adjusted(to("5")), adjusted(to("max", "5")))) == {"pids.max": "max"}

    def test_it_outlives_the_cgroup_and_the_boot(self) -> None:
        assert wanted(folded(adjusted(to("5")), adjusted(to("9", path=DB), boot=NEXT)), boot=NEXT) == {"pids.max": "5"}

    def test_a_container_that_is_renamed_keeps_them(self) -> None:
        box = f"/system.slice/docker-{'4f' * 32}.scope"
        old, new = {"names": {box: "docker:shop"}}, {"names": {box: "docker:web"}}
        found = folded(adjusted(to("5", path=box), **old), adjusted(to("9", file="cpu.weight", path=box), **new))
        assert list(found.ves) == ["docker:web"]
        assert set(found.ves["docker:web"].entries) == {"pids.max", "cpu.weight"}
        found.take(adjusted(to("6", "5", path=box), **old))
        assert list(found.ves) == ["docker:shop"]

    def test_limits_by_device_are_apart(self) -> None:
        found = folded(
            adjusted(to("rbps=1", "rbps=max", "io.max", key="8:0"), to("rbps=2", "rbps=max", "io.max", key="8:16"))
        )
        assert wanted(found) == {"io.max 8:0": "rbps=1", "io.max 8:16": "rbps=2"}

    def test_what_only_held_a_ve_back_is_no_wish(self) -> None:
        steps = to("4096", "max", "memory.high"), to("4096", "max", "memory.max"), to("max", "4096", "memory.high")
        assert wanted(folded(adjusted(*steps))) == {"memory.max": "4096"}

    def test_a_limit_that_the_kernel_changed_with_another_is_no_wish(self) -> None:
        idle = to("1", "0", "cpu.idle", disturbed=(("cpu.weight", "200"),))
        assert wanted(folded(adjusted(to("200", "100", "cpu.weight")), adjusted(idle))) == {"cpu.idle": "1"}

    def test_freezing_and_verbatim_text_are_none(self) -> None:
        assert wanted(folded(adjusted(to("1", "0", "cgroup.freeze"), to("7", "0", "memory.some", exact=False)))) == {}

    def test_labels_of_a_spec(self) -> None:
        found = folded(
            adjusted(Label(WEB, "env", None, "prod"), Label(WEB, "a", None, "b")), adjusted(Label(WEB, "a", "b", None))
        )
        assert found.ves[WEB].labels == {"env": "prod"}

    def test_what_puts_desired_limits_back_asks_for_nothing(self) -> None:
        found = folded(adjusted(to("5"), id="first"), adjusted(to("5", "9"), restores=True, boot=NEXT, ino=9))
        (layer,) = found.ves[WEB].entries["pids.max"].layers
        assert (layer.id, found.ves[WEB].boot, found.ves[WEB].ino) == ("first", NEXT, 9)


class TestUntilTheNextBoot:
    def test_it_lasts_for_this_boot_alone(self) -> None:
        found = folded(adjusted(to("5")), adjusted(to("9", "5"), runtime=True))
        assert wanted(found) == {"pids.max": "9"}
        assert wanted(found, boot=NEXT) == {"pids.max": "5"}

    def test_a_ve_that_goes_with_its_command_is_forgotten_with_it(self) -> None:
        found = folded(adjusted(Make(WEB), to("5"), Start(WEB, passing=True)))
        assert wanted(found) == {"pids.max": "5"}
        found.take(adjusted(to("64", file="memory.max"), ino=8))
        assert wanted(found) == {"memory.max": "64"}
        gone = folded(adjusted(Make(WEB), to("5"), Start(WEB, passing=True)), adjusted(to("5", path=DB), boot=NEXT))
        assert set(gone.checkpoint(VERSION).ves) == {DB}


class TestNames:
    def test_a_removed_ve_is_forgotten_with_what_is_below_it(self) -> None:
        found = folded(adjusted(to("5"), to("6", path=WEB + "/a"), to("7", path=WEB + "2")), adjusted(Remove(WEB)))
        assert set(found.ves) == {WEB + "2"}

    def test_a_renamed_ve_keeps_its_wishes_under_its_new_name(self) -> None:
        new = "/rctl-new"
        found = folded(
            adjusted(to("5"), Label(WEB, "env", None, "prod")),
            adjusted(Make(new, WEB), to("5", path=new), to("64", path=new, file="memory.max"), Remove(WEB)),
        )
        assert (set(found.ves), wanted(found, new), found.ves[new].labels) == (
            {new},
            {"pids.max": "5"},
            {"env": "prod"},
        )

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("/rctl-web1", "/rctl-web1"),
            ("/docker/4c01", "/docker/4c01"),
            ("/system.slice/nginx.service", "nginx.service"),
            ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
            ("/system.slice", "system.slice"),
            ("/user.slice/user-1000.slice", "user-1000.slice"),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/job.service", "user@1000.service/job.service"),
            ("/system.slice/rctl.service/ves/web1", "rctl.service/ves/web1"),
            ("/a.slice/plain", "a.slice/plain"),
            ("/", "/"),
        ],
    )
    def test_a_unit_has_its_name_in_whatever_slice(self, path: str, name: str) -> None:
        assert stable_name(path) == name

    def test_a_unit_that_changes_its_slice_keeps_its_wishes(self) -> None:
        first, then = "/system.slice/n.service", "/web.slice/n.service"
        found = folded(adjusted(to("5", path=first)), adjusted(to("64", file="memory.max", path=then)))
        assert wanted(found, then) == {"pids.max": "5", "memory.max": "64"}
        assert found.ves["n.service"].path == then


class TestUndo:
    def test_what_was_desired_before_is_desired_again(self) -> None:
        found = folded(adjusted(to("5")), adjusted(to("9", "5"), id="x"), adjusted(to("5", "9"), undoes="x"))
        assert wanted(found) == {"pids.max": "5"}

    def test_a_first_wish_that_is_undone_leaves_none(self) -> None:
        """Given a unit with a limit of its own, when a change of it is undone, then its owner decides again."""
        found = folded(adjusted(to("9", "3"), id="x"), adjusted(to("3", "9"), undoes="x"))
        assert wanted(found) == {}

    def test_an_older_one_is_taken_out_below_a_newer(self) -> None:
        found = folded(
            adjusted(to("5"), id="a"), adjusted(to("9", "5"), id="b"), adjusted(to("max", "9"), undoes="a"),
        )  # fmt: skip
        assert wanted(found) == {"pids.max": "max"}, "undo --force put the value from before back"

    def test_an_undo_that_wrote_nothing_leaves_the_newer_wish(self) -> None:
        found = folded(adjusted(to("5"), id="a"), adjusted(to("9", "5"), id="b"), adjusted(undoes="a"))
        assert wanted(found) == {"pids.max": "9"}

    def test_a_weight_ends_idle_also_if_somebody_else_had_ended_it_before(self) -> None:
        idle, weight = to("1", "0", "cpu.idle"), to("300", "100", "cpu.weight")
        assert wanted(folded(adjusted(idle), adjusted(weight))) == {"cpu.weight": "300"}

    def test_an_idle_ve_gets_its_desired_weight_back(self) -> None:
        found = folded(
            adjusted(to("200", "100", "cpu.weight")),
            adjusted(to("1", "0", "cpu.idle", disturbed=(("cpu.weight", "200"),)), id="x"),
            adjusted(to("0", "1", "cpu.idle"), to("200", "0", "cpu.weight"), undoes="x"),
        )
        assert wanted(found) == {"cpu.weight": "200"}

    def test_after_more_changes_than_are_kept_the_undo_says_the_value(self) -> None:
        many = [adjusted(to(str(n + 1), str(n)), id=f"n{n}") for n in range(40)]
        back = [adjusted(to(str(n), str(n + 1)), undoes=f"n{n}") for n in reversed(range(10, 40))]
        assert wanted(folded(*many, *back)) == {"pids.max": "10"}


class TestTimers:
    def test_a_timed_value_counts_until_its_time_is_over(self) -> None:
        found = folded(adjusted(to("5")), adjusted(to("9", "5"), until=100.0))
        assert wanted(found, now=99.0) == {"pids.max": "9"}
        assert wanted(found, now=100.0) == {"pids.max": "5"}

    def test_its_end_is_an_undo(self) -> None:
        found = folded(adjusted(to("9", "5"), id="t", until=100.0), adjusted(to("5", "9"), undoes="t"))
        assert (wanted(found), found.timers) == ({}, {})

    def test_it_can_be_extended_and_cancelled(self) -> None:
        timed = adjusted(to("9", "5"), id="t", until=100.0)
        found = folded(timed, adjusted(timer="t", until=200.0))
        assert wanted(found, now=150.0) == {"pids.max": "9"}
        found.take(adjusted(timer="t"))
        assert (wanted(found, now=999.0), found.timers) == ({"pids.max": "9"}, {})

    def test_one_that_ends_below_another_hands_on_the_value_to_go_back_to(self) -> None:
        """Given 1 until 10:05 over 0, and 2 until 10:10 over that, when the first ends, then the second goes to 0."""
        found = folded(
            adjusted(to("1", "0"), id="a", until=5.0), adjusted(to("2", "1"), id="b", until=10.0), adjusted(undoes="a")
        )
        ((ve, entry, place),) = found.layers_of("b")
        assert ve.entries[entry].layers[place].old == "0"

    def test_a_timer_is_never_cut(self) -> None:
        many = [adjusted(to(str(n), str(n - 1))) for n in range(2, 60)]
        found = folded(adjusted(to("1", "max"), id="t", until=9.0), *many)
        assert len(found.layers_of("t")) == 1
        assert len(found.ves[WEB].entries["pids.max"].layers) == 9


PATHS = st.sampled_from([WEB, DB, "/x/y", "/system.slice/n.service"])
FILES = st.sampled_from(["pids.max", "memory.max", "cpu.idle", "cpu.weight"])
STEPS = st.one_of(
    st.builds(Set, PATHS, FILES, st.sampled_from("123"), st.sampled_from("123")),
    st.builds(lambda path, old, new: Label(path, "env", old, new), PATHS, st.none(), st.sampled_from(["a", None])),
    st.builds(Remove, PATHS),
    st.builds(lambda path, passing: Start(path, passing), PATHS, st.booleans()),
    st.builds(lambda new, old: Make(new, old), st.sampled_from(["/r1", "/r2"]), st.sampled_from(["", WEB, DB])),
)  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    found: list[Record] = []
    boots = draw(st.integers(0, 30))
    for number in range(draw(st.integers(0, 30))):
        older = st.sampled_from([record.id for record in found] or ["none"])
        kind = draw(st.sampled_from(["set", "set", "set", "undo", "timer", "timed", "runtime", "restores"]))
        more: dict[str, Any] = {
            "set": {},
            "undo": {"undoes": draw(older)},
            "timer": {"timer": draw(older), "until": draw(st.sampled_from([msgspec.UNSET, 50.0]))},
            "timed": {"until": 20.0},
            "runtime": {"runtime": True},
            "restores": {"restores": True},
        }[kind]
        steps = () if kind == "timer" else tuple(draw(st.lists(STEPS, max_size=5)))
        boot = NEXT if number >= boots else BOOT
        found.append(adjusted(*steps, id=f"h{number}", boot=boot, ino=draw(st.integers(1, 3)), **more))
    return found


@given(histories(), st.integers(0, 30), st.integers(0, 30))
def test_the_fold_of_a_history_is_that_of_a_checkpoint_and_the_rest(records: list[Record], a: int, b: int) -> None:
    whole = folded(*records)
    found = DesiredLimits()
    first, second = sorted((a, b))
    for part in (records[:first], records[first:second], records[second:]):
        text = msgspec.json.encode(found.checkpoint(VERSION))
        found = DesiredLimits(msgspec.json.decode(text, type=Checkpoint))
        for record in part:
            found.take(record)
    assert msgspec.json.encode(found.checkpoint(VERSION)) == msgspec.json.encode(whole.checkpoint(VERSION))
