"""Other tools that change one limit of a running target, as processes, beside ``rctl set``.

Each installed tool gets its own target (a cgroup, a container, a unit), and changes ``pids.max`` of it (podman:
``memory.max``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from shutil import which

from ...adjust import owner
from ...adjust.site import Site
from ...cgroupfs.tree import Tree
from ...errors import RctlError
from ..figures.result import Figure
from ..figures.stats import median_interval
from ..stage.place import own_name, removed

_ROUNDS = 9
_NAME = f"rctl-bench-{os.getpid()}"
_RUNTIME = ("/usr", "/bin", "/lib", "/lib64")


GROUP = "one limit as a process"
_FILL = "{}"
"""The place of the new limit in a command."""

Argv = tuple[str, ...]


_SCRIPT = "import sys; from rctl.start import main; sys.exit(main())"
"""The script that an installer writes for rctl. ``python -m`` would load more."""
_CHANGED = {"podman update": "memory.max"}
"""The limit that a tool changes, if it is not ``pids.max``."""


class NotMeasured(Exception):  # noqa: N818 (it is a reason, and no error)
    """A tool that cannot be measured here; the text gives the reason."""


def measure(site: Site, ve: str, tell: Callable[[str], None]) -> list[Figure]:
    """Time rctl and every installed tool, by turns: seconds for one change as a process.

    ``ve``: the VE that rctl and cgset change. A tool that is missing or fails gets a figure with the reason. Raises
    RctlError if rctl fails.
    """
    environment = {**os.environ, "RCTL_STATE": site.state.keep}
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        commands: dict[str, Argv] = {"rctl set": (sys.executable, "-c", _SCRIPT, "set", ve, f"pids.max={_FILL}")}
        for name, make in _PEERS.items():
            try:
                commands[name] = make(stack, site.tree, ve)
            except NotMeasured as why:
                absent[name] = str(why)
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(_ROUNDS):
            tell(f"one limit as a process: round {number + 1} of {_ROUNDS}")
            for name in list(commands) if number % 2 else list(reversed(commands)):
                words = [word.replace(_FILL, str(100 + number)) for word in commands[name]]
                try:
                    times[name].append(_process(words, environment))
                except subprocess.CalledProcessError as error:
                    absent[name] = _why(error)
                    del commands[name], times[name]
    if "rctl set" in absent:
        raise RctlError(f"rctl set: failed: {absent['rctl set']}")
    return [*_figures(times), *(_not(name, why) for name, why in absent.items())]


def _figures(times: Mapping[str, list[float]]) -> Iterator[Figure]:
    medians = {name: median_interval(found) for name, found in times.items()}
    for name, found in medians.items():
        ratio = found.ratio / medians["rctl set"].ratio
        what = _CHANGED.get(name, "pids.max")
        origin = f"{what}; median of {found.count}, in turn with the others; {ratio:.2f} times rctl set in this run"
        yield Figure(name, found.ratio, "seconds", origin, found.low, found.high, group=GROUP)


def _not(name: str, why: str) -> Figure:
    return Figure(name, None, "seconds", why, verdict="not measured", group=GROUP)


def _why(error: Exception) -> str:
    output = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip()
    return output.splitlines()[0][:200] if output else str(error)


def _cgset(_: ExitStack, tree: Tree, ve: str) -> Argv:
    _needs("cgset")
    return "cgset", "-r", f"pids.max={_FILL}", tree.path(ve).strip("/")


def _crun(stack: ExitStack, _: Tree, __: str) -> Argv:
    _needs("crun")
    return "crun", "update", f"--pids-limit={_FILL}", _tried(stack, _container)


def _podman_update(stack: ExitStack, tree: Tree, _: str) -> Argv:
    _needs("podman")
    return (
        *_store(_tried(stack, lambda: _podman(tree))),
        "update",
        f"--memory={_FILL}m",
        _NAME,
    )  # its older versions can set no other limit that is a whole number


def _systemctl(stack: ExitStack, _: Tree, __: str) -> Argv:
    _needs("systemd-run")
    if not owner.applies():
        raise NotMeasured("systemd does not run this host")
    return "systemctl", "set-property", "--runtime", _tried(stack, _unit), f"TasksMax={_FILL}"


def _docker_update(stack: ExitStack, _: Tree, __: str) -> Argv:
    _needs("docker")
    return "docker", "update", f"--pids-limit={_FILL}", _tried(stack, _docker)


_PEERS: dict[str, Callable[[ExitStack, Tree, str], Argv]] = {
    "cgset": _cgset,
    "crun update": _crun,
    "docker update": _docker_update,
    "podman update": _podman_update,
    "systemctl set-property": _systemctl,
}


def _needs(program: str) -> None:
    if which(program) is None:
        raise NotMeasured(f"{program} is not installed")


def _process(command: Sequence[str], environment: Mapping[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - begin


def _tried(stack: ExitStack, make: Callable[[], AbstractContextManager[str]]) -> str:
    try:
        return stack.enter_context(make())
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotMeasured(_why(error)) from None


@contextmanager
def _container() -> Iterator[str]:
    """A container of crun that sleeps, on a root file system of bind mounts."""
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
        try:
            with open(f"{bundle}/log", "wb") as log:  # a detached container keeps its output open
                started = subprocess.run(
                    ["crun", "run", "--detach", f"--bundle={bundle}", _NAME], check=False, stdout=log, stderr=log
                )
            if started.returncode:
                raise OSError(Path(f"{bundle}/log").read_text().strip())
            yield _NAME
        finally:
            subprocess.run(["crun", "delete", "--force", _NAME], check=False, capture_output=True)


def _store(place: str) -> tuple[str, ...]:
    """podman with its own store of containers for this run, in its own cgroup."""
    return (
        "podman", f"--root={place}/store", f"--runroot={place}/run", "--storage-driver=vfs",
        "--cgroup-manager=cgroupfs",
    )  # fmt: skip


@contextmanager
def _podman(tree: Tree) -> Iterator[str]:
    """A container of podman that sleeps, on the host's own files; nothing is fetched. Yields its store's folder."""
    parent = f"{own_name()}-podman"
    with tempfile.TemporaryDirectory(prefix="rctl-bench-", dir="/run") as place:
        roots = [root for root in _RUNTIME if os.path.isdir(root)]
        for root in (*roots, "/dev", "/proc", "/sys", "/run", "/etc", "/tmp"):  # noqa: S108 (a mount point)
            Path(f"{place}/rootfs{root}").mkdir(parents=True)
        store = _store(place)
        mounts = [f"--volume={root}:{root}:ro" for root in roots]
        options = [
            "--detach",
            "--network=none",
            "--log-driver=none",
            f"--name={_NAME}",
            f"--cgroup-parent={tree.path(parent)}",
            *mounts,
        ]
        try:
            subprocess.run(
                [*store, "run", *options, "--rootfs", f"{place}/rootfs", "/bin/sleep", "3600"],
                check=True, capture_output=True,
            )  # fmt: skip
            yield place
        finally:
            subprocess.run([*store, "rm", "--force", "--time=0", _NAME], check=False, capture_output=True)
            removed(tree, parent)


@contextmanager
def _docker() -> Iterator[str]:
    """A container of docker that sleeps, on an empty image and the host's own files; nothing is fetched."""
    empty = subprocess.run(["tar", "--create", "--files-from=/dev/null"], check=True, capture_output=True).stdout
    mounts = [f"--volume={root}:{root}:ro" for root in _RUNTIME if os.path.isdir(root)]
    options = ["--detach", "--network=none", "--log-driver=none", f"--name={_NAME}", *mounts]
    try:
        subprocess.run(["docker", "import", "-", _NAME], input=empty, check=True, capture_output=True)
        subprocess.run(["docker", "run", *options, _NAME, "/bin/sleep", "3600"], check=True, capture_output=True)
        yield _NAME
    finally:
        subprocess.run(["docker", "rm", "--force", _NAME], check=False, capture_output=True)
        subprocess.run(["docker", "rmi", "--force", _NAME], check=False, capture_output=True)


@contextmanager
def _unit() -> Iterator[str]:
    """A transient unit of systemd that sleeps."""
    unit = f"{_NAME}.service"
    try:
        subprocess.run(["systemd-run", f"--unit={unit}", "--quiet", "sleep", "3600"], check=True, capture_output=True)
        yield unit
    finally:
        subprocess.run(["systemctl", "stop", unit], check=False, capture_output=True)
