"""The lab: a disposable virtual machine with a complete cgroup v2 kernel, and the checkout in it.

The command finds in its environment LAB=1, LAB_KERNEL (as `6.1`), LAB_DISKS (such as `/dev/vde /dev/vdf`: the first is
mounted, the others raw), LAB_MOUNT (an ext4 file system on the first disk), LAB_RESULT (a folder that outlives the
guest, when one is asked for) and LAB_TOOLS (bin, sbin and lib of tools that were asked for, on the paths too). It runs
as root, in a copy of the checkout: what it writes there is gone at the end.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.lab import accel, guest, terminal
from tests.lab import disks as images
from tests.lab.base import LabError
from tests.lab.kernel import choose, prepare
from tests.lab.tools import tools_folders

_DAY = 24 * 3600.0

__all__ = ["LabError", "run", "shell"]


def run(
    command: Sequence[str],
    *,
    memory: str = "2G",
    cpus: int = 2,
    disks: Sequence[str] = ("256M", "256M"),
    zram: str | None = "512M",
    icount: bool = False,
    tools: str | None = None,
    result: Path | None = None,
    deadline: float = 600,
    kernel: str | None = None,
    stream: bool = True,
    console: Path | None = None,
) -> int:
    """Run the command as root in a fresh guest and return its exit status.

    Args:
        command: the program and its arguments.
        memory: of the guest, as `2G`.
        cpus: of the guest; the instruction clock always has one.
        disks: sizes of the scratch disks, as `256M`; the first carries the ext4 file system at $LAB_MOUNT.
        zram: size of the swap, uncompressed; None for no swap.
        icount: run on QEMU's instruction clock, where times repeat to 0.1 %, slowly and without KVM.
        tools: have these programs below $LAB_TOOLS, one of tools.TOOLS; fetched the first time.
        result: a folder of this machine that the guest may write to, at $LAB_RESULT; made when missing.
        deadline: seconds, boot included, after which the guest is killed.
        kernel: 5.10, 6.1, 6.12 or 7; None for $LAB_KERNEL, else 6.1.
        stream: pass the output on as it comes; without, it is dropped.
        console: a socket that will be the guest's /dev/hvc0.

    Raises:
        LabError: the lab cannot start, or the guest did not end in time.
    """
    images.venv()  # first, since without it all else is in vain
    unpacked = prepare(choose(kernel))
    fast = not icount and accel.kvm(unpacked)
    machine = guest.Machine(
        unpacked, fast, memory, cpus, tuple(disks), zram, icount, tools_folders(tools) if tools else ()
    )
    return guest.run(machine, command, result=result, deadline=deadline, stream=stream, terminal=console)


def shell(kernel: str | None = None) -> int:
    """A shell as root in a fresh guest, on this terminal. Returns its exit status.

    Raises:
        LabError: this is no terminal, or the lab cannot start.
    """
    terminal.check()
    with TemporaryDirectory(prefix="rctl-") as folder:
        path = Path(folder, "terminal")
        command = terminal.command()
        return terminal.joined(path, lambda: run(command, deadline=_DAY, kernel=kernel, stream=False, console=path))
