"""The host under these tests is as people have it: systemd, nginx, docker, podman, two users, swap, a scratch disk."""

import os
import subprocess
from pathlib import Path

VERSIONS = {"bookworm": "systemd 252", "trixie": "systemd 257"}


def said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_systemd_of_the_suite_is_process_1_and_has_no_failed_units() -> None:
    assert said("systemctl", "--version").startswith(VERSIONS[os.environ["LAB_SUITE"]])
    assert said("systemctl", "is-system-running").strip() == "running"


def test_nginx_runs_as_a_unit_with_workers() -> None:
    procs = Path("/sys/fs/cgroup/system.slice/nginx.service/cgroup.procs").read_text().split()
    assert len(procs) >= 2


def test_docker_and_podman_have_an_image_and_start_containers() -> None:
    for engine in ("docker", "podman"):
        assert said(engine, "run", "--rm", "--network", "none", "box", "true") == ""


def test_alice_lingers_and_runs_containers_without_rights_of_root() -> None:
    as_alice = ("systemd-run", "--quiet", "--machine=alice@", "--user", "--pipe", "--wait", "--collect")
    assert said(*as_alice, "id", "-un").strip() == "alice"
    assert said(*as_alice, "podman", "run", "--rm", "--network", "none", "box", "true") == ""


def test_bob_is_not_logged_in() -> None:
    assert not Path("/run/user/1002").exists()


def test_there_are_swap_and_a_scratch_disk() -> None:
    assert len(Path("/proc/swaps").read_text().splitlines()) == 2
    assert Path("/mnt/scratch").is_mount()


def test_rctl_starts_with_the_python_of_the_host() -> None:
    assert said("rctl", "--version").startswith("rctl ")
