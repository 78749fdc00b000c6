"""What the tests on a host with systemd share: commands and their output, cgroup files, a unit of one's own."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from grp import getgrnam
from pathlib import Path
from typing import Any

from tests.kernel.shell import Done, forked, load_for_all

MOUNT = Path("/sys/fs/cgroup")
AS_ALICE = ("systemd-run", "--quiet", "--machine=alice@", "--user", "--pipe", "--wait", "--collect")
"""The words before a command that alice's systemd runs as a unit of hers."""
CONTROL = Path("/etc/systemd/system.control")
RUN_CONTROL = Path("/run/systemd/system.control")


def done(*words: str, status: int = 0) -> str:
    """The output of a command that ends so; its errors if the status is another than 0."""
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.returncode == status, found.stderr + found.stdout
    return found.stderr if status else found.stdout


def as_user(name: str, *words: str) -> str:
    """The output of a command that a user runs from root's session, with the sockets of a session of hers."""
    run = f"/run/user/{pwd.getpwnam(name).pw_uid}"
    hers = (f"HOME=/home/{name}", f"XDG_RUNTIME_DIR={run}", f"DBUS_SESSION_BUS_ADDRESS=unix:path={run}/bus")
    return done("runuser", "-u", name, "--", "env", *hers, *words)


def ran(*words: str, user: str = "", groups: Sequence[str] = ()) -> Done:
    """Run rctl in a process of its own, which has loaded rctl already: Python's start is most of a command here.

    ``user``: who runs it, as ``su`` does: with a home, and without the variables of a session. ``groups``: which the
    user is a member of besides.
    """
    load_for_all()
    from rctl.cli import main

    def command() -> None:
        if user:
            _become(user, groups)
        sys.argv = ["rctl", *words]
        main()

    return forked(command)


def _become(user: str, groups: Sequence[str]) -> None:
    account = pwd.getpwnam(user)
    for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
        os.environ.pop(name, None)
    os.environ["HOME"] = account.pw_dir
    os.setgroups([account.pw_gid, *(getgrnam(name).gr_gid for name in groups)])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def rctl(*words: str, status: int = 0, user: str = "", groups: Sequence[str] = ()) -> str:
    """What rctl prints; its errors if the status is another than 0."""
    found = ran(*words, user=user, groups=groups)
    assert found.status == status, found.err + found.out
    return found.err if status else found.out


def told(*words: str) -> str:
    """All that rctl prints when it succeeds, notes included."""
    found = ran(*words)
    assert found.status == 0, found.err + found.out
    return found.err + found.out


def data(*words: str, status: int = 0, user: str = "", groups: Sequence[str] = ()) -> Any:
    """What a verb prints with --json."""
    found = ran(*words, "--json", user=user, groups=groups)
    assert found.status == status, found.err + found.out
    return json.loads(found.out)


def held(path: str, file: str) -> str:
    """What a cgroup's file holds."""
    return (MOUNT / path.strip("/") / file).read_text().strip()


def prop(unit: str, name: str, *options: str) -> str:
    """A property of a unit, as systemctl shows it."""
    return done("systemctl", *options, "show", "--value", "-p", name, unit).strip()


def reload() -> None:
    done("systemctl", "daemon-reload")


def drop_ins(unit: str) -> list[str]:
    """The names of the drop-ins that set-property made for a unit, with their folder's beginning: etc or run."""
    found = [path for folder in (CONTROL, RUN_CONTROL) for path in (folder / f"{unit}.d").glob("*.conf")]
    return sorted(f"{path.parts[1]} {path.stem.removeprefix('50-')}" for path in found)


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition is true. Fails when the time is over."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.1)


@contextmanager
def unit(name: str, *settings: str, command: str = "/bin/sleep infinity") -> Iterator[str]:
    """A service with a file of its own, running; its cgroup's path. Gone afterwards, with all that was set.

    systemd reads a file that it does not know without a reload, and forgets a unit that is stopped. A reload costs
    here as much as ten starts.
    """
    file = Path("/run/systemd/system", name)
    file.parent.mkdir(exist_ok=True)
    lines = "\n".join(settings)
    file.write_text(f"[Service]\nExecStart={command}\n{lines}\n")
    done("systemctl", "start", name)
    try:
        yield f"/system.slice/{name}"
    finally:
        stop_and_forget(name)
        subprocess.run(["systemctl", "reset-failed", name], check=False, capture_output=True)
        file.unlink()
        until(lambda: done("systemctl", "list-units", "--all", "--plain", "--no-legend", name) == "")


def stop_and_forget(name: str) -> None:
    """Stop a unit and remove what was set; its next start is as its first."""
    done("systemctl", "stop", name)
    for folder in (CONTROL, RUN_CONTROL):
        shutil.rmtree(folder / f"{name}.d", ignore_errors=True)


@contextmanager
def edited(name: str, text: str) -> Iterator[None]:
    """``systemctl edit UNIT``, in which the administrator writes this. It needs a terminal. Undone afterwards."""
    editor = Path("/run/editor")
    editor.write_text(f"for file; do :; done; cat > $file <<END\n{text}\nEND\n")  # the last word is the file
    done("script", "-qec", f"SYSTEMD_EDITOR='sh {editor}' systemctl edit {name}", "/dev/null")
    folder = Path("/etc/systemd/system", f"{name}.d")
    try:
        assert (folder / "override.conf").read_text().strip() == text.strip()
        yield
    finally:
        shutil.rmtree(folder)
        editor.unlink()
        reload()
