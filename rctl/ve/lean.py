"""Lean VEs: their pressure accounting is off, so context switches cost less.

https://docs.kernel.org/admin-guide/cgroup-v2.html#core-interface-files (``cgroup.pressure``, Linux 6.1). A lean VE
shows no pressure, so a shrink of its memory reclaims at the highest speed.
"""

from __future__ import annotations

import msgspec

from ..cgroupfs.cgroup import Cgroup
from ..controllers.pressure import SWITCH
from ..errors import UsageError
from ..limits import Limits

ABSENT = f"--lean: this kernel has no {SWITCH.name} (it came with Linux {SWITCH.since}); pressure accounting stays on"


def of(limits: Limits, ve: Cgroup) -> tuple[Limits, str]:
    """The limits with pressure accounting off, and an empty note. If this kernel cannot do that: unchanged limits, a
    note.

    Raises UsageError if the limits ask for the opposite.
    """
    given = limits.files.get(SWITCH.name)
    if given is not None and str(given).strip() != "0":
        raise UsageError(f"--lean: files.{SWITCH.name} is given as {given!r}, the opposite. Give one of them")
    if not ve.has(SWITCH.name):
        return limits, ABSENT
    return msgspec.structs.replace(limits, files={**limits.files, SWITCH.name: "0"}), ""
