"""``rctl setup`` on a host below a folder: what it plans, what it writes, what it takes away. systemctl is a fake."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import pytest

from rctl.cli.app import root
from rctl.errors import NotAvailableError, RctlError, UsageError
from rctl.setup.carry_out import carry_out
from rctl.setup.host import SYSTEM, HostFacts, facts, not_roots, of_user
from rctl.setup.mark import marked, state
from rctl.setup.parts import PARTS, wanted
from rctl.setup.prepare import Prepared, plain, prepare
from rctl.setup.units import unit

UNITS = sorted(
    (one.name, one.read_text()) for one in (files("rctl.setup") / "units").iterdir()
)  # of the package, as a wheel carries them
PAGES = {"rctl.1": ".TH RCTL 1\n", "rctl-set.1": ".TH RCTL-SET 1\n", "rctl-limits.7": ".TH RCTL-LIMITS 7\n"}
ALICE = of_user({"XDG_DATA_HOME": "/home/alice/.local/share", "XDG_CONFIG_HOME": "/home/alice/.config"})


class Box:
    """A host with its systemd."""

    def __init__(self, root: Path) -> None:
        self.root, self.ran, self.running = root, list[str](), set[str]()
        self.pages: Mapping[str, str] = PAGES
        self.facts = HostFacts(
            root=str(root),
            system=True,
            folders=SYSTEM,
            manager="",
            program="/opt/rctl/bin/rctl",
            in_homes=(),
            not_roots="",
            commands=frozenset(("bash", "zsh", "fish", "man")),
            lacks={},
            variables={},
        )

    def has(self, **facts: object) -> None:
        self.facts = self.facts._replace(**facts)

    def systemctl(self, words: Sequence[str]) -> tuple[int, str]:
        verb, *names = [word for word in words[1:] if word != "--user"]
        if verb == "is-active":
            return (0, "active") if names[0] in self.running else (3, "inactive")
        self.ran.append(" ".join(words))
        now = "--now" in names
        for name in (name for name in names if not name.startswith("-")):
            link = self.path(f"{self.facts.folders.units}/some.target.wants/{name}")
            if verb == "enable":
                link.parent.mkdir(exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(self.path(f"{self.facts.folders.units}/{name}"))
                self.running |= {name} if now else set()
            elif verb == "disable":
                link.unlink(missing_ok=True)
                self.running -= {name} if now else set()
        return 0, ""

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def plan(self, *parts: str, **options: bool) -> Prepared:
        return prepare(parts, self.facts, lambda: self.pages, run=self.systemctl, **options)

    def setup(self, *parts: str, **options: bool) -> list[str]:
        """Do it; the steps as they are shown."""
        plan = self.plan(*parts, **options)
        carry_out(plan.steps, self.facts, self.systemctl)
        return [step.describe() for step in plan.steps]

    def files(self) -> set[str]:
        found = (Path(place, name) for place, _, names in os.walk(self.root) for name in names)
        return {f"/{one.relative_to(self.root)}" for one in found}


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


ALL = {
    "/etc/systemd/system/rctl-restore.service",
    "/etc/systemd/system/rctl-keep.service",
    "/etc/systemd/system/rctl-exporter.service",
    "/etc/systemd/system/rctl-exporter.socket",
    "/usr/local/share/bash-completion/completions/rctl",
    "/usr/local/share/zsh/site-functions/_rctl",
    "/etc/fish/completions/rctl.fish",
    "/usr/local/share/man/man1/rctl.1",
    "/usr/local/share/man/man1/rctl-set.1",
    "/usr/local/share/man/man7/rctl-limits.7",
}
RESTORE_LINK = "/etc/systemd/system/some.target.wants/rctl-restore.service"


# What it writes


def test_a_plan_changes_nothing_and_is_what_is_done_then(box: Box) -> None:
    plan = [step.describe() for step in box.plan().steps]
    assert box.files() == set()
    assert box.ran == []
    assert box.setup() == plan
    assert box.files() == ALL | {RESTORE_LINK}


def test_restore_is_enabled_and_the_others_only_with_start(box: Box) -> None:
    box.setup()
    assert box.ran == ["systemctl daemon-reload", "systemctl enable rctl-restore.service"]
    assert box.setup(start=True) == [
        "run systemctl enable --now rctl-keep.service",
        "run systemctl enable --now rctl-exporter.socket",
    ]


def test_a_second_run_changes_nothing(box: Box) -> None:
    box.setup(start=True)
    assert box.plan(start=True).steps == []
    assert box.plan().steps == []


def test_a_unit_that_was_stopped_is_started_again_when_asked(box: Box) -> None:
    box.setup("keep", start=True)
    box.running.clear()
    assert box.plan("keep").steps == []
    assert box.setup("keep", start=True) == ["run systemctl enable --now rctl-keep.service"]


def test_only_the_parts_that_are_named_are_written(box: Box) -> None:
    box.setup("keep", "man")
    assert box.files() == {path for path in ALL if "keep" in path or "/man/" in path}


def test_a_program_that_moved_is_mended_by_running_it_again(box: Box) -> None:
    box.setup(start=True)
    box.ran.clear()
    box.has(program="/srv/rctl/bin/rctl")
    units = "/etc/systemd/system/rctl-"
    assert box.setup() == [
        f"write {units}restore.service (changed)",
        f"write {units}keep.service (changed)",
        f"write {units}exporter.service (changed)",
        "run systemctl daemon-reload",
        "run systemctl restart rctl-keep.service",
    ]
    for name in ("restore", "keep", "exporter"):
        assert "ExecStart=/srv/rctl/bin/rctl " in box.path(f"{units}{name}.service").read_text()


def test_a_page_that_a_newer_rctl_no_longer_has_goes(box: Box) -> None:
    box.setup("man")
    box.pages = {name: text for name, text in PAGES.items() if name != "rctl-set.1"}
    assert box.setup("man") == ["remove /usr/local/share/man/man1/rctl-set.1"]


# What a host lacks


def test_without_systemd_units_are_left_out_and_it_is_said(box: Box) -> None:
    box.has(manager="systemd does not run this host")
    assert set(box.plan().left_out) == {"restore", "keep", "exporter"}
    box.setup()
    assert box.files() == {path for path in ALL if "systemd" not in path}
    assert box.ran == []
    with pytest.raises(NotAvailableError, match="setup: keep: systemd does not run this host"):
        box.plan("keep")


def test_what_the_exporter_needs_is_named(box: Box) -> None:
    box.has(lacks={"exporter": "h11"})
    assert box.plan().left_out == {"exporter": "needs h11. In rctl's checkout, run: pip install '.[exporter]'"}


def test_completion_is_for_the_shells_that_are_there(box: Box) -> None:
    box.has(commands=frozenset(("zsh",)))
    plan = box.plan("completion")
    assert [plain(step) for step in plan.steps] == [
        {"do": "write", "path": "/usr/local/share/zsh/site-functions/_rctl", "why": "new"}
    ]
    box.has(commands=frozenset())
    assert box.plan().left_out == {"completion": "there is no bash, zsh or fish", "man": "there is no man"}


def test_an_unknown_part_is_named_with_the_nearest(box: Box) -> None:
    with pytest.raises(UsageError, match=r"setup: 'export': no such part\. Write exporter"):
        box.plan("export")


# Files of others


@pytest.mark.parametrize("there", ["[Service]\nExecStart=/usr/bin/rctl keep\n", ""])
def test_a_file_that_it_did_not_write_is_left_alone(box: Box, there: str) -> None:
    place = box.path("/etc/systemd/system/rctl-keep.service")
    place.parent.mkdir(parents=True)
    place.write_text(there)
    with pytest.raises(RctlError, match=r"rctl-keep\.service: was not written by rctl setup\. Nothing is changed"):
        box.setup()
    assert box.files() == {"/etc/systemd/system/rctl-keep.service"}
    assert box.setup("keep", remove=True) == []
    box.setup("keep", force=True)
    assert "Written by rctl setup" in place.read_text()


def test_a_link_is_not_followed(box: Box) -> None:
    """A unit that is masked is a link to /dev/null."""
    place = box.path("/etc/systemd/system/rctl-keep.service")
    place.parent.mkdir(parents=True)
    place.symlink_to("/dev/null")
    with pytest.raises(RctlError, match="was not written by rctl setup"):
        box.setup()


def test_a_file_that_was_edited_stays_unless_forced(box: Box) -> None:
    box.setup("keep")
    place = box.path("/etc/systemd/system/rctl-keep.service")
    place.write_text(place.read_text() + "# mine\n")
    for options in ({}, {"remove": True}):
        with pytest.raises(RctlError, match=r"was edited since rctl setup wrote it\. Nothing is changed"):
            box.setup("keep", **options)
    assert box.setup("keep", force=True)[0].endswith("(replaces a file that is not rctl's, or was edited)")
    assert "# mine" not in place.read_text()


# Taking away


def test_remove_leaves_nothing_and_stops_the_units_first(box: Box) -> None:
    box.setup(start=True)
    box.ran.clear()
    steps = box.setup(remove=True)
    assert steps[0].startswith("run systemctl disable --now ")
    assert steps[-1] == "run systemctl daemon-reload"
    assert box.files() == set()
    assert box.running == set()
    assert box.setup(remove=True) == []


def test_remove_of_one_part_leaves_the_others(box: Box) -> None:
    box.setup()
    box.setup("man", "restore", remove=True)
    assert box.files() == {path for path in ALL if "/man/" not in path and "restore" not in path}


def test_what_fails_is_named_with_what_was_done(box: Box) -> None:
    plan = box.plan("restore")
    with pytest.raises(RctlError) as failed:
        carry_out(plan.steps, box.facts, lambda words: (1, "Access denied"))
    assert str(failed.value) == "systemctl daemon-reload: Access denied. 1 of 3 steps are done; run it again"


# Whose program


def test_root_s_services_do_not_run_a_program_that_others_may_change(box: Box) -> None:
    box.has(not_roots="/home/alice")
    with pytest.raises(RctlError, match="setup: /home/alice: another user than root may change it"):
        box.plan()
    assert box.plan("man").steps
    assert box.plan(force=True).steps


def test_the_part_of_a_path_that_is_not_root_s_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "venv" / "rctl"
    program.parent.mkdir()
    program.touch()
    (tmp_path / "link").symlink_to(program)
    real = os.stat

    def stat(path: str) -> os.stat_result:
        facts = list(real(path))
        facts[4] = 1001 if path == str(program.parent) else 0
        return os.stat_result(facts)

    monkeypatch.setattr("os.stat", stat)
    assert not_roots(str(tmp_path / "link")) == str(program.parent)
    assert not_roots(str(tmp_path)) == ""


def test_a_group_other_than_root_s_may_not_change_it_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.stat

    def stat(path: str, **how: bool) -> os.stat_result:
        facts = list(real(path, **how))
        facts[4:6] = 0, 50 if path == str(tmp_path) else 0
        return os.stat_result(facts)

    monkeypatch.setattr("os.stat", stat)
    for mode, found in ((0o755, ""), (0o775, str(tmp_path)), (0o1775, "")):
        tmp_path.chmod(mode)
        assert not_roots(str(tmp_path)) == found


def test_the_interpreter_must_be_root_s_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rctl.setup.host.not_roots", lambda path: path if path == sys.executable else "")
    assert facts().not_roots == sys.executable
    monkeypatch.setattr("rctl.setup.host.not_roots", lambda path: path if path == sys.base_prefix else "")
    assert facts().not_roots == sys.base_prefix


# The texts


def test_units_of_a_user_keep_their_order_without_targets_of_the_system(box: Box) -> None:
    box.has(system=False)
    texts = {name: re.findall("^After=.*", unit(name, box.facts), re.MULTILINE) for name, _ in UNITS}
    assert texts["rctl-keep.service"] == ["After=rctl-restore.service"]
    assert texts["rctl-restore.service"] == texts["rctl-exporter.service"] == []


def test_the_units_are_those_of_the_parts_and_call_verbs_that_there_are(box: Box) -> None:
    assert {name for name, _ in UNITS} == {name for part in PARTS.values() for name in part.units}
    for name, text in UNITS:
        if name.endswith(".service"):
            (verb,) = re.findall(r"^ExecStart=rctl (\w+)(?: serve)?$", text, re.MULTILINE)
            assert verb in root().commands
            assert name == f"rctl-{verb}.service"
            assert f"Documentation=man:rctl-{verb}(1)" in text
            assert "WantedBy=multi-user.target" in text
            assert ("Type=notify" in text) == (verb != "restore")


def test_the_exporter_listens_on_this_host_alone(box: Box) -> None:
    assert re.findall("^ListenStream=.*", unit("rctl-exporter.socket", box.facts), re.MULTILINE) == [
        "ListenStream=127.0.0.1:19939"
    ]


def test_a_user_s_units_have_no_setting_that_only_root_s_may_have(box: Box) -> None:
    box.has(system=False, folders=ALICE)
    for name, _ in UNITS:
        text = unit(name, box.facts)
        assert not re.search("DynamicUser|Protect|Private|Capabilit|root", text), text
        assert "multi-user.target" not in text
    assert "NoNewPrivileges=yes" in unit("rctl-exporter.service", box.facts)
    box.setup()
    assert all(path.startswith("/home/alice/") for path in box.files())
    assert box.ran == ["systemctl --user daemon-reload", "systemctl --user enable rctl-restore.service"]


def test_a_program_in_a_home_is_shown_to_the_exporter_alone(box: Box) -> None:
    box.has(in_homes=("/root/venvs/rctl", "/root/my python"))
    text = unit("rctl-exporter.service", box.facts)
    assert '/run/user:ro,mode=0755\nBindReadOnlyPaths=/root/venvs/rctl "/root/my python"\n' in text


def test_words_of_a_unit_are_quoted_as_systemd_reads_them(box: Box) -> None:
    box.has(program="/opt/my 50% $x/rctl", variables={"RCTL_TREE": "/a b"})
    text = unit("rctl-keep.service", box.facts)
    assert 'ExecStart="/opt/my 50%% $$x/rctl" keep\n' in text
    assert '[Service]\nEnvironment="RCTL_TREE=/a b"\n' in text


@pytest.mark.parametrize("first", ["#compdef rctl\n", ""])
@pytest.mark.parametrize("comment", ["#", '.\\"'])
def test_a_mark_tells_own_texts_from_edited_ones(first: str, comment: str) -> None:
    text = marked(f"{first}one\ntwo\n", comment)
    assert text.startswith(first)
    assert state(text, text) == "same"
    assert state(text, marked("other\n", comment)) == "older"
    assert state(text.replace("two", "three"), text) == "edited"
    assert state("one\n", text) == "foreign"
    assert state(None, text) == "absent"


def test_the_marked_script_of_zsh_still_begins_as_zsh_wants_it(box: Box) -> None:
    found = wanted("completion", box.facts, lambda: PAGES)
    assert found["/usr/local/share/zsh/site-functions/_rctl"].startswith("#compdef rctl\n# Written by rctl setup (")
    assert {state(text, None) for text in found.values()} == {"older"}
