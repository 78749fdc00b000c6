"""The command line of virtme-ng, which boots the guest: its options, and QEMU's where it has none of its own.

It runs through a shell that virtme-ng feeds unquoted words, hence the quoting here.
"""

import os
import shlex
from enum import Enum
from pathlib import Path

from tests.lab.base import REPO, search_path

VNG = REPO / ".venv" / "bin" / "vng"
TIED = ("setpriv", "--pdeathsig", "TERM", "sh", "-c", 'trap "kill -KILL 0" TERM; "$@" & wait $!', "lab")
"""Even a killed lab leaves no guest behind: the shell is told, and ends the process group that it leads."""
UNUSED = "button,ccp,evdev,i6300esb,kvm,kvm_amd,kvm_intel,parport_pc,pcspkr,psmouse,qemu_fw_cfg,serio_raw,watchdog"
"""Drivers of QEMU's devices that no test needs; udev would load each, at 0.1 s and more."""
BOOT = (
    "quiet loglevel=4 mitigations=off nokaslr norandmaps nowatchdog no_timer_check 8250.nr_uarts=1 "
    f"module_blacklist={UNUSED}"
)
"""Mitigations and randomised addresses only cost time here: QEMU translates code anew for every address. On a busy host
the kernel's check of the timer may find no tick in time; then it panics (no_timer_check, kernel-parameters.txt)."""


class Clock(Enum):
    """What drives the guest's CPUs: options of virtme-ng, options of QEMU."""

    KVM = ((), ("-machine", "accel=kvm"))
    # QEMU's plainest CPU runs Python 1.6 times as fast as `max`, whose vector state is dear to emulate.
    EMULATED = (("--disable-kvm",), ("-cpu", "qemu64,+rdrand", "-machine", "sata=off,smbus=off"))
    # 2 ns an instruction, so that times repeat to 0.1 %.
    INSTRUCTIONS = (("--disable-kvm",), (*EMULATED[1], "-icount", "shift=1,sleep=off"))


def machine(image: Path, clock: Clock, memory: str, cpus: int) -> list[str]:
    """Boot `image`, with the modules beside it, on the host's files, shared read-only; see drives() for disks."""
    options, qemu = clock.value
    words = [*TIED, str(VNG), "--verbose", "--run", shlex.quote(str(image)), "--name", "lab", "--user", "root"]
    words += ["--force-9p", *options, "--memory", memory, "--cpus", "1" if clock is Clock.INSTRUCTIONS else str(cpus)]
    words += ["--append", BOOT, "--overlay-rwdir", "/root", "--overlay-rwdir", "/mnt"]
    return [*words, _qemu("-nodefaults", *qemu)]


def drives(images: dict[str, Path], scratch: dict[str, Path]) -> list[str]:
    """Virtio disks, `images` read-only; the guest knows each by its serial number.

    virtme-ng's own --disk is always writable, so that two guests could not share an image.
    """
    words = []
    for name, image in [*images.items(), *scratch.items()]:
        mode = "cache=unsafe" if name in scratch else "readonly=on"
        file = str(image).replace(",", ",,")
        words.append(_qemu("-drive", f"if=none,id={name},format=raw,{mode},file={file}"))
        words.append(_qemu("-device", f"virtio-blk-pci,drive={name},serial={name}"))
    return words


def share(guest: str, host: Path) -> list[str]:
    """The folder `host`, writable in the guest as `guest`."""
    return ["--rwdir", shlex.quote(f"{guest}={host}")]


def console(path: Path) -> list[str]:
    """A console, which the guest finds as ``/dev/hvc0``, served on the socket ``path``."""
    chardev = f"socket,id=terminal,path={str(path).replace(',', ',,')},server=on,wait=off"
    device = "virtconsole,bus=terminals.0,chardev=terminal"
    return [_qemu("-chardev", chardev, "-device", "virtio-serial-pci,id=terminals"), _qemu("-device", device)]


def command(*words: str) -> list[str]:
    """What to run in the guest, as root, in an environment without virtme-ng's own variables."""
    return ["--", "env", "-i", *words]


def environment(work: Path) -> dict[str, str]:
    """Where virtme-ng finds its other half and nobody's settings; what it leaves when killed goes with `work`."""
    return os.environ | {
        "PATH": f"{VNG.parent}{os.pathsep}{search_path()}",
        "HOME": str(work),
        "TMPDIR": str(work),
    }


def _qemu(*words: str) -> str:
    return f"--qemu-opts={shlex.join(words)}"
