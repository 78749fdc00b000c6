"""Lean VEs: pressure accounting off, which every context switch of theirs would pay for.

https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files (``cgroup.pressure``, Linux 6.1). Such a VE has
no pressure to show, and memory of it that is shrunk is reclaimed at the fastest pace.
"""

from __future__ import annotations

import msgspec

from ..cgroupfs.cgroup import Cgroup
from ..controllers.pressure import SWITCH
from ..errors import UsageError
from ..limits import Limits

ABSENT = f"--lean: no {SWITCH.name} here (it came with Linux {SWITCH.since}); pressure accounting stays as it is"


def of(limits: Limits, ve: Cgroup) -> tuple[Limits, str]:
    """The limits with pressure accounting off, and a note where this kernel cannot; then the limits are as they were.

    Raises UsageError when the limits ask for the opposite.
    """
    given = limits.files.get(SWITCH.name)
    if given is not None and str(given).strip() != "0":
        raise UsageError(f"--lean: files.{SWITCH.name} is given as {given!r}, which is the opposite. Give one of them")
    if not ve.has(SWITCH.name):
        return limits, ABSENT
    return msgspec.structs.replace(limits, files={**limits.files, SWITCH.name: "0"}), ""
