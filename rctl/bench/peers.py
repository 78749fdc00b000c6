"""Other tools changing one limit of something that runs, as processes, beside ``rctl set`` doing the same.

Each peer that is installed gets a target of its own (a cgroup, a container, a unit) and changes ``pids.max`` on it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from shutil import which

import msgspec

from ..adjust import single_writer

_ROUNDS = 9
_NAME = f"rctl-bench-{os.getpid()}"
_RUNTIME = ("/usr", "/bin", "/lib", "/lib64")


class Peer(msgspec.Struct, frozen=True):
    """One tool: median microseconds for one change as a process, and that over ``rctl set``'s in the same run."""

    name: str
    us: float
    ratio: float


def measure(ve: str, path: str, state: str, tell: Callable[[str], None]) -> tuple[Peer, ...]:
    """Time rctl and every peer that is there, in turn. ``ve``, ``path``: the VE that rctl and cgset change.

    ``state``: the folder for rctl's history, so that the user's own stays as it is.
    """
    environment = {**os.environ, "RCTL_STATE": state}
    with ExitStack() as stack:
        commands: dict[str, Sequence[str]] = {"rctl set": (sys.executable, "-m", "rctl", "set", ve, "pids.max={}")}
        if which("cgset"):
            commands["cgset"] = ("cgset", "-r", "pids.max={}", path.strip("/"))
        if which("crun") and (made := _tried(stack, _container, "crun update", tell)):
            commands["crun update"] = ("crun", "update", "--pids-limit={}", made)
        if which("systemd-run") and single_writer.applies() and (made := _tried(stack, _unit, "systemctl", tell)):
            commands["systemctl set-property"] = ("systemctl", "set-property", "--runtime", made, "TasksMax={}")
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(_ROUNDS):
            tell(f"one limit as a process: round {number + 1} of {_ROUNDS}")
            for name, command in commands.items():
                times[name].append(_process([part.format(100 + number) for part in command], environment))
    medians = {name: statistics.median(found) for name, found in times.items()}
    return tuple(Peer(name, us, us / medians["rctl set"]) for name, us in medians.items())


def _process(command: Sequence[str], environment: Mapping[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return (time.perf_counter() - begin) * 1e6


def _tried(
    stack: ExitStack, make: Callable[[], AbstractContextManager[str]], name: str, tell: Callable[[str], None]
) -> str | None:
    try:
        return stack.enter_context(make())
    except (OSError, subprocess.CalledProcessError) as error:
        output = getattr(error, "stderr", b"") or b""
        tell(f"{name}: left out: {output.decode(errors='replace').strip() or error}")
        return None


@contextmanager
def _container() -> Iterator[str]:
    """A container of crun's that sleeps, on a root file system of bind mounts."""
    with tempfile.TemporaryDirectory(prefix="rctl-bench-", dir="/run") as bundle:
        roots = [root for root in _RUNTIME if os.path.isdir(root)]
        for root in (*roots, "/dev", "/proc", "/sys"):
            Path(f"{bundle}/rootfs{root}").mkdir(parents=True)
        mounts = [{"destination": r, "source": r, "type": "bind", "options": ["rbind", "ro"]} for r in roots]
        config = {
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs"},
            "process": {
                "args": ["/bin/sleep", "3600"],
                "cwd": "/",
                "env": ["PATH=/usr/bin:/bin"],
                "user": {"uid": 0, "gid": 0},
            },
            "mounts": mounts,
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}], "cgroupsPath": f"/{_NAME}"},
        }
        Path(f"{bundle}/config.json").write_text(json.dumps(config))
        with open(f"{bundle}/log", "wb") as log:  # a detached container keeps what it was given as its output
            started = subprocess.run(
                ["crun", "run", "--detach", f"--bundle={bundle}", _NAME], check=False, stdout=log, stderr=log
            )
        if started.returncode:
            raise OSError(Path(f"{bundle}/log").read_text().strip())
        try:
            yield _NAME
        finally:
            subprocess.run(["crun", "delete", "--force", _NAME], check=False, capture_output=True)


@contextmanager
def _unit() -> Iterator[str]:
    """A transient unit of systemd's that sleeps."""
    unit = f"{_NAME}.service"
    subprocess.run(["systemd-run", f"--unit={unit}", "--quiet", "sleep", "3600"], check=True, capture_output=True)
    try:
        yield unit
    finally:
        subprocess.run(["systemctl", "stop", unit], check=False, capture_output=True)
