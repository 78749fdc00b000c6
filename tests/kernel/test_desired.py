"""Desired limits on a real kernel: what outlives a cgroup, what differs, and how it comes back."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rctl.host import Host
from tests.kernel.conftest import IN_LAB
from tests.kernel.docker_files import FIRST, SECOND, DockerFiles
from tests.kernel.helpers import Ve
from tests.kernel.shell import rctl


def done(*words: str) -> str:
    found = rctl(*words)
    assert found.status == 0, found
    return found.out


def compared() -> list[dict[str, Any]]:
    """The VEs that differ."""
    found = rctl("drift", "--json")
    drifted: list[dict[str, Any]] = json.loads(found.out)["drifted"]
    assert found.status == (1 if drifted else 0)
    return drifted


def drift() -> dict[str, dict[str, str]]:
    """What each limit is instead, by VE."""
    drifted = compared()
    return {one["name"]: {d["limit"]: d["written"] for d in one["differences"]} for one in drifted}


def test_a_limit_that_another_program_changed_is_told_and_put_back(ve: Ve, other: Ve) -> None:
    done("set", "web1", "web2", "memory.max=64M", "cpu.max=0.5", "pids.max=50")
    assert drift() == {}
    (ve.dir / "memory.max").write_text("max")
    (other.dir / "cpu.max").write_text("max 100000")
    assert drift() == {"web1": {"memory.max": "max"}, "web2": {"cpu.max": "max 100000"}}
    done("drift", "--fix")
    assert (ve.text("memory.max"), other.text("cpu.max")) == (str(64 << 20), "50000 100000")
    assert drift() == {}


def test_the_time_of_a_change_is_told_where_the_kernel_knows_it(ve: Ve) -> None:
    """Given a shell's ``>``, which truncates, then its time is known; a program that only writes leaves none."""
    done("set", "web1", "memory.max=64M", "pids.max=50")
    before = time.time() - 1  # the kernel's clock for files is coarse
    for name, flags in (("memory.max", os.O_WRONLY | os.O_TRUNC), ("pids.max", os.O_WRONLY)):
        fd = os.open(ve.dir / name, flags)
        os.write(fd, b"max")
        os.close(fd)
    (one,) = compared()
    found = {d["limit"]: d["changed_at"] for d in one["differences"]}
    assert found["pids.max"] is None
    assert before <= found["memory.max"] <= time.time()


def test_every_kind_of_limit_comes_back_after_a_boot(
    make_ve: Callable[[str], Ve], disk: Path, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    """Given limits of each controller, when all cgroups are new, also one of another manager, then all come back."""
    first = make_ve("web1")
    foreign = place / "others"
    foreign.mkdir()
    path = "/" + str(foreign.relative_to("/sys/fs/cgroup"))
    limits = [
        "memory.max=256M", "memory.high=200M", "memory.low=16M", "memory.swap.max=32M", "cpu.max=0.5", "cpu.weight=300",
        "cpuset.cpus=0", "pids.max=50", f"io.max={disk} wbps=5M riops=100", "hugetlb.2MB=4M",
    ]  # fmt: skip
    done("set", "web1", *limits)
    done("set", path, "pids.max=9", "cpu.weight=idle")
    files = ["memory.max", "memory.high", "memory.low", "memory.swap.max", "cpu.max", "cpu.weight", "cpuset.cpus"]
    files += ["pids.max", "io.max", "hugetlb.2MB.max"]
    before = {name: first.text(name) for name in files}
    first.dir.rmdir()
    foreign.rmdir()
    monkeypatch.setattr(Host, "boot_id", "another-boot")
    found = rctl("restore")
    assert (found.status, f"rctl: 1 not there now: {path}\n" in found.err) == (0, True)
    assert {name: first.text(name) for name in files} == before
    foreign.mkdir()
    assert drift()[path] == {"pids.max": "max", "cpu.idle": "0"}
    done("restore")
    assert (foreign / "pids.max").read_text() == "9\n"
    assert (foreign / "cpu.idle").read_text() == "1\n"
    assert drift() == {}


@pytest.mark.skipif(not IN_LAB, reason="makes units at the root of the tree, which is a host's own")
def test_a_container_that_is_made_anew_has_its_name_and_its_limits(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given docker rm and docker run with the same name, then the new container, with another id, is that one."""
    docker = DockerFiles(place, tmp_path, monkeypatch)
    docker.start(FIRST, "web")
    done("set", "docker:web", "pids.max=7")
    docker.remove(FIRST)
    assert drift() == {}
    assert "docker:web" in rctl("drift").err
    second = docker.start(SECOND, "web")
    assert drift() == {"docker:web": {"pids.max": "max"}}
    done("restore", "docker:web")
    assert (second / "pids.max").read_text() == "7\n"
    done("set", "docker:web", "pids.max=9")
    (second / "pids.max").write_text("max")
    done("drift", "--fix")
    assert (second / "pids.max").read_text() == "9\n"
    assert done("forget", "docker:web") == "docker:web: no limit is desired any more\n"
    assert drift() == {}


def test_a_shrink_leaves_no_wish_for_what_it_used(ve: Ve) -> None:
    """Given memory that is freed for a lower limit, then memory.high, which held the VE back, is not desired."""
    from tests.kernel.workload import filler

    filler(ve.dir, 30)
    done("set", "web1", "memory.max=16M")
    (ve.dir / "memory.high").write_text("8M")
    assert drift() == {}
