"""What one scrape cost: the one record that all subjects of ``bench exporter`` are compared by."""

from __future__ import annotations

from typing import NamedTuple


class Cost(NamedTuple):
    """One scrape. Times in nanoseconds, ``size`` and ``resident`` in bytes; 0 for what the subject does not tell.

    ``resident``: of a server, what its cgroup is charged, which includes the kernel's memory for descriptors.
    """

    cpu: int
    wall: int
    size: int
    resident: int = 0
    render: int = 0
    samples: int = 0
