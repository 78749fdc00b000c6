"""A rolling change as it is typed: batches all or nothing, checks, one budget of failures, and going on."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from rctl.adjust.records.history import history
from rctl.adjust.state_folder import State
from rctl.api.session import session
from rctl.errors import RctlError
from rctl.over_time import rolling
from tests.unit.fake_calls import Operation
from tests.unit.shell import Shell

COUNT = 10
ID = re.compile(r"\d{8}-\d{6}-\d{3}-[0-9a-f]{8}")


@pytest.fixture
def many(shell: Shell) -> Shell:
    """Ten VEs, web1 to web10."""
    for number in range(3, COUNT + 1):
        shell.kernel.make(f"/rctl-web{number}")
    return shell


def limits(shell: Shell) -> list[str]:
    return [shell.kernel.get(f"/rctl-web{number}", "pids.max") for number in range(1, COUNT + 1)]


def names() -> list[str]:
    """In the order of the batches, which is that of ``ls``."""
    return sorted(f"web{number}" for number in range(1, COUNT + 1))


def changed(shell: Shell, value: str = "7") -> list[str]:
    return [name for name in names() if shell.kernel.get(f"/rctl-{name}", "pids.max") == value]


def broken_at(shell: Shell, *ves: str) -> None:
    """From now on, writing pids.max of these VEs fails."""

    def answer(operation: Operation) -> int | None:
        at = operation.kind == "write" and operation.file == "pids.max"
        bad = at and operation.path in {f"/rctl-{ve}" for ve in ves}
        return 5 if bad else None

    shell.kernel.broken = answer


def the_id(text: str) -> str:
    found = ID.search(text)
    assert found, text
    return found[0]


def test_each_batch_is_one_adjustment_and_all_are_one_change(many: Shell) -> None:
    status, out, err = many.run("set", "web*", "pids.max=7", "--batch", "30%")
    assert (status, err) == (0, "")
    first, *rest, end = out.splitlines()
    change = the_id(first)
    assert first == f"{change}: 10 VEs in 4 batches"
    assert rest == [
        "batch 1 of 4: web1, web10, web2",
        "batch 2 of 4: web3, web4, web5",
        "batch 3 of 4: web6, web7, web8",
        "batch 4 of 4: web9",
    ]
    assert end == f"{change}: all 10 VEs are done. To take them back: rctl undo {change}"
    assert limits(many) == ["7"] * COUNT
    records = history(State(f"{many.state}/run", many.state))
    assert [len(record.steps) for record in records if record.part] >= [3, 3, 3, 1]
    assert os.listdir(f"{many.state}/run/changes") == []


def test_the_history_shows_one_change_and_undo_takes_it_back_whole(many: Shell) -> None:
    many.run("set", "web1", "pids.max=3")
    change = the_id(many.run("set", "web*", "pids.max=7", "--batch", "4")[1])
    _, out, _ = many.run("history")
    (line,) = [line for line in out.splitlines() if change in line]
    assert line.split()[3:7] == ["10", "10", "3", "parts"]
    listed = json.loads(many.run("history", "--json")[1])
    assert [part["number"] for part in listed[0]["parts"]] == [1, 2, 3]
    status, out, _ = many.run("undo")
    assert (status, out.splitlines()[0].split()[1]) == (0, change)
    assert limits(many) == ["3"] + ["max"] * (COUNT - 1)
    assert "undone, 3 parts" in many.run("history")[1]
    status, _, err = many.run("undo", change)
    assert (status, "was undone already" in err) == (1, True)
    many.run("undo")
    assert limits(many)[0] == "max"


def test_a_batch_whose_values_were_there_already_is_a_part_like_the_others(many: Shell) -> None:
    many.kernel.put("/rctl-web10", "pids.max", "7")  # nobody's wish so far
    change = the_id(many.run("set", "web*", "pids.max=7", "--batch", "1")[1])
    (one,) = json.loads(many.run("history", "--json")[1])
    assert [part["number"] for part in one["parts"]] == list(range(1, COUNT + 1))
    assert many.run("undo")[1].splitlines()[0].split()[1] == change
    assert limits(many) == ["max"] * (COUNT - 1) + ["7"]


def test_one_batch_can_be_taken_back_by_its_own_id(many: Shell) -> None:
    change = the_id(many.run("set", "web*", "pids.max=7", "--batch", "5")[1])
    second = json.loads(many.run("history", "--json")[1])[0]["parts"][1]["id"]
    assert many.run("undo", second)[0] == 0
    assert changed(many) == names()[:5]
    assert many.run("undo", change)[0] == 0
    assert changed(many) == []


def test_undo_of_a_change_is_all_or_nothing(many: Shell) -> None:
    change = the_id(many.run("set", "web*", "pids.max=7", "--batch", "5")[1])
    many.run("set", "web9", "pids.max=8")
    status, _, err = many.run("undo", change)
    assert (status, "pids.max: on /rctl-web9 is 8 now" in err) == (1, True)
    assert len(changed(many)) == COUNT - 1


def test_a_failed_batch_is_put_back_and_ends_the_change(many: Shell) -> None:
    broken_at(many, "web4")
    status, out, err = many.run("set", "web*", "pids.max=7", "--batch", "3")
    assert status == 4
    assert changed(many) == names()[:3]
    assert "web4" in err
    assert out.splitlines()[-1].endswith(
        f"3 of 10 VEs are done and stay, 1 failed, 6 not begun. Go on: rctl set --retry {the_id(out)}; "
        f"take back: rctl undo {the_id(out)}"
    )


def test_retry_goes_on_where_it_stopped(many: Shell) -> None:
    broken_at(many, "web4")
    change = the_id(many.run("set", "web*", "pids.max=7", "--batch", "3")[1])
    many.kernel.broken = lambda _: None
    many.kernel.operations.clear()
    status, out, err = many.run("set", "--retry", change)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == f"{change}: 10 VEs in 3 batches"
    assert limits(many) == ["7"] * COUNT
    assert not [w for w in many.kernel.writes if w.path == "/rctl-web1"], "it was done"
    assert many.run("undo", change)[0] == 0
    assert changed(many) == []
    assert "no rolling change with this id is unfinished" in many.run("set", "--retry", change)[2]


def test_with_a_budget_the_others_of_a_failed_batch_are_done_one_by_one(many: Shell) -> None:
    broken_at(many, "web4", "web9")
    status, out, err = many.run("set", "web*", "pids.max=7", "--batch", "5", "--abort-after", "3")
    assert status == 4
    assert changed(many) == [name for name in names() if name not in ("web4", "web9")]
    assert len([line for line in err.splitlines() if line.startswith("rctl: ")]) == 2
    assert "8 of 10 VEs are done and stay, 2 failed. Go on" in out


def test_the_budget_is_one_over_all_batches(many: Shell) -> None:
    broken_at(many, "web10", "web4", "web5")
    status, out, _ = many.run("set", "web*", "pids.max=7", "--batch", "2", "--abort-after", "2")
    assert status == 4
    assert changed(many) == ["web1", "web2", "web3"]
    assert "2 failed" in out


def test_on_abort_undo_puts_all_back(many: Shell) -> None:
    many.run("set", "web1", "pids.max=3")
    broken_at(many, "web4")
    status, out, _ = many.run("set", "web*", "pids.max=7", "--batch", "2", "--on-abort", "undo")
    assert status == 1
    assert limits(many) == ["3"] + ["max"] * (COUNT - 1)
    assert "stopped, 1 failed; nothing is changed. Go on: rctl set --retry" in out
    many.kernel.broken = lambda _: None
    assert many.run("set", "--retry", the_id(out))[0] == 0
    assert limits(many) == ["7"] * COUNT


def test_retry_after_an_undo_begins_again(many: Shell) -> None:
    broken_at(many, "web4")
    change = the_id(many.run("set", "web*", "pids.max=7", "--batch", "3")[1])
    many.kernel.broken = lambda _: None
    many.run("undo", change)
    assert changed(many) == []
    assert many.run("set", "--retry", change)[0] == 0
    assert limits(many) == ["7"] * COUNT
    assert many.run("undo", change)[0] == 0
    assert changed(many) == []


def test_nothing_done_is_no_change(many: Shell) -> None:
    broken_at(many, "web1")
    status, out, _ = many.run("set", "web*", "pids.max=7", "--batch", "1")
    assert (status, changed(many)) == (1, [])
    assert "nothing is changed" in out


def living(session: int) -> list[str]:
    """The states of the processes of a session that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            stat = path.read_text().rpartition(")")[2].split()
            found += [stat[0]] if stat[3] == str(session) and stat[0] != "Z" else []
    return found


class TestCheck:
    def test_it_runs_for_each_ve_with_its_name_and_path(self, many: Shell, tmp_path: Path) -> None:
        note = tmp_path / "note"
        command = f"sh -c 'echo $RCTL_VE $RCTL_CGROUP $RCTL_PATH $RCTL_BATCH >>{note}'"
        assert many.run("set", "web*", "pids.max=7", "--batch", "5", "--check", command)[0] == 0
        lines = sorted(note.read_text().splitlines())
        mount = "/sys/fs/cgroup"
        assert len(lines) == COUNT
        assert lines[0] == f"web1 /rctl-web1 {mount}/rctl-web1 1"
        assert lines[-1] == f"web9 /rctl-web9 {mount}/rctl-web9 2"

    def test_a_ve_that_fails_it_counts_and_keeps_its_limits(self, many: Shell) -> None:
        command = "sh -c 'echo bad news; test $RCTL_VE != web3'"
        status, out, err = many.run("set", "web*", "pids.max=7", "--batch", "4", "--check", command)
        assert status == 4
        assert "web3: the check failed: exit status 1: bad news" in err
        assert changed(many) == names()[:4]
        change = the_id(out)
        assert "3 of 10 VEs are done and stay, 1 failed, 6 not begun" in out
        status, out, err = many.run("set", "--retry", change)
        assert status == 4, "web3 is checked again"

    def test_one_that_does_not_end_is_killed(self, many: Shell, tmp_path: Path) -> None:
        note = tmp_path / "pids"
        command = f"sh -c 'echo $$ >>{note}; sleep 1000 & sleep 1000'"
        status, _, err = many.run(
            "set", "web1", "pids.max=7", "--batch", "4", "--check", command, "--check-timeout", "2s"
        )
        assert (status, "web1: the check failed: did not end within 2 s" in err) == (4, True)
        until = time.monotonic() + 20
        while any(map(living, map(int, note.read_text().split()))):  # a kill takes effect a little later
            assert time.monotonic() < until

    def test_one_that_a_signal_ends_says_so(self, many: Shell) -> None:
        err = many.run("set", "web1", "pids.max=7", "--batch", "4", "--check", "sh -c 'kill -9 $$'")[2]
        assert "web1: the check failed: killed by SIGKILL" in err

    def test_much_output_stops_nothing(self, many: Shell) -> None:
        command = "sh -c 'seq 100000; exit 3'"
        err = many.run("set", "web1", "pids.max=7", "--batch", "4", "--check", command)[2]
        assert "exit status 3: 100000" in err


class TestInterrupted:
    def stop(self, many: Shell, batch: int, *more: str) -> tuple[int, str, str]:
        """Ctrl-C when so many batches are over."""

        def ended(real: Callable[..., None]) -> Callable[..., None]:
            def add(log: object, line: object) -> None:
                real(log, line)
                nonlocal batch
                batch -= 1
                if batch == 0:
                    os.kill(os.getpid(), signal.SIGINT)

            return add

        from rctl import cli

        before = signal.signal(signal.SIGINT, cli._interrupt)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(rolling.ChangeLog, "add", ended(rolling.ChangeLog.add))
                return many.run("set", "web*", "pids.max=7", "--batch", "2", *more)
        finally:
            signal.signal(signal.SIGINT, before)

    def test_what_is_done_stays_and_can_go_on(self, many: Shell) -> None:
        status, out, err = self.stop(many, 2)
        change = the_id(out)
        assert status == 130
        assert changed(many) == names()[:4]
        assert (
            f"4 of 10 VEs are changed and stay; go on: rctl set --retry {change}; take back: rctl undo {change}" in err
        )
        assert many.run("set", "--retry", change)[0] == 0
        assert limits(many) == ["7"] * COUNT

    def test_on_abort_undo_puts_back(self, many: Shell) -> None:
        status, _, err = self.stop(many, 2, "--on-abort", "undo")
        assert (status, changed(many)) == (130, [])
        assert "was put back" in err

    def test_before_the_first_batch_nothing_is_changed(self, many: Shell) -> None:
        many.kernel.faults[25] = "interrupt"
        status, _, err = many.run("set", "web*", "pids.max=7", "--batch", "2")
        assert (status, changed(many)) == (130, [])
        assert "interrupted" in err


def test_one_that_another_process_undoes_stops_at_once(many: Shell) -> None:
    real = rolling.ChangeLog.add

    def add(log: rolling.ChangeLog, line: rolling.Line) -> None:
        real(log, line)
        if len(log.done) == 4:
            with session() as other:
                other.undo(log.request.id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rolling.ChangeLog, "add", add)
        status, _, err = many.run("set", "web*", "pids.max=7", "--batch", "2")
    assert (status, changed(many)) == (1, [])
    assert "was undone by another process, so the other batches were not begun" in err
    (left,) = os.listdir(f"{many.state}/run/changes")
    assert many.run("set", "--retry", left)[0] == 0
    assert limits(many) == ["7"] * COUNT


def test_a_dry_run_shows_the_batches_and_changes_nothing(many: Shell) -> None:
    status, out, err = many.run("set", "web*", "pids.max=7", "--batch", "6", "--dry-run")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("batch 1 of 2: web1, web10, web2, web3, web4 and 1 more")
    assert lines.count("  pids.max: max -> 7") == COUNT
    assert lines[-1] == "10 VEs; nothing is changed"
    assert changed(many) == []
    assert not os.path.exists(f"{many.state}/history.jsonl")


def test_events_as_json_lines(many: Shell) -> None:
    broken_at(many, "web4")
    out = many.run("set", "web*", "pids.max=7", "--batch", "3", "--json")[1]
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == ["begin", "set", "batch", "batch", "end"]
    assert events[1]["account"]["outcomes"][0]["status"] == "changed"
    assert (events[2]["done"], events[2]["names"]) == (3, ["web1", "web10", "web2"])
    assert events[3]["failed"].keys() == {"web4"}
    assert (events[-1]["status"], events[-1]["failures"]) == ("kept", 1)


def test_a_ve_that_was_removed_is_left_out_and_one_of_its_name_is_not_taken_for_it(many: Shell) -> None:
    broken_at(many, "web4")
    change = the_id(many.run("set", "web*", "pids.max=7", "--batch", "3")[1])
    many.kernel.broken = lambda _: None
    for name in ("web8", "web9"):
        many.run("rm", name)
    many.kernel.make("/rctl-web9")
    status, out, err = many.run("set", "--retry", change)
    assert status == 0
    assert err.splitlines() == [f"rctl: {name}: was removed meanwhile; it is left out" for name in ("web8", "web9")]
    assert f"{change}: 8 of 10 VEs are done" in out
    assert many.kernel.get("/rctl-web9", "pids.max") == "max"


def test_a_ve_that_goes_while_its_batch_is_set_is_left_out(many: Shell) -> None:
    real = rolling.Rolling._present
    seen = 0

    def present(self: rolling.Rolling, ves: list[str]) -> list[str]:
        nonlocal seen
        found = real(self, ves)
        seen += 1
        if seen == 1:
            many.kernel.remove("/rctl-web1")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rolling.Rolling, "_present", present)
        status, _, err = many.run("set", "web*", "pids.max=7", "--batch", "5")
    assert (status, "web1: was removed meanwhile; it is left out" in err) == (0, True)
    assert all(many.kernel.get(f"/rctl-web{n}", "pids.max") == "7" for n in range(2, COUNT + 1))


def test_a_log_that_cannot_be_written_stops_it_and_says_what_stays(many: Shell) -> None:
    def full(log: rolling.ChangeLog, line: rolling.Line) -> None:
        raise RctlError("/run/rctl/changes: no space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rolling.ChangeLog, "add", full)
        status, out, err = many.run("set", "web*", "pids.max=7", "--batch", "5")
    assert (status, changed(many)) == (4, names()[:5])
    assert (
        f"no space left on device. {the_id(out)}: stopped; to take back what was done: rctl undo {the_id(out)}" in err
    )
    assert many.run("undo")[0] == 0
    assert changed(many) == []


SPEC = "version = 1\n" + "".join(f"[ve.{name}.limits]\npids.max = 7\n" for name in ("web1", "web2", "new1", "new2"))


def test_apply_makes_ves_batch_by_batch(many: Shell) -> None:
    Path("spec.toml").write_text(SPEC)
    status, out, err = many.run("apply", "spec.toml", "--batch", "1")
    assert (status, err) == (0, "")
    assert out.splitlines()[3] == "batch 3 of 4: new1"
    assert many.kernel.get("/rctl-new2", "pids.max") == "7"
    assert many.run("undo")[0] == 0
    assert many.run("ls", "new*")[0] == 1, "they are removed again"
    assert changed(many) == []


def test_apply_goes_on_with_its_spec(many: Shell) -> None:
    Path("spec.toml").write_text(SPEC)
    broken_at(many, "new1")
    status, out, _ = many.run("apply", "spec.toml", "--batch", "1")
    change = the_id(out)
    assert (status, changed(many)) == (4, ["web1", "web2"])
    assert f"rctl apply FILE --retry {change}" in out
    many.kernel.broken = lambda _: None
    assert "was begun with rctl apply. Go on with that" in many.run("set", "--retry", change)[2]
    assert many.run("apply", "spec.toml", "--retry", change)[0] == 0
    assert many.kernel.get("/rctl-new2", "pids.max") == "7"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--batch", "0"], "--batch: '0' is not a size"),
        (["--batch", "2", "--abort-after", "0"], "--abort-after: 0 is out of range"),
        (["--batch", "2", "--on-abort", "maybe"], "--on-abort: 'maybe' is not understood. Write keep or undo"),
        (["--batch", "2", "--pause", "soon"], "--pause: "),
        (["--batch", "2", "--check", ""], "--check: is empty"),
        (["--batch", "2", "--check", "'a"], '--check: "\'a": No closing quotation'),
        (["--batch", "2", "--check", "/no/such"], "--check: /no/such: no such program. It is run without a shell"),
        (["--batch", "2", "--check", "true", "--check-timeout", "x"], "--check-timeout: "),
        (["--pause", "1s"], "--pause: belongs to a rolling change. Give --batch, too"),
        (["--abort-after", "3"], "--abort-after: belongs to a rolling change"),
        (["--batch", "2", "--runtime"], "--runtime: cannot be combined with --batch"),
        (["--over", "5s", "--runtime"], "--runtime: cannot be combined with --over"),
        (["--batch", "2", "--over", "5s"], "--batch: cannot be combined with --over"),
        (["--steps", "3"], "--steps: belongs to a ramp. Give --over, too"),
        (["--stop-at-pressure", "3%"], "--stop-at-pressure: belongs to a ramp"),
    ],
)
def test_wrong_flags_are_refused_in_one_line(many: Shell, words: list[str], said: str) -> None:
    assert said in many.refused("set", "web*", "pids.max=7", *words)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--retry", "nonsense"], 1, "no rolling change with this id is unfinished. See rctl history"),
        (["--retry", "../../etc/passwd"], 1, "no rolling change with this id is unfinished"),
        (["web1", "--retry", "x"], 2, "its VEs and limits are known. Leave them out"),
        (["--retry", "x", "--batch", "2"], 2, "--retry: the options of that change are known. Leave --batch out"),
        (["--retry", "x", "--force"], 2, "--retry: the options of that change are known. Leave --force out"),
        (["--retry", "x", "--deadline", "1s"], 2, "--retry: the options of that change are known. Leave --deadline"),
        (["--retry", "x", "--runtime"], 2, "Leave them out, and --for and --runtime"),
        (["--retry", "x", "--dry-run"], 2, "--retry: cannot be combined with --dry-run"),
    ],
)
def test_a_wrong_retry_is_refused_in_one_line(many: Shell, words: list[str], status: int, said: str) -> None:
    assert said in many.refused("set", *words, status=status)


def test_prune_is_not_for_batches(many: Shell) -> None:
    Path("spec.toml").write_text(SPEC)
    for word in ("--force", "--deadline=1s"):
        assert "options of that change are known" in many.refused("apply", "spec.toml", "--retry", "x", word)
    assert "--prune: cannot be combined with --batch" in many.refused("apply", "spec.toml", "--prune", "--batch", "1")
