"""Export, as it is typed: what it prints is a spec that changes nothing."""

from __future__ import annotations

import json
import tomllib

import pytest

from tests.unit.shell import Shell


def test_export_writes_limits_and_labels_below_their_ve(shell: Shell) -> None:
    shell.run("set", "web1", "pids.max=5")
    shell.run("label", "web1", "env=prod")
    assert shell.run("export")[1] == (
        'version = 1\n\n[ve.web1.limits]\npids.max = 5\n\n[ve.web1.labels]\nenv = "prod"\n\n[ve.web2]\n'
    )


def test_export_of_no_ves_is_a_spec_too(shell: Shell) -> None:
    assert shell.run("rm", "--kill", "web1", "web2")[0] == 0
    (shell.folder / "site.toml").write_text(shell.run("export")[1])
    assert shell.run("apply", "--prune", "site.toml") == (0, "", "")


def test_what_export_prints_is_a_spec_that_changes_nothing(shell: Shell) -> None:
    shell.run(
        "set", "web1", "memory.max=1G", "cpu.max=0.3333", "cpu.period=30ms", "memory.oom.group=1", "hugetlb.2MB=4M"
    )
    shell.run("set", "web2", "io.max=sda rbps=5MB/s wiops=7", "cpuset.cpus=0", "cpu.weight=idle")
    status, text, err = shell.run("export")
    assert (status, err) == (0, "")
    assert 'memory.max = "1G"' in text
    (shell.folder / "site.toml").write_text(text)
    assert shell.run("diff", "site.toml", "--exit-code") == (0, "", "")
    assert json.loads(shell.run("export", "--json")[1]) == tomllib.loads(text)
    before = shell.kernel.limits()
    shell.run("rm", "web2")
    assert shell.run("apply", "site.toml")[0] == 0
    assert shell.kernel.limits() == before


@pytest.mark.parametrize("value", ["ü", "\U0001f680", 'say "hi"', "a\\b", ""])
def test_any_label_that_can_be_printed_comes_back_from_an_export(shell: Shell, value: str) -> None:
    assert shell.run("label", "web1", f"note={value}")[0] == 0
    (shell.folder / "site.toml").write_text(shell.run("export")[1])
    assert shell.run("diff", "site.toml", "--exit-code") == (0, "", "")
