"""A user's own VEs: units of the user's systemd, which moves the processes. Alice has one, bob has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.helpers import MOUNT, as_user, data, done, held, ran, rctl, until

HERS = "/user.slice/user-1001.slice/user@1001.service"
WEB1 = f"{HERS}/rctl-web1.service"
DROP_IN = Path("/etc/systemd/system/user@.service.d/delegate.conf")


def alice(*words: str, status: int = 0) -> str:
    return rctl(*words, status=status, user="alice")


def units() -> list[str]:
    return [path.name for path in (MOUNT / HERS.strip("/")).glob("rctl-*")]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    if names := [one["name"] for one in data("ls", user="alice")]:
        alice("rm", "--kill", *names)
    ran("forget", "web1", user="alice")  # one that went with her systemd is still wished for
    assert units() == []
    assert list(Path("/run/user/1001/systemd/transient").glob("rctl-*")) == []


def test_a_user_makes_sets_undoes_and_removes_a_ve() -> None:
    alice("run", "--detach", "web1", "--memory", "100M", "--cpus", "0.5", "--", "sleep", "1000")
    assert (held(WEB1, "memory.max"), held(WEB1, "cpu.max")) == (str(100 << 20), "50000 100000")
    alice("set", "web1", "memory.max=64M")
    for again in ("daemon-reload", "daemon-reexec"):
        done("systemctl", "--machine=alice@", "--user", again)
        assert held(WEB1, "memory.max") == str(64 << 20)
    alice("undo")
    assert held(WEB1, "memory.max") == str(100 << 20)
    assert data("ls") == []
    alice("rm", "--kill", "web1")
    assert units() == []


def test_the_command_and_attached_processes_run_in_it() -> None:
    inside = "cat /proc/self/cgroup"
    assert alice("run", "web1", "--", "sh", "-c", inside) == f"0::{WEB1}\n"
    attached = "sleep 1000 & rctl attach web1 $! 2>&1 && cat /proc/$!/cgroup; kill $!"
    said = as_user("alice", "sh", "-c", attached)
    assert f"0::{WEB1}\n" in said
    assert "back into its old cgroup, and leaves it here" in said, "it came from a login session"
    alice("run", "--rm", "web2", "--", "sh", "-c", "exit 3", status=3)


def test_a_controller_that_users_do_not_get_is_refused_with_the_drop_in_that_gives_it() -> None:
    said = alice("run", "web1", "--cpuset", "0", "--", "true", status=1)
    assert str(DROP_IN) in said
    assert units() == []
    DROP_IN.parent.mkdir()
    DROP_IN.write_text("[Service]\nDelegate=cpu cpuset io memory pids\n")
    try:
        done("systemctl", "daemon-reload")
        done("systemctl", "--machine=alice@", "--user", "daemon-reexec")
        alice("run", "web1", "--cpuset", "0", "--", "true")
        assert held(WEB1, "cpuset.cpus") == "0"
        assert alice("doctor").count("warn  controller") == 1  # hugetlb
    finally:
        DROP_IN.unlink()
        DROP_IN.parent.rmdir()
        done("systemctl", "daemon-reload")
        done("systemctl", "restart", "user@1001.service")


def test_a_user_without_a_systemd_is_told_how_to_get_one() -> None:
    said = rctl("run", "web1", "--", "true", user="bob", status=1)
    try:
        done("loginctl", "enable-linger", said.rpartition("have root run: loginctl enable-linger ")[2].strip())
        until(lambda: Path("/run/user/1002/systemd/private").exists())
        his = "/user.slice/user-1002.slice/user@1002.service/rctl-web1.service"
        assert rctl("run", "--rm", "web1", "--", "cat", "/proc/self/cgroup", user="bob") == f"0::{his}\n"
    finally:
        done("loginctl", "disable-linger", "bob")
        done("systemctl", "stop", "user@1002.service")
