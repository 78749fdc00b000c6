"""The front door: a Session does all that the command line can, and the command line does nothing without it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rctl
from rctl.cli.app import root
from rctl.console.flags import LIMIT_FLAGS
from rctl.errors import BusyError, NotFoundError, UsageError
from tests.unit.shell import Shell

BESIDES = {"set": ("roll", "ramp"), "apply": ("roll",)}
"""The methods of a verb that its options choose."""
METHOD = {"ls": "list", "set": "adjust", "rm": "remove"}
"""Verbs whose method has another name: ``list`` is Python's word, ``set`` its type, ``rm`` the shell's."""
NO_METHOD = {"bench", "complete", "completion", "exporter", "help", "schema", "setup", "timers"}
"""What needs no session: pages about rctl itself, its own files on the host, features with verbs of their own."""
TIMERS = {"timers", "extend_timer", "cancel_timer", "wait_for_timers"}
"""What the group ``timers`` does."""
SHOWN = {"help", "json", "quiet", "exit_code"}
"""Options about what is printed, and the exit status."""
PARAMETER = {
    ("attach", "pids"): "pids",
    ("kill", "names"): "patterns",
    ("ls", "patterns"): "patterns",
    ("label", "labelled"): "patterns",
    ("rename", "name"): "name",
    ("set", "words"): "limits",
    ("run", "limit"): "limits",
    ("reset", "selected"): "keys",
    ("undo", "adjustment"): "id",
    ("apply", "file"): "spec",
    ("diff", "file"): "spec",
    ("copy", "names"): "patterns",
}
"""What a verb's parameter is called as a method's, where that differs."""

VERBS = [name for name in root().commands if name not in NO_METHOD]


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_a_method_with_the_same_parameters(verb: str) -> None:
    command = root().commands[verb]
    methods = (METHOD.get(verb, verb), *BESIDES.get(verb, ()))
    method = {name for one in methods for name in inspect.signature(getattr(rctl.Session, one)).parameters}
    asked = {parameter.name for parameter in command.params} - SHOWN - set(LIMIT_FLAGS)
    told = {PARAMETER.get((verb, name), "patterns" if name == "names" else name) for name in asked}
    assert told <= method
    if set(LIMIT_FLAGS) <= {parameter.name for parameter in command.params}:
        assert "limits" in method


def test_each_method_that_does_something_is_a_verb_or_python_s_own() -> None:
    public = {name for name, _ in inspect.getmembers(rctl.Session, inspect.isfunction) if not name.startswith("_")}
    verbs = {METHOD.get(verb, verb) for verb in VERBS}.union(*BESIDES.values())
    assert public - verbs - TIMERS == {"close", "match", "open", "sample", "typed"}


def test_the_session_alone_opens_a_tree_and_reads_the_host() -> None:
    """Completion opens the one that it needs, for speed. Caveats read anew what has changed since the session began."""
    top = Path(rctl.__file__).parents[1]
    found = {
        str(path.relative_to(top))
        for folder in ("rctl", "exporters/rctl_exporter")
        for path in (top / folder).rglob("*.py")
        if re.search(r"(?<!def )\b(Tree\.open|this_host)\(", path.read_text())
    }
    assert found == {
        "rctl/api/session_base.py",
        "rctl/adjust/caveats/caveats.py",
        "rctl/cli/complete/names.py",
        "rctl/cli/complete/values.py",
    }


@pytest.fixture
def session(shell: Shell) -> Iterator[rctl.Session]:
    with rctl.session() as opened:
        yield opened


def test_limits_of_many_ves_by_pattern(session: rctl.Session, shell: Shell) -> None:
    account = session.adjust({"web*": {"pids.max": 50, "cpu.max": 1.5}})
    assert [(one.name, one.status) for one in account.outcomes] == [("web1", "changed"), ("web2", "changed")]
    assert shell.kernel.get("/rctl-web2", "cpu.max") == "150000 100000"


def test_limits_are_texts_numbers_and_what_is_read_back(session: rctl.Session) -> None:
    session.adjust({"web1": {"memory": {"max": "1G", "swap": {"max": rctl.MAX}}}})
    assert session.get("web1", "memory.max") == {"memory.max": ["1073741824"]}


def test_a_ve_that_two_patterns_name_gets_one_set_of_limits(session: rctl.Session, shell: Shell) -> None:
    session.adjust({"web1": {"pids.max": 5}, "web*": {"pids.max": 5}})
    with pytest.raises(UsageError, match=r"web1: 'web\*' gives it other limits than those before. Name it once"):
        session.adjust({"web1": {"pids.max": 6}, "web*": {"pids.max": 7}})
    assert shell.kernel.get("/rctl-web1", "pids.max") == "5"


def test_a_dry_run_changes_nothing(session: rctl.Session, shell: Shell) -> None:
    before = shell.kernel.limits()
    account = session.adjust({"web1": {"pids.max": 5}}, dry_run=True)
    assert (account.id, account.outcomes[0].status) == (None, "planned")
    assert shell.kernel.limits() == before


def test_what_was_done_is_in_the_history_and_can_be_taken_back(session: rctl.Session, shell: Shell) -> None:
    done = session.adjust({"web1": {"pids.max": 5}})
    assert [record.id for record in session.history()] == [done.id]
    (undone,) = session.undo()
    assert undone.record.id == done.id
    assert shell.kernel.get("/rctl-web1", "pids.max") == "max"
    with pytest.raises(NotFoundError, match="nothing left to undo"):
        session.undo()


def test_the_command_of_a_session_is_what_the_history_calls_it(shell: Shell) -> None:
    with rctl.session(command="nightly.py") as session:
        session.adjust({"web1": {"pids.max": 5}})
        assert session.history(last=1)[0].command == "nightly.py"


def test_one_ve_held_open(session: rctl.Session, shell: Shell) -> None:
    with session.open("web1") as ve:
        ve.pids.max = 7
        assert session.get("web1", "pids.max") == {"pids.max": ["7"]}
    assert list(session.match("web*")) == ["web1", "web2"]


def test_a_spec_made_and_removed(session: rctl.Session, shell: Shell) -> None:
    spec = shell.folder / "site.toml"
    spec.write_text("version = 1\n[ve.web1.limits]\npids.max = 9\n[ve.new.limits]\npids.max = 3\n")
    assert session.diff(str(spec)).made == ("new",)
    assert session.match() == ["web1", "web2"]
    assert session.apply(str(spec)).made == ("new",)
    assert session.remove("new").told == {"new": "removed"}
    with pytest.raises(BusyError, match="web1"):
        session.remove("web1")


def test_a_session_closes_what_it_opened_and_opens_it_again(shell: Shell) -> None:
    session = rctl.session()
    assert session.match() == ["web1", "web2"]
    session.close()
    assert session.match() == ["web1", "web2"]
    session.close()


def test_notes_for_people_reach_whoever_listens(shell: Shell) -> None:
    heard: list[str] = []
    with rctl.session(tell=heard.append) as session:
        session.adjust({"web1": {"pids.max": 5}})
        with open(f"{shell.state}/history.jsonl", "a") as history:
            history.write("{}\n")
        session.history()
    assert len(heard) == 1
    assert "no record of rctl" in heard[0]


def test_thaw_goes_with_typed_limits_too(session: rctl.Session) -> None:
    limits = session.typed({"pids.max": 5, "files": {"cgroup.pressure": "0"}})
    assert session.typed(limits, thaw=True).files == {"cgroup.pressure": "0", "cgroup.freeze": "0"}
    assert session.typed(limits) is limits


def test_a_process_that_becomes_the_command_cannot_remove_the_ve_after_it(session: rctl.Session) -> None:
    with pytest.raises(UsageError, match="become cannot be combined with detach or remove"):
        session.run("new", ["true"], become=True, remove=True)
    assert session.match() == ["web1", "web2"]
