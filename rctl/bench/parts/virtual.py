"""The same work bare, in a VE, and in a virtual machine of QEMU and KVM on the same host: ratios to bare.

The machine boots this host's own kernel with one CPU, a disk that is a file in the same folder, and busybox. All three
places run the same busybox script. It waits for a word, does the work, and reports the end. The time is measured
outside, and the places take turns. Without a working KVM, the figures say why they were not measured: under emulation
they would measure the emulator.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from ...adjust.site import Site
from ...ve.attach import enter
from ..figures.result import Figure
from ..figures.stats import ratio_interval
from ..stage import place
from ..stage.place import WorkError
from ..stage.worker import now
from . import initramfs

GROUP = "hardware virtualization"
BOOT = 60.0
"""Seconds until a machine under KVM is up; if KVM exists and does not work, it never is."""
_WORK = 120.0
_DISK = 32 << 20
_MEMORY = "256M"
_WORKS = {
    "cpu": "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done",
    "disk": "dd if=/dev/zero of=$1 bs=64k count=512 conv=notrunc,fsync 2>/dev/null",
}
_SAID = {"cpu": "a million steps of a shell's loop", "disk": "32 MiB written in 64 KiB blocks, with fsync(2)"}
_PORT = "until [ -c /dev/vport*p* ]; do sleep 0.1; done; sleep 0.5; exec 0<>$(echo /dev/vport*p*) 1>&0 2>&0"
_READY, _DONE = "rctl-ready", "rctl-done"


class Hardware(NamedTuple):
    """The parts of machines: programs, a kernel with its modules' release, and the accelerator of the CPU."""

    qemu: str
    busybox: str
    kernel: str
    release: str
    accel: str = "kvm"
    modules: str = "/"


def found() -> Hardware | str:
    """This host's parts for a virtual machine; or a text that says which one is missing."""
    programs = [(name, shutil.which(name)) for name in ("qemu-system-x86_64", "busybox", "modprobe")]
    if absent := [name for name, path in programs if path is None]:
        return f"{', '.join(absent)} not installed"
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"/dev/kvm: {(error.strerror or '').lower()}"
    release = os.uname().release
    kernel = f"/boot/vmlinuz-{release}"
    if not os.access(kernel, os.R_OK):
        return f"{kernel}: cannot be read, so no virtual machine can boot this host's kernel"
    return Hardware(str(programs[0][1]), str(programs[1][1]), kernel, release)


def script(before: str = "", disk: str = "") -> str:
    """The script of all places. ``before``: commands of the machine. ``disk``: the file or device to write to."""
    cases = " ".join(f"{word}) {work};;" for word, work in _WORKS.items())
    loop = f'while read -r word; do case "$word" in {cases} esac; echo {_DONE}; done'
    return f"{before}\nset -- {disk}\necho {_READY}\n{loop}\n"


class Station:
    """One place that runs the script: it takes a word and gives the time until the work is done."""

    def __init__(self, process: subprocess.Popen[str], program: str) -> None:
        self._process, self._program = process, program

    def seconds(self, word: str) -> float:
        """The time of the work. Raises WorkError if the place does not answer."""
        assert self._process.stdin is not None
        begin = now()
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()
        self.wait(_DONE, _WORK)
        return (now() - begin) / 1e9

    def wait(self, word: str, seconds: float) -> None:
        """Wait until it prints the word on a line of its own."""
        import threading

        assert self._process.stdout is not None
        late = threading.Timer(seconds, self._process.kill)
        late.start()
        try:
            if not any(line.strip() == word for line in iter(self._process.stdout.readline, "")):
                raise WorkError(f"{self._program}: ended, or did not answer within {seconds:g} s")
        finally:
            late.cancel()


@contextmanager
def station(command: Sequence[str], enter: Callable[[], None] | None, patience: float) -> Iterator[Station]:
    """Start a place and wait until it is ready; end it with the block. Raises WorkError if it never is ready."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, errors="replace", preexec_fn=enter
    ) as process:  # fmt: skip
        try:
            made = Station(process, os.path.basename(command[0]))
            made.wait(_READY, patience)
            yield made
        finally:
            process.kill()


@contextmanager
def guest(
    hardware: Hardware, folder: str, enter: Callable[[], None] | None = None, patience: float = BOOT
) -> Iterator[Station]:
    """A virtual machine that runs the script. Raises WorkError if it does not boot."""
    with tempfile.TemporaryDirectory(prefix="rctl-bench-", dir=folder) as own:
        disk, image = Path(own, "disk"), Path(own, "initramfs")
        disk.write_bytes(bytes(_DISK))
        inside = f"{_mounts(hardware)}\n{script(disk='/dev/vda')}"
        image.write_bytes(initramfs.archive(inside, hardware.busybox, hardware.modules, hardware.release))
        command = (
            hardware.qemu, "-machine", "q35", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-m", _MEMORY, "-smp", "1",
            "-accel", hardware.accel, *(("-cpu", "host") if hardware.accel == "kvm" else ()),
            "-kernel", hardware.kernel, "-initrd", str(image), "-append", "quiet panic=-1",
            "-drive", f"if=virtio,format=raw,cache=none,file={str(disk).replace(',', ',,')}",
            "-chardev", "stdio,id=script,signal=off",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=script",
        )  # fmt: skip
        with station(command, enter, patience) as made:
            yield made


def _mounts(hardware: Hardware) -> str:
    loads = "; ".join(
        f"insmod /{number}.ko" for number in range(len(initramfs.modules(hardware.modules, hardware.release)))
    )
    return f"mount -t devtmpfs none /dev; exec 0<>/dev/null 1>&0 2>&0; {loads or 'true'}; {_PORT}"


def measure(site: Site, folder: str, *, rounds: int, tell: Callable[[str], None]) -> list[Figure]:
    """The VE and the machine as ratios to bare, by kind of work. Raises RctlError if no VE can be made."""
    hardware = found()
    if isinstance(hardware, str):
        return _not(hardware)
    tell("booting a virtual machine")
    with ExitStack() as stack:
        (own,) = stack.enter_context(place.folders(folder, ("virtual",)))
        root = stack.enter_context(site.tree.walk("/"))  # this process's own cgroup may have controllers and depth
        try:
            machine = stack.enter_context(guest(hardware, own, lambda: enter(root)))
        except WorkError as error:
            return _not(f"KVM exists and does not work: {error}")
        limits = place.usual_limits(site.host, folder)
        cgroup = stack.enter_context(place.ve(site, f"{place.own_name()}-vm", limits))
        shell = (hardware.busybox, "sh", "-c")
        places = {"virtual machine": machine}
        for name, begin in (("bare", lambda: enter(root)), ("VE", lambda: enter(cgroup))):
            disk = Path(own, name)
            disk.write_bytes(bytes(_DISK))
            words = (*shell, f"exec 2>&1\n{script(disk=str(disk))}")
            places[name] = stack.enter_context(station(words, begin, BOOT))
        return [figure for word in _WORKS for figure in _compared(places, word, rounds, tell)]


def _compared(places: dict[str, Station], word: str, rounds: int, tell: Callable[[str], None]) -> Iterator[Figure]:
    times: dict[str, list[float]] = {name: [] for name in places}
    for number in range(rounds):
        tell(f"{word} beside a virtual machine: round {number + 1} of {rounds}")
        for name in places if number % 2 else reversed(places):
            times[name].append(places[name].seconds(word))
    for name in ("VE", "virtual machine"):
        found = ratio_interval(list(zip(times["bare"], times[name], strict=True)))
        origin = f"{_SAID[word]}, {name} over bare, median of {rounds} rounds by turns on this host"
        yield Figure(f"{word}: {name}", found.ratio, "ratio", origin, found.low, found.high, group=GROUP)


def _not(why: str) -> list[Figure]:
    said = f"not measured here: {why}"
    return [Figure(f"{word}: {name}", None, "ratio", said, verdict="not measured", group=GROUP)
            for word in _WORKS for name in ("VE", "virtual machine")]  # fmt: skip
