"""One cgroup with a CPU limit stands for the whole run.

The kernel changes its own code when the first cgroup gets a CPU limit, and when the last one loses it
(__cfs_bandwidth_used in kernel/sched/fair.c). QEMU without KVM may still run the old code on another CPU. Then the
guest panics with "Oops: int3" in enqueue_task_fair, as it did in tests that kill and undo one change again and again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.helpers import done, held, ran

LIMITED = Path("/run/systemd/system/limited.slice")


@pytest.fixture(scope="session", autouse=True)
def _a_cpu_limit() -> Iterator[None]:
    LIMITED.parent.mkdir(exist_ok=True)
    LIMITED.write_text("[Unit]\nIgnoreOnIsolate=yes\n[Slice]\nCPUQuota=100%\n")
    done("systemctl", "start", LIMITED.name)
    assert held(f"/{LIMITED.name}", "cpu.max") == "100000 100000"
    yield
    done("systemctl", "stop", LIMITED.name)
    LIMITED.unlink()


@pytest.fixture(scope="module", autouse=True)
def _nothing_desired() -> None:
    """Tests of several files use units of the same name."""
    ran("forget", "*.service")
