"""One disposable guest: what it is made of, its run, its end. virtme-ng boots it; see also `start`."""

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import disks, vng
from tests.lab.base import HOME, REPO, LabError, size
from tests.lab.kernel import Kernel
from tests.lab.process import watch


@dataclass(frozen=True, slots=True)
class Machine:
    """What the guest is made of. Sizes are text such as `2G`; `zram` None means no swap.

    `tools`: folders, such as bin and lib, for the guest's $LAB_TOOLS.
    """

    kernel: Kernel
    kvm: bool
    memory: str = "2G"
    cpus: int = 2
    disks: Sequence[str] = ("256M", "256M")
    zram: str | None = "512M"
    icount: bool = False
    tools: Sequence[Path] = ()


def run(
    machine: Machine,
    command: Sequence[str],
    *,
    result: Path | None,
    deadline: float,
    stream: bool,
    quiet: bool = False,
    terminal: Path | None = None,
) -> int:
    """Boot the machine, run the command as root in the checkout, and return its exit status.

    `result` is a folder of the host that the guest finds, writable, at $LAB_RESULT. `deadline` is in seconds and
    covers the boot. With `stream` the output appears as it comes; without, it is dropped. `quiet` keeps the
    console log from stderr when the guest fails. `terminal`: a socket that will be the guest's /dev/hvc0.

    Raises:
        LabError: the guest did not start, or did not end within the deadline; the console log's tail is printed.
    """
    with work_folder() as work:
        words = [*_machine(machine), *_disks(machine, work), *_shares(work, result)]
        words += [*(vng.console(terminal) if terminal else ()), *_start(machine, work, command)]
        with (work / "console").open("wb") as console:
            output = sys.stdout.buffer if stream else None
            on_time = watch(words, deadline, output, console, env=vng.environment(work))
        status = _status(work / "report" / "status")
        if status is None and not quiet:
            _show_tail(work / "console")
    if status is None:
        raise LabError(f"guest with kernel {machine.kernel.release}: {_cause(on_time, deadline)}")
    return status


def _machine(machine: Machine) -> list[str]:
    clock = vng.Clock.INSTRUCTIONS if machine.icount else vng.Clock.KVM if machine.kvm else vng.Clock.EMULATED
    return vng.machine(machine.kernel.image, clock, machine.memory, machine.cpus)


def _disks(machine: Machine, work: Path) -> list[str]:
    images = {"venv": disks.venv(), "stdlib": disks.stdlib(), "checkout": disks.checkout(work)}
    if machine.tools:
        images["tools"] = disks.tools(machine.tools)
    scratch = {f"scratch{n}": disks.scratch(work, n, text) for n, text in enumerate(machine.disks)}
    return vng.drives(images, scratch)


def _shares(work: Path, result: Path | None) -> list[str]:
    (work / "report").mkdir()
    words = vng.share("/run/lab/report", work / "report")
    if result:
        result.mkdir(parents=True, exist_ok=True)
        words += vng.share("/run/lab/result", result.resolve())
    return words


def _start(machine: Machine, work: Path, command: Sequence[str]) -> list[str]:
    settings = {
        "LAB_REPO": str(REPO),
        "LAB_MODULES": str(machine.kernel.modules.resolve()),
        "LAB_STDLIB": str(disks.library()),
        "LAB_ZRAM": str(size(machine.zram)) if machine.zram else "",
        "LAB_KERNEL": machine.kernel.name,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    job = work / "job"
    job.write_text("\n".join([*lines, f"command() {{ exec {shlex.join(command)}; }}\n"]))
    return vng.command("sh", str(REPO / "tests" / "lab" / "start"), str(job))


@contextmanager
def work_folder() -> Iterator[Path]:
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


def _cause(on_time: bool, deadline: float) -> str:
    if on_time:
        return "ended without an exit status. See .lab/console.log for why"
    return f"not done after {deadline:g} s, killed. Raise --deadline, or see .lab/console.log"
