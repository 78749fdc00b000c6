"""``rctl drift`` and ``rctl restore``: what differs from what was asked for, and how it comes back."""

from __future__ import annotations

import errno
import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from msgspec import structs

import rctl
from rctl.adjust import writers
from rctl.adjust.records import wishes
from rctl.adjust.records.record_format import Record, encode, version_of
from rctl.adjust.state_folder import State
from rctl.adjust.steps import Set, Want
from rctl.adjust.writers import systemd
from rctl.cgroupfs import devices
from rctl.host import Host
from rctl.over_time import changed_in_systemd, timers
from rctl.over_time.drifting import Difference, Drifted
from tests.unit.fake_calls import Operation
from tests.unit.shell import Shell


@pytest.fixture(autouse=True)
def boot(monkeypatch: pytest.MonkeyPatch) -> None:
    booted(monkeypatch, "first")
    monkeypatch.setattr(timers, "awaited", lambda _: nullcontext())


def booted(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(Host, "boot_id", name)


def boot_again(shell: Shell) -> None:
    """No cgroup outlives a boot, except those that others make again: here /docker."""
    for path in ("/rctl-web1", "/rctl-web2", "/docker"):
        shell.kernel.remove(path)
    shell.kernel.make("/docker", enable=False)
    booted(shell.monkeypatch, "second")


def done(shell: Shell, *words: str) -> str:
    status, out, err = shell.run(*words)
    assert status == 0, err
    return out


@pytest.fixture
def changed(shell: Shell) -> Shell:
    """web1 and /docker have limits by rctl."""
    shell.kernel.make("/docker")
    done(shell, "set", "web1", "memory.max=1G", "pids.max=50")
    done(shell, "set", "/docker", "pids.max=9")
    return shell


def drift(shell: Shell, *words: str) -> dict[str, dict[str, tuple[str, str, str]]]:
    """By VE and limit: desired, written and cause."""
    status, out, _ = shell.run("drift", "--json", *words)
    found = json.loads(out)["drifted"]
    assert status == (1 if found else 0)
    return {
        one["name"]: {d["limit"]: (d["desired"], d["written"], d["cause"]) for d in one["differences"]} for one in found
    }


class TestDrift:
    def test_none(self, changed: Shell) -> None:
        assert drift(changed) == {}
        assert changed.run("drift") == (0, "", "")

    def test_a_limit_that_another_program_changed(self, changed: Shell) -> None:
        changed.kernel.put("/rctl-web1", "pids.max", "70")
        assert drift(changed) == {"web1": {"pids.max": ("50", "70", "changed")}}
        status, out, _ = changed.run("drift", "web*")
        assert status == 1
        head, row = out.splitlines()
        assert head.split() == ["NAME", "LIMIT", "DESIRED", "WRITTEN", "SET", "CAUSE"]
        assert row.startswith("web1  pids.max  50       70")
        assert row.endswith("another program changed it")

    def test_a_cgroup_that_was_made_anew_has_none_of_its_limits(self, changed: Shell) -> None:
        changed.kernel.remove("/docker")
        changed.kernel.make("/docker")
        assert drift(changed) == {"/docker": {"pids.max": ("9", "max", "made anew")}}

    def test_a_foreign_cgroup_that_is_not_there_is_no_drift_and_named(self, changed: Shell) -> None:
        changed.kernel.remove("/docker")
        assert drift(changed) == {}
        said = changed.run("drift")[2]
        assert said == "rctl: not there now, so not compared: /docker. For what never comes back: rctl forget /docker\n"

    @pytest.mark.parametrize("path", ["/docker", "/rctl-web1"])
    def test_one_that_is_removed_during_the_look_is_not_there(self, changed: Shell, path: str) -> None:
        def removed(operation: Operation) -> int | None:
            if (operation.kind, operation.path, operation.file) != ("read", path, "pids.max"):
                return None
            changed.kernel.remove(path)
            return errno.ENODEV

        changed.kernel.broken = removed
        status, out, err = changed.run("drift")
        assert (status, out) == (0, ""), err
        assert "not there now" in err

    def test_a_ve_of_rctls_own_that_is_not_there_is_drift(self, changed: Shell) -> None:
        changed.kernel.remove("/rctl-web1")
        status, out, _ = changed.run("drift")
        assert (status, out.splitlines()[1].split(None, 1)[0]) == (1, "web1")
        assert "is not there; --fix makes it anew" in out

    def test_a_removed_ve_is_forgotten_and_a_renamed_one_is_not(self, changed: Shell) -> None:
        done(changed, "set", "web2", "pids.max=3")
        done(changed, "rename", "web2", "new")
        changed.kernel.put("/rctl-new", "pids.max", "4")
        done(changed, "rm", "--kill", "web1")
        assert drift(changed) == {"new": {"pids.max": ("3", "4", "changed")}}

    def test_one_that_goes_with_its_command_is_not_waited_for(self, changed: Shell) -> None:
        assert drift(changed, "web1") == {}
        status, _, err = changed.run("drift", "web2")
        assert (status, err) == (1, "rctl: web2: no VE of this name has desired limits. See rctl history web2\n")

    def test_flags_that_are_for_fix_alone(self, changed: Shell) -> None:
        for flags in (["--dry-run"], ["--force"], ["--deadline", "3s"]):
            status, _, err = changed.run("drift", *flags)
            assert (status, "are for --fix. Add it, or leave them out" in err) == (2, True)


class TestForget:
    def test_what_is_forgotten_is_neither_drift_nor_waited_for(self, changed: Shell) -> None:
        changed.kernel.remove("/docker")
        changed.kernel.put("/rctl-web1", "pids.max", "70")
        assert done(changed, "forget", "/docker", "web1", "--dry-run").count("would be forgotten") == 2
        assert done(changed, "forget", "/docker", "web1").splitlines() == [
            "/docker: no limit is desired any more",
            "web1: no limit is desired any more",
        ]
        assert changed.run("drift") == (0, "", "")
        assert changed.kernel.get("/rctl-web1", "pids.max") == "70"
        assert "no VE of this name has desired limits" in changed.run("forget", "web1")[2]

    @pytest.mark.parametrize(
        ("pattern", "names"),
        [
            ("web*", ["web1"]),
            ("*", ["web1"]),
            ("web*.service", ["web-backend.service"]),
            ("docker:*", ["docker:web"]),
            ("/*", ["web1", "/docker"]),
            ("/*/*.service", ["web-backend.service"]),
            ("label:env=*", ["web1"]),
        ],
    )
    def test_a_pattern_stands_for_what_it_does_in_other_verbs(
        self, changed: Shell, pattern: str, names: list[str]
    ) -> None:
        changed.kernel.make("/system.slice/web-backend.service", enable=False)
        done(changed, "label", "web1", "env=prod")
        pids = (
            Set("/system.slice/web-backend.service", "pids.max", "max", "9"),
            Set("/docker/4f1c", "pids.max", "max", "9"),
        )
        inodes = {step.path: 7 for step in pids}
        record = Record(
            "20260101-000000-000-00000000", 1.0, "first", "rctl set", inodes, pids,
            version=version_of(pids, lasting=True), names={"/docker/4f1c": "docker:web"},
        )  # fmt: skip
        with Path(changed.state, "history.jsonl").open("ab") as history:
            history.write(encode(record) + b"\n")
        said = done(changed, "forget", "--dry-run", pattern)
        assert [line.partition(": ")[0] for line in said.splitlines()] == names

    def test_undo_passes_over_it(self, changed: Shell) -> None:
        done(changed, "forget", "web1")
        done(changed, "undo")
        assert changed.kernel.get("/docker", "pids.max") == "max"


class TestWishesForWhatIsThere:
    """A value that is there already is a wish, too, though nothing is written."""

    def test_that_of_a_container_is_known_by_its_name(self, changed: Shell) -> None:
        path = "/docker/4f1c"
        state, want = State(f"{changed.state}/run", changed.state), Want(path, "pids.max", "64")
        pids = (Set(path, "pids.max", "max", "64"),)
        record = Record(
            "20990101-000000-000-00000000", 1.0, "first", "rctl set", {path: 7}, pids,
            version=version_of(pids, lasting=True), names={path: "docker:web"},
        )  # fmt: skip
        with Path(changed.state, "history.jsonl").open("ab") as history:
            history.write(encode(record) + b"\n")
        assert wishes.new(state, "first", [want], {path: "docker:web"}.__getitem__) == ()
        assert wishes.new(state, "first", [want], {path: "docker:db"}.__getitem__) == (want,)

    def test_to_set_the_other_value_ends_the_drift(self, changed: Shell) -> None:
        changed.kernel.put("/rctl-web1", "pids.max", "70")
        assert done(changed, "set", "web1", "pids.max=70") == "web1: unchanged\n"
        assert drift(changed) == {}
        changed.kernel.put("/rctl-web1", "pids.max", "50")
        assert drift(changed) == {"web1": {"pids.max": ("70", "50", "changed")}}

    def test_a_value_of_another_program_can_be_asked_for(self, changed: Shell) -> None:
        changed.kernel.put("/rctl-web2", "pids.max", "70")
        done(changed, "set", "web2", "pids.max=70")
        changed.kernel.put("/rctl-web2", "pids.max", "max")
        assert drift(changed) == {"web2": {"pids.max": ("70", "max", "changed")}}

    def test_it_is_noted_once(self, changed: Shell) -> None:
        before = len(done(changed, "history").splitlines())
        for _ in range(3):
            done(changed, "set", "web1", "pids.max=50", "cpu.weight=default")
        assert len(done(changed, "history").splitlines()) == before, "it is desired already, or the default"

    def test_undo_passes_over_it(self, changed: Shell) -> None:
        done(changed, "set", "web2", "pids.max=3")
        changed.kernel.put("/rctl-web1", "pids.max", "70")
        done(changed, "set", "web1", "pids.max=70")
        done(changed, "undo")
        assert changed.kernel.get("/rctl-web2", "pids.max") == "max"

    def test_beside_limits_that_change(self, changed: Shell) -> None:
        changed.kernel.put("/rctl-web1", "pids.max", "70")
        assert "pids.max" not in done(changed, "set", "web1", "pids.max=70", "cpu.weight=300")
        assert drift(changed) == {}

    def test_what_is_put_back_or_passes_asks_for_nothing(self, changed: Shell) -> None:
        changed.kernel.put("/rctl-web1", "pids.max", "70")
        done(changed, "set", "web1", "pids.max=70", "cpu.weight=300", "--for", "1h")
        assert drift(changed) == {"web1": {"pids.max": ("50", "70", "changed")}}


class TestFix:
    def test_it_puts_all_back_in_one_adjustment(self, changed: Shell) -> None:
        changed.kernel.put("/rctl-web1", "pids.max", "70")
        changed.kernel.put("/docker", "pids.max", "70")
        before = len(done(changed, "history").splitlines())
        assert "pids.max: 70 -> 50" in done(changed, "drift", "--fix")
        assert drift(changed) == {}
        assert len(done(changed, "history").splitlines()) == before + 1

    def test_a_dry_run_shows_it(self, changed: Shell) -> None:
        changed.kernel.put("/rctl-web1", "pids.max", "70")
        assert "pids.max: 70 -> 50" in done(changed, "drift", "--fix", "--dry-run")
        assert changed.kernel.get("/rctl-web1", "pids.max") == "70"

    def test_an_undo_of_it_makes_the_other_value_the_desired_one(self, changed: Shell) -> None:
        changed.kernel.put("/rctl-web1", "pids.max", "70")
        done(changed, "drift", "--fix")
        done(changed, "undo")
        assert (changed.kernel.get("/rctl-web1", "pids.max"), drift(changed)) == ("70", {})

    def test_it_makes_a_ve_anew_with_its_labels(self, changed: Shell) -> None:
        (changed.folder / "spec.toml").write_text(
            'version = 1\n[ve.new.limits]\npids.max = 9\n[ve.new.labels]\nenv = "a"\n'
        )
        done(changed, "apply", "spec.toml")
        changed.kernel.remove("/rctl-new")
        assert drift(changed) == {"new": {"pids.max": ("9", "max", "made anew")}}
        done(changed, "drift", "--fix")
        assert (drift(changed), json.loads(done(changed, "label", "new", "--json"))) == ({}, {"new": {"env": "a"}})


class TestLabels:
    def test_a_label_comes_back_with_the_ve(self, changed: Shell) -> None:
        done(changed, "label", "web1", "env=prod", "tier=front")
        done(changed, "label", "web1", "--remove", "tier")
        boot_again(changed)
        done(changed, "restore")
        assert json.loads(done(changed, "label", "web1", "--json")) == {"web1": {"env": "prod"}}

    def test_undo_passes_over_it(self, changed: Shell) -> None:
        done(changed, "label", "web1", "env=prod")
        done(changed, "undo")
        assert changed.kernel.get("/docker", "pids.max") == "max"
        assert json.loads(done(changed, "label", "web1", "--json")) == {"web1": {"env": "prod"}}

    def test_a_history_that_cannot_be_written_keeps_no_label_away(self, changed: Shell) -> None:
        place = Path(changed.state, "history.jsonl")
        place.rename(f"{place}.away")
        place.mkdir()
        status, out, err = changed.run("label", "web1", "env=prod")
        assert (status, "env=prod" in out) == (0, True)
        assert "the history cannot note them" in err


class TestRestore:
    def test_after_a_boot_all_limits_come_back(self, changed: Shell) -> None:
        boot_again(changed)
        assert set(drift(changed)) == {"web1", "/docker"}
        done(changed, "restore")
        assert drift(changed) == {}
        assert changed.kernel.get("/rctl-web1", "memory.max") == str(1 << 30)
        assert changed.kernel.get("/docker", "pids.max") == "9"
        assert done(changed, "restore") == "all desired limits are in force\n"

    @pytest.mark.parametrize("name", ["web1", "web2"])
    def test_what_cannot_come_back_keeps_no_other_limit_away(self, changed: Shell, name: str) -> None:
        """Neither those of other VEs, nor those of the same one: web1 has some."""
        done(changed, "set", name, "io.max=sda wbps=1M")
        boot_again(changed)
        changed.kernel.disks = ()
        status, _, err = changed.run("restore")
        assert status == 1
        assert f"{name}: cannot get all its limits back: io.max: cannot write" in err
        assert {one: set(limits) for one, limits in drift(changed).items()} == {name: {"io.max"}}

    def test_a_disk_that_has_another_number_after_a_boot_gets_its_limit(self, changed: Shell) -> None:
        done(changed, "set", "web1", "io.max=sda wbps=1M")
        boot_again(changed)
        changed.kernel.disks = ("8:16", "8:32")
        changed.monkeypatch.setattr(devices, "resolve", {"sda": "8:32"}.__getitem__)
        changed.monkeypatch.setattr(devices, "lasting_name", lambda number: "sda" if number == "8:32" else number)
        done(changed, "restore")
        assert changed.kernel.get("/rctl-web1", "io.max").strip() == "8:32 rbps=max wbps=1000000 riops=max wiops=max"
        done(changed, "set", "web1", "io.max=sda wbps=2M")
        assert drift(changed) == {}
        done(changed, "undo")
        assert drift(changed) == {}, "the limit from before the boot is desired again"

    def test_what_is_not_there_is_named(self, changed: Shell) -> None:
        changed.kernel.remove("/docker")
        status, _, err = changed.run("restore")
        assert (status, err) == (0, "rctl: 1 not there now: /docker\n")

    def test_a_dry_run_shows_it_also_for_a_ve_that_is_to_be_made(self, changed: Shell) -> None:
        boot_again(changed)
        before = changed.kernel.limits()
        told = done(changed, "restore", "--dry-run")
        assert changed.kernel.limits() == before
        assert "web1: planned\n  mkdir\n  pids.max: max -> 50\n  memory.max: max -> 1G" in told
        assert "/docker: planned" in told

    def test_it_asks_for_nothing_new(self, changed: Shell) -> None:
        """Given a limit that is undone after a boot, then what was desired before it is desired again."""
        done(changed, "set", "web1", "pids.max=60")
        boot_again(changed)
        done(changed, "restore")
        done(changed, "set", "web1", "pids.max=80")
        done(changed, "undo")
        assert (changed.kernel.get("/rctl-web1", "pids.max"), drift(changed)) == ("60", {})


@pytest.mark.parametrize(
    ("path", "properties"),
    [("/system.slice/nginx.service", ("TasksMax",)), (f"/system.slice/docker-{'4f' * 32}.scope", ())],
)
def test_a_property_is_named_only_if_it_tells_who_changed_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, path: str, properties: tuple[str, ...]
) -> None:
    """docker and podman change limits through systemd, too."""
    shell.kernel.make(path)
    seen = Difference("pids.max", "", "50", "60", 1.0, "", "changed")
    monkeypatch.setattr(
        changed_in_systemd, "_with", lambda _, one: structs.replace(one, systemd=("TasksMax",), changed_at=2.0)
    )
    monkeypatch.setattr(writers, "only_files", lambda _: False)
    monkeypatch.setattr(writers, "of", lambda *_: [systemd])
    with rctl.session() as s:
        [found] = changed_in_systemd.with_properties(s.tree, Drifted("", path, True, (seen,))).differences
    assert (found.systemd, found.changed_at) == (properties, 2.0)
