"""Whether KVM works here. /dev/kvm may open and a guest still hang or abort, so only a boot proves it."""

import json
import os
import platform
from pathlib import Path

from tests.lab.base import HOME, LabError, lock, tool
from tests.lab.guest import Machine, run
from tests.lab.kernel import Kernel

DEVICE = Path("/dev/kvm")
ANSWERS = HOME / "kvm.json"
DEADLINE = 20.0
"""Seconds within which a guest with KVM has booted and ended, on a busy machine too."""


def kvm(kernel: Kernel) -> bool:
    """Whether guests with this kernel run under KVM; the first question of a machine's boot takes a trial boot.

    LAB_KVM=0 or 1 answers in its place.
    """
    if given := os.environ.get("LAB_KVM"):
        return given == "1"
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return False
    with lock("kvm"):
        answers = _answers()
        key = _key()
        if key not in answers:
            print("lab: trying KVM once", flush=True)
            answers[key] = _boots(kernel)
            ANSWERS.write_text(json.dumps(answers, indent=1))
            print(f"lab: KVM {'works' if answers[key] else 'does not work here: emulation'}", flush=True)
    return answers[key]


def known() -> bool | None:
    """The remembered answer, or None when it has not been tried since the machine booted."""
    return _answers().get(_key())


def _boots(kernel: Kernel) -> bool:
    machine = Machine(kernel, kvm=True, memory="1G", disks=(), zram=None)
    try:
        return run(machine, ["true"], result=None, deadline=DEADLINE, stream=False, quiet=True) == 0
    except LabError:
        return False


def _answers() -> dict[str, bool]:
    try:
        return dict(json.loads(ANSWERS.read_text()))
    except (FileNotFoundError, ValueError):
        return {}


def _key() -> str:
    """This boot of this machine, its kernel and QEMU: a change of any may change the answer."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    qemu = tool("qemu-system-x86_64", "--version", hint="Install it: tests/lab/packages").splitlines()[0]
    return f"{boot} {platform.release()} {qemu}"
