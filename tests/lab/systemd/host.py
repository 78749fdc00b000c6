"""A running host with systemd. It goes on from the state after its first boot, is driven over ssh, and then is gone."""

import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.lab import disks
from tests.lab.base import HOME, REPO, LabError, lock, size, step, tool
from tests.lab.guest import work_folder
from tests.lab.systemd import image, initramfs, qemu

SWAP, SCRATCH = "512M", "512M"
ROOM = "64M"
"""Size of the disk with the checkout: always the same, because a guest that goes on knows the size of its disks."""
BOOT = 300.0
"""Seconds in which a host must have booted, on a busy machine too. Alone it takes half a minute."""
SSH = (
    "-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5",
    "-o", "ControlMaster=auto", "-o", "ControlPersist=yes", "-o", "ServerAliveInterval=30",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Host:
    """A running host. ``work``: its folder on this machine."""

    process: subprocess.Popen[bytes]
    monitor: qemu.Monitor
    key: Path
    port: int
    work: Path

    def ssh(self, command: str, *, deadline: float = 600, quiet: bool = False) -> int:
        """Run a shell command as root, its output passed on unless ``quiet``; returns its exit status.

        Raises:
            LabError: it did not end in time.
        """
        out = subprocess.DEVNULL if quiet else None
        try:
            return subprocess.run(
                [*self.command(), command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=deadline,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise LabError(f"host: not done after {deadline:g} s. Raise --deadline, or see .lab/console.log") from None

    def wait(self, seconds: float) -> None:
        """Wait until ssh answers.

        Raises:
            LabError: it does not in time.
        """
        until = time.monotonic() + seconds
        while self.ssh("true", quiet=True):
            if self.process.poll() is not None or time.monotonic() > until:
                raise LabError(f"host: does not answer after {seconds:g} s. See .lab/console.log")
            time.sleep(0.5)

    def command(self) -> list[str]:
        """The words of ssh up to the command."""
        where = ["-o", f"ControlPath={self.work / 'ssh'}", "-i", str(self.key), "-p", str(self.port)]
        return ["ssh", *SSH, *where, "root@127.0.0.1"]


def run(
    command: Sequence[str],
    *,
    suite: str | None = None,
    icount: bool = False,
    deadline: float = 600,
    result: Path | None = None,
) -> int:
    """Run the command as root on a fresh host that systemd runs, in the checkout; returns its exit status.

    Args:
        command: the program and its arguments.
        suite: of Debian: bookworm or trixie; None for $LAB_SUITE, else bookworm.
        icount: on QEMU's instruction clock.
        deadline: seconds for the command.
        result: a folder that gets what the command leaves in the guest's $LAB_RESULT.

    Raises:
        LabError: the host cannot start, or the command did not end in time.
    """
    with started(image.suite(suite), icount=icount) as host:
        try:
            status = host.ssh(f"exec lab-run {shlex.join(command)}", deadline=deadline)
        except LabError:
            _keep_console(host.work)
            raise
        if result:
            result.mkdir(parents=True, exist_ok=True)
            tool("scp", "-r", *SSH, "-o", f"ControlPath={host.work / 'ssh'}", "-P", str(host.port), "-i", host.key,
                 "root@127.0.0.1:/run/lab/result/.", result, hint="See .lab/console.log")  # fmt: skip
        return status


@contextmanager
def started(suite: str, *, icount: bool = False) -> Iterator[Host]:
    """A host from the kept state, with the checkout and its virtual environment mounted; ended with the block."""
    disks.venv()
    kept = _kept(suite, icount=icount)
    with work_folder() as work:
        parts = replace(_parts(suite, icount=icount), root=kept / "root.raw", checkout=_checkout(work))
        for name in ("swap", "scratch"):
            shutil.copy(kept / name, work / name)
        with _machine(parts, work, image.prepared(suite) / "key", state=kept / "state") as host:
            host.monitor.go_on()
            host.wait(BOOT)
            settings = {"LAB_REPO": REPO, "LAB_SUITE": suite, "LAB_TIME": time.time()}
            words = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in settings.items())
            if host.ssh(f"{words} sh /usr/share/lab/join"):
                raise LabError("host: the checkout cannot be mounted. See the lines above")
            yield host


def _kept(suite: str, *, icount: bool) -> Path:
    """The folder with the disks and the state of a host after its first boot; made the first time."""
    folder = image.prepared(suite)
    kept = folder / ("counted" if icount else "booted")
    with lock(f"booted-{suite}"):
        if not (kept / "state").exists():
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            with step(f"booting the host with systemd once (Debian {suite})"), work_folder() as work:
                _first_boot(suite, kept, work, icount=icount)
    return kept


def _first_boot(suite: str, kept: Path, work: Path, *, icount: bool) -> None:
    folder = image.prepared(suite)
    if not (folder / "initramfs").exists():
        initramfs.write(image.kernel(suite), folder / "initramfs")
    root = kept / "root.raw"
    tool("cp", "--sparse=always", folder / "root.raw", root, hint="Is the disk full?")
    tool("truncate", "-s", SWAP, work / "swap", hint="Is the disk full?")
    tool("mkswap", "-q", work / "swap", hint="Install it: tests/lab/packages")
    tool("truncate", "-s", SCRATCH, work / "scratch", hint="Is the disk full?")
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", work / "scratch", hint="Install it: tests/lab/packages")
    tool("truncate", "-s", ROOM, work / "checkout", hint="Is the disk full?")
    parts = replace(_parts(suite, icount=icount), root=root, checkout=work / "checkout")
    with _machine(parts, work, folder / "key", keep=True) as host:
        host.wait(BOOT * (3 if icount else 1))
        if host.ssh("/usr/share/lab/first-boot"):
            _keep_console(work)
            raise LabError("host: its first boot failed. See .lab/console.log")
        subprocess.run([*host.command()[:-1], "-O", "exit", "root@127.0.0.1"], capture_output=True, check=False)
        host.monitor.freeze(kept / "part")
    for name in ("swap", "scratch"):
        shutil.move(work / name, kept / name)
    (kept / "part").rename(kept / "state")


def _parts(suite: str, *, icount: bool) -> qemu.Parts:
    folder = image.prepared(suite)
    return qemu.Parts(image.kernel(suite).image, folder / "initramfs", folder / "root.raw", Path(), icount=icount)


def _checkout(work: Path) -> Path:
    """A copy of the checkout's image, as large as its room; the hole takes no space."""
    source, target = disks.checkout(work), work / "checkout.raw"
    if source.stat().st_size > size(ROOM):
        raise LabError(f"checkout: larger than its disk of {ROOM}. Raise ROOM in tests/lab/systemd/host.py")
    shutil.copy(source, target)
    os.truncate(target, size(ROOM))
    return target


@contextmanager
def _machine(
    parts: qemu.Parts, work: Path, key: Path, *, keep: bool = False, state: Path | None = None
) -> Iterator[Host]:
    port = _free_port()
    command = qemu.command(parts, port, work, keep=keep, state=state)
    tied = ["setpriv", "--pdeathsig", "KILL", *command]
    with (work / "qemu").open("wb") as errors:
        process = subprocess.Popen(tied, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
    try:
        with qemu.monitor(work / "qmp") as monitor:
            yield Host(process, monitor, key, port, work)
    except BaseException:
        _keep_console(work)
        raise
    finally:
        process.kill()
        process.wait()


def _keep_console(work: Path) -> None:
    """Keep what the guest and QEMU said as .lab/console.log."""
    said = [(work / name).read_text(errors="replace") for name in ("console", "qemu") if (work / name).exists()]
    (HOME / "console.log").write_text("".join(said))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
