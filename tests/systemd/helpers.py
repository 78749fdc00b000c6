"""What the tests on a host with systemd share: commands and their output, cgroup files, a unit of one's own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOUNT = Path("/sys/fs/cgroup")
AS_ALICE = ("systemd-run", "--quiet", "--machine=alice@", "--user", "--pipe", "--wait", "--collect")
CONTROL = Path("/etc/systemd/system.control")
RUN_CONTROL = Path("/run/systemd/system.control")


def done(*words: str, status: int = 0) -> str:
    """The output of a command that ends so; its errors if the status is another than 0."""
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.returncode == status, found.stderr + found.stdout
    return found.stderr if status else found.stdout


def rctl(*words: str, status: int = 0) -> str:
    return done("rctl", *words, status=status)


def data(*words: str, status: int = 0) -> Any:
    """What a verb prints with --json."""
    return json.loads(rctl(*words, "--json", status=status))


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
    """A service with a file of its own, running; its cgroup's path. Gone afterwards, with all that was set."""
    file = Path("/run/systemd/system", name)
    file.parent.mkdir(exist_ok=True)
    lines = "\n".join(settings)
    file.write_text(f"[Service]\nExecStart={command}\n{lines}\n")
    reload()
    done("systemctl", "start", name)
    try:
        yield f"/system.slice/{name}"
    finally:
        done("systemctl", "stop", name)
        done("systemctl", "revert", name)
        file.unlink()
        reload()
