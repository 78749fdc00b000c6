"""Labels of VEs, as they are typed: of all or of none."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from rctl.adjust.records.journal import Journal
from rctl.cgroupfs import labels
from rctl.cgroupfs.cgroup import Cgroup
from rctl.errors import RctlError
from tests.unit.shell import Shell


def test_more_labels_than_a_ve_holds_are_refused_before_limits_are_set(shell: Shell) -> None:
    assert shell.run("label", "web2", *(f"a{number}=" for number in range(60)))[0] == 0
    spec = "version = 1\n[ve.web1.limits]\npids.max = 5\n[ve.web2.labels]\n"
    spec += "".join(f"b{number} = ''\n" for number in range(60))
    (shell.folder / "spec.toml").write_text(spec)
    before = shell.kernel.limits()
    status, out, err = shell.run("apply", "spec.toml")
    assert (status, out) == (2, "")
    assert "web2: labels: 120 are too many: at most 100 for each VE" in err
    assert shell.kernel.limits() == before
    assert "at most 100" in shell.run("label", "web2", *(f"b{number}=" for number in range(60)))[2]


def test_labels_of_all_ves_or_of_none(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.run("label", "web1", "env=test")
    real = labels.put

    def put(cgroup: Cgroup, pairs: Mapping[str, str], without: Iterable[str] = ()) -> None:
        if cgroup.path == "/rctl-web2" and pairs:
            raise RctlError("no room")
        real(cgroup, pairs, without)

    monkeypatch.setattr(labels, "put", put)
    assert shell.run("label", "web1", "web2", "env=prod", "x=y") == (1, "", "rctl: no room\n")
    assert json.loads(shell.run("label", "web1", "--json")[1]) == {"web1": {"env": "test"}}


LABELS = """version = 1
[ve.web1.limits]
pids.max = 5
[ve.web1.labels]
env = "new"
[ve.web2.labels]
env = "new"
"""


def test_a_label_that_the_kernel_refuses_leaves_all_labels_and_limits(shell: Shell) -> None:
    shell.run("label", "web1", "env=old", "tier=db")
    shell.kernel.broken = lambda op: errno.ENOSPC if op.kind == "label" and op.path == "/rctl-web2" else None
    (shell.folder / "site.toml").write_text(LABELS)
    status, out, err = shell.run("apply", "site.toml")
    assert (status, out) == (1, "")
    assert err.startswith("rctl: /rctl-web2: label: a cgroup holds at most 128 attributes")
    assert shell.kernel.get("/rctl-web1", "pids.max") == "max"
    assert shell.run("label", "*")[1].split()[2:] == ["web1", "env=old", "tier=db", "web2"]
    assert not (Path(shell.state) / "failures.jsonl").exists()  # it was no limit that failed


def test_labels_go_back_with_limits_where_what_follows_fails(shell: Shell) -> None:
    """As pruning does, when the disk is full before the first VE is removed."""
    (shell.folder / "site.toml").write_text(LABELS.split("[ve.web2")[0])
    shell.monkeypatch.setattr(Journal, "decide_forward", full)
    assert shell.run("apply", "site.toml", "--prune")[0] == 1
    assert shell.kernel.get("/rctl-web1", "pids.max") == "max"
    assert shell.run("label", "web1")[1].split()[2:] == ["web1"]


def full(journal: Journal) -> None:
    """No room on the disk."""
    raise RctlError("no space left")
