"""The cost of one scrape; all subjects of ``bench exporter`` are compared by it."""

from __future__ import annotations

from typing import NamedTuple


class Cost(NamedTuple):
    """One scrape. Times in nanoseconds; ``size`` and ``resident`` in bytes. 0: the subject does not report it.

    ``resident``: for a server, the memory charged to its cgroup, which includes the kernel's memory for descriptors.
    """

    cpu: int
    wall: int
    size: int
    resident: int = 0
    render: int = 0
    samples: int = 0
