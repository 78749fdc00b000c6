"""The virtual machine of a host with systemd: its command line, and its monitor."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.base import LabError

BOOT = (
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet loglevel=3 mitigations=off nokaslr norandmaps nowatchdog "
    "no_timer_check apparmor=0 8250.nr_uarts=1 systemd.show_status=false "
    "module_blacklist=psmouse,pcspkr,evdev,button,i6300esb"
)
CPU = ("-cpu", "qemu64,+rdrand")  # QEMU's plainest CPU runs Python 1.6 times as fast as `max`


@dataclass(frozen=True, slots=True)
class Parts:
    """What a machine is made of: files, and numbers."""

    kernel: Path
    initramfs: Path
    root: Path
    checkout: Path
    memory: str = "3G"
    cpus: int = 2
    icount: bool = False


def command(parts: Parts, port: int, work: Path, *, keep: bool = False, state: Path | None = None) -> list[str]:
    """QEMU's command line. ``keep``: what the guest writes on its disk stays; else it is gone with the guest.

    ``port``: of this machine, for the guest's ssh. ``state``: go on from there instead of booting.
    """
    clock = ("-icount", "shift=1,sleep=off") if parts.icount else ()
    accel = "tcg" if parts.icount else "tcg,thread=multi"
    words = ["qemu-system-x86_64", "-nodefaults", "-machine", "pc", "-accel", accel, *CPU, *clock]
    words += ["-smp", str(1 if parts.icount else parts.cpus), "-m", parts.memory, "-display", "none"]
    words += ["-kernel", str(parts.kernel), "-initrd", str(parts.initramfs), "-append", BOOT]
    words += _disk("root", parts.root, f"cache=unsafe,snapshot={'off' if keep else 'on'}")
    for name in ("swap", "scratch"):
        words += _disk(name, work / name, "cache=unsafe")
    words += _disk("checkout", parts.checkout, "readonly=on")
    words += ["-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:22"]
    words += ["-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"]
    words += ["-serial", f"file:{work / 'console'}", "-qmp", f"unix:{work / 'qmp'},server=on,wait=off"]
    return [*words, *(("-incoming", f"exec:cat {state}") if state else ())]


def _disk(name: str, file: Path, how: str) -> list[str]:
    drive = f"if=none,id={name},format=raw,{how},file={str(file).replace(',', ',,')}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name},serial={name}"]


class Monitor:
    """QEMU's monitor. https://www.qemu.org/docs/master/interop/qmp-spec.html"""

    def __init__(self, wire: socket.socket) -> None:
        """``wire``: connected."""
        self._wire = wire
        self._lines = wire.makefile("r", encoding="utf-8")
        self._lines.readline()
        self("qmp_capabilities")

    def __call__(self, execute: str, **arguments: object) -> object:
        """Run a command and return its result. Raises LabError with QEMU's reason if it fails."""
        self._wire.sendall(json.dumps({"execute": execute, "arguments": arguments}).encode() + b"\n")
        while line := self._lines.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise LabError(f"QEMU: {execute}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise LabError(f"QEMU: ended during {execute}")

    def freeze(self, state: Path, seconds: float = 120) -> None:
        """Stop the guest and write its state to a file. QEMU goes on running; the guest does not."""
        self("stop")
        self("migrate", uri=f"exec:cat >{state}")
        until = time.monotonic() + seconds
        while (info := self("query-migrate")) and isinstance(info, dict) and info.get("status") != "completed":
            if info.get("status") == "failed" or time.monotonic() > until:
                raise LabError(f"QEMU: the guest's state was not written: {info}")
            time.sleep(0.2)

    def go_on(self, seconds: float = 60) -> None:
        """Let the guest go on as soon as its state is read."""
        until = time.monotonic() + seconds
        while (found := self("query-status")) and isinstance(found, dict) and found.get("status") == "inmigrate":
            if time.monotonic() > until:
                raise LabError(f"QEMU: the guest's state cannot be read: {found}")
            time.sleep(0.05)
        self("cont")


@contextmanager
def monitor(path: Path, seconds: float = 20) -> Iterator[Monitor]:
    """The monitor on the socket ``path``, which QEMU makes as it starts."""
    until = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX) as wire:
        while True:
            try:
                wire.connect(str(path))
                break
            except OSError:
                if time.monotonic() > until:
                    raise LabError("QEMU: does not start. See .lab/console.log") from None
                time.sleep(0.05)
        yield Monitor(wire)
