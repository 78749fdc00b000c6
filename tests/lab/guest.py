"""One disposable guest: its command line, its run, its end."""

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import boot, disks
from tests.lab.base import HOME, REPO, LabError, size
from tests.lab.kernel import Kernel
from tests.lab.process import Ended, watch

BOOT = "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr norandmaps nowatchdog"
"""Mitigations and randomised addresses only cost time here: QEMU translates code anew for every address."""
TIED = ("setpriv", "--pdeathsig", "KILL")
"""Even a killed lab leaves no guest behind."""
HARDWARE = ("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35")
EMULATED = ("-accel", "tcg", "-cpu", "qemu64,+rdrand")
"""QEMU's plainest CPU runs Python 1.6 times as fast as `max`, whose vector state is dear to emulate."""
COUNTED = ("-icount", "shift=1,sleep=off")
"""QEMU's instruction clock: 2 ns an instruction, so that times repeat to 0.1 %."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the guest is made of. Sizes are text such as `2G`; `zram` None means no swap."""

    kernel: Kernel
    kvm: bool
    memory: str = "2G"
    cpus: int = 2
    disks: Sequence[str] = ("256M", "256M")
    zram: str | None = "512M"
    icount: bool = False


def run(
    machine: Machine, command: Sequence[str], *, result: Path | None, deadline: float, stream: bool, quiet: bool = False
) -> int:
    """Boot the machine, run the command as root in the checkout, and return its exit status.

    `result` is a folder of the host that the guest finds, writable, at $LAB_RESULT. `deadline` is in seconds and
    covers the boot. With `stream` the output appears as it comes; without, it is dropped. `quiet` keeps the
    console log from stderr when the guest fails.

    Raises:
        LabError: the guest did not start, or did not end within the deadline; the console log's tail is printed.
    """
    with _folder() as work:
        console = work / "console"
        images = {"venv": disks.venv(), "stdlib": disks.stdlib(), "checkout": disks.checkout(work)}
        scratch = {f"scratch{n}": disks.scratch(work, n, text) for n, text in enumerate(machine.disks)}
        initramfs = _initramfs(work, machine, command, result)
        words = [*_qemu(machine, initramfs), *_ports(console, work / "status"), *_drives(images, scratch)]
        words += [*_share("root", Path("/"), ",readonly=on"), *(_share("result", result, "") if result else [])]
        ended = watch(words, deadline, sys.stdout.buffer if stream else None)
        status = _status(work / "status")
        if status is None and not quiet:
            _show_tail(console)
    return _checked(status, ended, machine, deadline)


def _qemu(machine: Machine, initramfs: Path) -> list[str]:
    counted = machine.icount
    processor = EMULATED if counted or not machine.kvm else ("-accel", "kvm", "-cpu", "host")
    words = [*TIED, "qemu-system-x86_64", *HARDWARE, *processor, *(COUNTED if counted else ())]
    words += ["-m", machine.memory, "-smp", "1" if counted else str(machine.cpus)]
    return [*words, "-kernel", str(machine.kernel.image), "-initrd", str(initramfs), "-append", BOOT]


def _ports(console: Path, status: Path) -> Iterator[str]:
    """The kernel's console, the command's output, and its exit status."""
    yield from ("-serial", f"file:{_quoted(console)}", "-device", "virtio-serial-pci")
    yield from (
        "-chardev",
        "file,id=output,path=/dev/stdout",
        "-device",
        "virtserialport,chardev=output,name=lab.output",
    )
    yield from ("-chardev", f"file,id=status,path={_quoted(status)}")
    yield from ("-device", "virtserialport,chardev=status,name=lab.status")


def _drives(images: dict[str, Path], scratch: dict[str, Path]) -> Iterator[str]:
    """Virtio disks; the guest knows each by its serial number."""
    for name, image in [*images.items(), *scratch.items()]:
        mode = "cache=unsafe" if name in scratch else "readonly=on"
        yield from ("-drive", f"if=none,id={name},format=raw,{mode},file={_quoted(image)}")
        yield from ("-device", f"virtio-blk-pci,drive={name},serial={name}")


def _share(name: str, folder: Path, mode: str) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    options = f"path={_quoted(folder.resolve())},mount_tag=lab.{name},security_model=none,multidevs=remap{mode}"
    yield from ("-virtfs", f"local,{options}")


def _quoted(path: Path) -> str:
    """A path within a QEMU option, where a comma is doubled."""
    return str(path).replace(",", ",,")


def _initramfs(work: Path, machine: Machine, command: Sequence[str], result: Path | None) -> Path:
    settings = {
        "LAB_REPO": str(REPO),
        "LAB_MODULES": str(machine.kernel.modules.resolve()),
        "LAB_STDLIB": str(disks.library()),
        "LAB_ZRAM": str(size(machine.zram)) if machine.zram else "",
        "LAB_RESULT": "yes" if result else "",
        "LAB_KERNEL": machine.kernel.name,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    job = work / "job"
    job.write_text("\n".join([*lines, f"command() {{ exec {shlex.join(command)}; }}\n"]))
    here = REPO / "tests" / "lab"
    initramfs = work / "initramfs"
    initramfs.write_bytes(
        boot.initramfs(machine.kernel.early, {"init": here / "init", "start": here / "start", "job": job})
    )
    return initramfs


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for this run alone, gone at its end; those of runs that were killed go at the next."""
    runs = HOME / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for left in runs.iterdir():
        if not Path("/proc", left.name.partition("-")[0]).exists():
            shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=runs))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _show_tail(console: Path) -> None:
    """Print the console's last lines, and keep all of it as .lab/console.log."""
    sys.stdout.flush()
    text = console.read_text(errors="replace") if console.exists() else ""
    (HOME / "console.log").write_text(text)
    print("\n".join(["lab: the console's last lines:", *text.splitlines()[-20:]]), file=sys.stderr)


def _status(file: Path) -> int | None:
    """The command's exit status as the guest reported it, or None when it did not."""
    text = file.read_text().strip() if file.exists() else ""
    return int(text) if text.isdecimal() else None


def _checked(status: int | None, ended: Ended, machine: Machine, deadline: float) -> int:
    if status is not None:
        return status
    name = f"guest with kernel {machine.kernel.release}"
    if ended.status is None:
        raise LabError(f"{name}: not done after {deadline:g} s, killed. Raise --deadline, or see .lab/console.log")
    raise LabError(f"{name}: ended without an exit status{ended.complaint}. See .lab/console.log for why")
