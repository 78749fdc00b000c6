"""The steps that few plans have, run and put back. A plan that has one loads them before its first step is run.

Later is too late: without a free descriptor, no module can be loaded, and something must be put back all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from ...cgroupfs import labels
from ...cgroupfs.cgroup import Cgroup
from ...cgroupfs.tree import enabled
from ...controllers.core import SUBTREE_CONTROL, enable_text
from ...errors import BusyError
from ..enabling.disable import disable, take_back, used
from ..enabling.enable import enable
from ..lifecycle import processes
from ..planning import partitions
from ..steps import Disable, Enable, Label, Make, Move, Renew, Step


def run(step: Step, cgroup: Cgroup) -> list[str]:
    """Run a step. Returns notes for people."""
    if isinstance(step, Enable):
        enable(cgroup, step)
    elif isinstance(step, Disable):
        take_back(cgroup, step)
    elif isinstance(step, Renew):
        partitions.check_asked(cgroup, step)
        return partitions.renew_all([step], {step.path: cgroup})
    elif isinstance(step, Move):
        processes.move(cgroup, step)
    elif isinstance(step, Label):
        labels.write(cgroup, step.key, step.new)
    return []  # a new cgroup was made already, because limits need it


def put_back(step: Step, cgroups: Mapping[str, Cgroup]) -> None:
    """Put back what a step did, except for ``Renew``: partitions come last (``partitions.put_all_back``)."""
    cgroup = cgroups[step.path]
    if isinstance(step, Enable):
        on = enabled(cgroup, SUBTREE_CONTROL).intersection(step.controllers)
        on -= used(on, cgroup, apart=_ours(cgroup, cgroups))
        if on:
            disable(cgroup, on)
    elif isinstance(step, Disable):
        cgroup.write(SUBTREE_CONTROL, enable_text(step.controllers))
    elif isinstance(step, Label):
        if labels.get(cgroup, step.key) == step.new:  # else it was not done, or was changed since
            labels.write(cgroup, step.key, step.old)
    elif isinstance(step, Move):
        processes.move_back(cgroup, cgroups[step.home], step)
    elif isinstance(step, Make):
        with suppress(BusyError):  # another program has put processes there meanwhile: it stays
            processes.unmake(cgroup)


def _ours(cgroup: Cgroup, cgroups: Mapping[str, Cgroup]) -> set[str]:
    """Names of the children in the plan; they are put back already."""
    above = cgroup.path.rstrip("/") + "/"
    return {path[len(above) :].partition("/")[0] for path in cgroups if path.startswith(above)}
