"""Records are not believed: whatever a journal or the history holds, each field is checked as a flag would be."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rctl.adjust.engine import Options, adjust
from rctl.adjust.records.history import history, latest
from rctl.adjust.records.journal import ForeignError, Journal, left_open, new_id, peek
from rctl.adjust.records.record_format import VERSION, NewerRecordError, Record, decode, encode
from rctl.adjust.recovery.recover import recover
from rctl.adjust.site import Site
from rctl.adjust.state_folder import State, make
from rctl.adjust.steps import Enable, Reclaim, Set
from rctl.adjust.undoing.undo import undo
from rctl.errors import RctlError, RollbackError
from rctl.limits import decode as decode_limits
from tests.unit.fake_kernel import BOOT, FakeKernel, state_folder

ID = "20261122-101500-000-0123abcd"
STEPS = (
    Enable("/", ("cpu", "memory")),
    Set("/rctl-web1", "memory.high", "max", "1048576", why="holds the VE back"),
    Reclaim("/rctl-web1", 1048576, 2097152),
    Set("/rctl-web1", "memory.max", "max", "1048576", disturbed=(("memory.high", "max"),), gentle=True),
    Set("/rctl-web1", "io.max", "rbps=max", "rbps=1", key="8:0"),
    Set("/rctl-web1", "cpu.idle", "0", "1", disturbed=(("cpu.weight", "200"),)),
    Set("/rctl-web1", "misc.max", "res_a 3\nres_b max", "res_a 4", exact=False),
)
GOOD = Record(ID, 1795342500.25, BOOT, "rctl set web1", {"/": 1, "/rctl-web1": 2}, STEPS)


@pytest.fixture
def state() -> Iterator[State]:
    with state_folder() as place:
        yield make(place)


def changed(**fields: Any) -> bytes:
    """The good record with other fields."""
    return json.dumps(json.loads(encode(GOOD)) | fields).encode()


def with_step(**fields: Any) -> bytes:
    """The good record with one more step."""
    step = {"type": "set", "path": "/rctl-web1", "file": "pids.max", "old": "max", "new": "5"}
    steps = [{name: value for name, value in (step | fields).items() if value is not None}]
    return changed(steps=[*json.loads(encode(GOOD))["steps"], *steps])


LABEL = {"type": "label", "path": "/rctl-web1", "key": "env", "old": None, "new": "prod"}


def with_label(version: int = VERSION, **fields: Any) -> bytes:
    """The good record with a label too."""
    return changed(steps=[*json.loads(encode(GOOD))["steps"], LABEL | fields], version=version)


BAD = {
    "a file outside the cgroup": with_step(file="../../x"),
    "a rename of the root": with_step(type="make", path="/rctl-new", instead="/"),
    "a rename from a path that leaves": with_step(type="make", path="/rctl-new", instead="/rctl-web1/../x"),
    "a rename to the same name": with_step(type="make", path="/rctl-new", instead="/rctl-new"),
    "an absolute file": with_step(file="/etc/passwd"),
    "a file that moves processes": with_step(file="cgroup.procs"),
    "a file that kills": with_step(file="cgroup.kill"),
    "an action": with_step(file="memory.reclaim"),
    "a controller's switch as a limit": with_step(file="cgroup.subtree_control"),
    "no file": with_step(file=""),
    "a path that leaves": with_step(path="/rctl-web1/../x"),
    "a path without an inode": with_step(path="/rctl-web2"),
    "a relative path": changed(inodes={"/": 1, "/rctl-web1": 2, "x": 3}),
    "a path not in normal form": changed(inodes={"/": 1, "/rctl-web1": 2, "/x/": 3}),
    "a path with an escape": changed(inodes={"/": 1, "/rctl-web1": 2, "/\x1b[2J": 3}),
    "no inodes": changed(inodes={}),
    "inode 0": changed(inodes={"/": 0, "/rctl-web1": 2}),
    "a negative inode": changed(inodes={"/": -1, "/rctl-web1": 2}),
    "a huge inode": changed(inodes={"/": 1 << 64, "/rctl-web1": 2}),
    "an inode as text": changed(inodes={"/": "1", "/rctl-web1": 2}),
    "a time before 1970": changed(time=-1.0),
    "a time after 9999": changed(time=1e18),
    "an infinite time": encode(GOOD).replace(b"1795342500.25", b"1e999"),
    "no number as time": encode(GOOD).replace(b"1795342500.25", b"NaN"),
    "an id that is a path": changed(id="../../x"),
    "an empty id": changed(id=""),
    "an id with an escape": changed(id="\x1b[2J"),
    "a long id": changed(id="x" * 65),
    "an undone id that is a path": changed(undoes="/x"),
    "a boot id with a line end": changed(boot_id="a\nb"),
    "an unknown field": changed(extra=1),
    "an unknown kind of step": with_step(type="mount"),
    "no kind of step": with_step(type=None),
    "a step without a value": with_step(new=None),
    "a value with an escape": with_step(new="\x1b[2J"),
    "a value with a null": with_step(new="\x00"),
    "a number that is none": with_step(new="five"),
    "an old number that is none": with_step(file="memory.max", old="many"),
    "a huge value": with_step(file="misc.max", new="x" * 65537),
    "a key that is no device": with_step(file="io.max", key="../x"),
    "a disturbed file outside": with_step(disturbed=[["../x", "1"]]),
    "a disturbed file of another": with_step(disturbed=[["memory.max", "1"]]),
    "a controller with a space": changed(steps=[{"type": "enable", "path": "/", "controllers": ["cpu -memory"]}]),
    "a reclaim below nothing": changed(steps=[{"type": "reclaim", "path": "/", "goal": -1, "usage": 1}]),
    "a label in a version without": with_label(version=2),
    "a label that is a path": with_label(key="../x"),
    "a label of another program": with_label(key="x\0y"),
    "an empty label": with_label(key=""),
    "a long label": with_label(key="x" * 64),
    "a label of another cgroup": with_label(path="/rctl-web2"),
    "a label with an escape": with_label(new="\x1b[2J"),
    "a label with a line end": with_label(old="a\nb"),
    "a label of bytes that are no text": with_label(old="\udcff"),
    "a huge label": with_label(new="x" * 257),
    "a number as a label": with_label(new=1),
    "a disk's name that is two words": changed(disks={"8:0": "sda 8:16"}, version=VERSION),
    "a name of what is no disk": changed(disks={"sda": "sda"}, version=VERSION),
    "a disk's name in a version without": changed(disks={"8:0": "sda"}, version=6),
    "version 0": changed(version=0),
    "a newer version": changed(version=VERSION + 1),
    "a newer version with fields of its own": changed(version=VERSION + 1, extra=[1]),
    "a newer version with a step of its own": with_step(type="mount", version=None)[:-1]
    + b', "version": %d}' % (VERSION + 1),
    "a version as text": changed(version="1"),
    "nothing": b"",
    "a list": b"[]",
    "a number": b"1",
    "no text": b"\x00\xff",
    "half of a record": encode(GOOD)[:100],
    "very deep": b"[" * 100_000,
}


NEWER = ("a newer version", "a newer version with fields of its own", "a newer version with a step of its own")


def test_a_good_record_is_read_as_it_was_written() -> None:
    assert decode(encode(GOOD)) == GOOD


@pytest.mark.parametrize("values", [{}, {"old": "", "new": None}, {"key": "a/b.c_d-e", "new": "\u00fc" * 256}])
def test_a_label_is_read_as_it_was_written(values: dict[str, str | None]) -> None:
    record = decode(with_label(**values))
    assert msgspec.to_builtins(record.steps[-1]) == LABEL | values
    assert decode(encode(record)) == record


def test_a_record_without_a_version_is_of_the_first() -> None:
    data = json.loads(encode(GOOD))
    del data["version"]
    assert decode(json.dumps(data).encode()) == msgspec.structs.replace(GOOD, version=1)


@pytest.mark.parametrize("what", BAD)
def test_a_record_with(what: str) -> None:
    with pytest.raises(ValueError, match=r"^.+$") as caught:
        decode(BAD[what])
    assert "\n" not in str(caught.value)


def test_the_version_of_a_newer_rctl_is_the_reason_that_is_given() -> None:
    for what in NEWER:
        with pytest.raises(NewerRecordError, match=rf"is of a newer rctl \(record version {VERSION + 1}"):
            decode(BAD[what])


@pytest.mark.parametrize("what", BAD)
def test_a_planted_journal_with(what: str, state: State) -> None:
    """Is set aside and named; nothing is opened or written for it, and the history takes nothing of it."""
    kernel = FakeKernel()
    kernel.make("/rctl-web1")
    before = kernel.limits()
    place = Path(state.journals, f"{ID}.json")
    place.write_bytes(BAD[what])
    place.chmod(0o600)
    with kernel.installed() as tree:
        reason = "Run rctl recover of that rctl" if what in NEWER else "not a journal of rctl"
        with pytest.raises(RollbackError, match=reason) as caught:
            recover(Site(tree, kernel.host, state), 1)
        assert "\n" not in str(caught.value)
        assert [op for op in kernel.operations if not op.kind.startswith("journal")] == []
    assert kernel.limits() == before
    assert history(state) == []


@pytest.mark.parametrize("what", BAD)
def test_a_planted_line_of_the_history_with(what: str, state: State) -> None:
    """Is passed over and named; what lies before and after it counts. But undo stops at one of a newer rctl."""
    kernel = FakeKernel()
    kernel.make("/rctl-web1")
    Path(state.history).write_bytes(encode(GOOD) + b"\n" + BAD[what] + b"\n" + changed(id="b", undoes=ID) + b"\n")
    refused: list[str] = []
    reason = "may have undone those before it" if what in NEWER else "nothing left to undo"
    assert [record.id for record in latest(state, refused)] == ["b", ID]
    assert len(refused) == (1 if BAD[what] else 0)
    with kernel.installed() as tree, pytest.raises(RctlError, match=reason):
        undo(Site(tree, kernel.host, state), Options())


@settings(max_examples=200)
@given(st.data())
def test_any_json_in_any_field_is_a_record_or_an_error_of_one_line(data: st.DataObject) -> None:
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
        max_leaves=5,
    )
    fields = json.loads(data.draw(st.sampled_from([encode(GOOD), with_label()])))
    place = data.draw(st.sampled_from([fields, fields["inodes"], *fields["steps"]]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(anything)
    line = json.dumps(fields).encode()
    try:
        record, reason = decode(line), ""
    except ValueError as error:
        record, reason = GOOD, str(error)
    assert decode(encode(record)) == record
    assert "\n" not in reason


# Versions


def test_the_version_is_written_in_journal_and_history(state: State) -> None:
    journal = Journal(state, GOOD)
    assert json.loads(Path(state.journals, f"{ID}.json").read_bytes())["version"] == GOOD.version
    journal.close(done=True)
    assert json.loads(Path(state.history).read_bytes())["version"] == GOOD.version


@pytest.mark.parametrize("what", NEWER)
def test_undo_takes_nothing_older_back_than_an_adjustment_of_a_newer_rctl(what: str, state: State) -> None:
    """Given one before and one after it: undo takes back the one after, and refuses the one before, by its id too."""
    kernel = FakeKernel()
    kernel.make("/rctl-web1")
    with kernel.installed() as tree:
        site = Site(tree, kernel.host, state)

        def set_pids(most: str) -> str:
            account = adjust(
                Site(tree, kernel.host, state), {"web1": decode_limits({"pids": {"max": most}}, kernel.host)}
            )
            assert account.id
            return account.id

        before = set_pids("5")
        with open(state.history, "ab") as file:
            file.write(BAD[what] + b"\n")
        after = set_pids("6")
        assert [undone.record.id for undone in undo(site, Options())] == [after]
        for wanted in (None, before):
            with pytest.raises(RctlError, match=r"is of a newer rctl .*, and may have undone"):
                undo(site, Options(), wanted)
    assert kernel.get("/rctl-web1", "pids.max") == "5"


@pytest.mark.parametrize("settle", [False, True], ids=["open", "set aside"])
@pytest.mark.parametrize("what", NEWER)
def test_undo_waits_for_a_journal_of_a_newer_rctl(what: str, settle: bool, state: State) -> None:
    kernel = FakeKernel()
    kernel.make("/rctl-web1")
    with kernel.installed() as tree:
        limits = decode_limits({"pids": {"max": "5"}}, kernel.host)
        adjust(Site(tree, kernel.host, state), {"web1": limits})
        place = Path(state.journals, f"{ID}.json")
        place.write_bytes(BAD[what])
        place.chmod(0o600)
        if settle:
            with pytest.raises(RollbackError, match=r"set aside as \S+\.aside\. Run rctl recover of that rctl"):
                recover(Site(tree, kernel.host, state), 1)
        with pytest.raises(RctlError, match=r"may count as the last one\. Settle it with rctl recover of that rctl"):
            undo(Site(tree, kernel.host, state), Options())
    assert kernel.get("/rctl-web1", "pids.max") == "5"


def test_a_longer_line_of_a_journal_that_is_of_a_newer_rctl_counts(state: State) -> None:
    """It is none that a crash tore."""
    Journal(state, GOOD).abandon()
    with open(f"{state.journals}/{ID}.json", "ab") as file:
        file.write(b"\n" + BAD["a newer version"] + b"\n")
    with pytest.raises(ForeignError, match="is of a newer rctl"):
        Journal.adopt(state, f"{ID}.json")


# Who owns a journal, and what it is


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_journal_that_others_may_write_is_none(state: State, mode: int) -> None:
    Journal(state, GOOD).abandon()
    Path(state.journals, f"{ID}.json").chmod(mode)
    with pytest.raises(ForeignError, match="others may write to it"):
        Journal.adopt(state, f"{ID}.json")
    with pytest.raises(ForeignError, match="others may write to it"):
        peek(state, f"{ID}.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_journal_of_another_owner_is_none(state: State) -> None:
    Journal(state, GOOD).abandon()
    os.chown(Path(state.journals, f"{ID}.json"), 12345, 12345)
    with pytest.raises(ForeignError, match="belongs to user 12345"):
        Journal.adopt(state, f"{ID}.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_history_of_another_owner_is_not_read(state: State) -> None:
    Journal(state, GOOD).close(done=True)
    os.chown(state.history, 12345, 12345)
    with pytest.raises(RctlError, match="belongs to user 12345"):
        history(state)


def test_a_journal_under_another_name_than_its_id_is_none(state: State) -> None:
    Journal(state, GOOD).abandon()
    Path(state.journals, f"{ID}.json").rename(Path(state.journals, "20261122-2.json"))
    with pytest.raises(ForeignError, match="which is not its name"):
        Journal.adopt(state, "20261122-2.json")


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "sparse"])
def test_what_is_no_file_of_a_sensible_size_is_no_journal(state: State, tmp_path: Path, kind: str) -> None:
    place = Path(state.journals, f"{ID}.json")
    if kind == "fifo":
        os.mkfifo(place, 0o600)
    elif kind == "folder":
        place.mkdir()
    elif kind == "link":
        (tmp_path / "elsewhere").write_bytes(encode(GOOD))
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.touch(0o600)
        os.truncate(place, 1 << 40)
    for look in (Journal.adopt, peek):
        with pytest.raises(ForeignError, match="not a journal of rctl"):
            look(state, place.name)


# Ids


def test_journals_with_the_same_id_do_not_replace_one_another(state: State) -> None:
    first = Journal(state, GOOD)
    with pytest.raises(RctlError, match=r"nothing was changed: File exists\. Try again"):
        Journal(state, Record(ID, 2.0, BOOT, "another", {}, ()))
    assert peek(state, f"{ID}.json") == GOOD
    assert os.listdir(state.journals) == [f"{ID}.json"]
    first.abandon()
    assert left_open(state) == [f"{ID}.json"]


def test_ids_of_one_moment_are_not_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1795342500.25)
    assert len({new_id() for _ in range(1000)}) == 1000
