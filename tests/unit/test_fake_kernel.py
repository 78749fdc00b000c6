"""The kernel in memory is a fair one: it answers as the real one, from which these answers come."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from rctl.errors import RctlError
from tests.unit.fake_kernel import FakeKernel

M = 1 << 20
VECTORS = json.loads((Path(__file__).parents[1] / "vectors.json").read_text())["vectors"]
WRITES = [v for v in VECTORS if v["group"].startswith("kernel.write:") and set(v["input"]) == {"value"}]
NOT_HERE = ("mkdir", "memory.peak", "root io", "io.bfq", "cgroup.max", "io.max-024")
"""Files that no limit of these tests lies in."""


@pytest.mark.parametrize(
    "vector", [v for v in WRITES if not any(word in v["id"] for word in NOT_HERE)], ids=lambda v: v["id"][13:]
)
def test_the_kernel_in_memory_answers_as_the_real_one(vector: dict[str, Any]) -> None:
    kernel = FakeKernel(cpus=2)
    kernel.make("/ve")
    file = vector["group"].removeprefix("kernel.write:").split(" ")[0]
    value = vector["input"]["value"]
    if "burst=40000 set" in vector["group"]:
        kernel.put("/ve", "cpu.max.burst", "40000")
    if vector["id"].endswith("io.max-022"):
        kernel.put("/ve", "io.max", "8:0 rbps=1048576")
    if file.startswith("io."):
        value = "\n".join(line.replace("W", "8:0", 1).replace("DEV", "8:0", 1) for line in value.split("\n"))
    try:
        kernel.put("/ve", file, value)
        answer = None
    except OSError as error:
        answer = errno.errorcode[error.errno or 0]
    assert answer == vector["expect"]["errno"]
    if answer is None:
        held = vector["expect"]["readback"].replace("DEV", "8:0")
        assert kernel.get("/ve", file) == held.split(" burst=")[0]


def test_a_cpu_list_with_tasks_cannot_be_emptied_here_either() -> None:
    kernel = FakeKernel(cpus=2)
    kernel.make("/ve", procs=(1,))
    kernel.put("/ve", "cpuset.cpus", "1")
    with pytest.raises(OSError, match="No space left"):
        kernel.put("/ve", "cpuset.cpus", "\n")


def test_memory_max_below_what_is_in_use_kills_here_too() -> None:
    kernel = FakeKernel(swap=0)
    kernel.make("/ve", anon=100 * M)
    kernel.put("/ve", "memory.max", "50M")
    assert kernel.kills == 1


def test_a_kept_descriptor_of_a_removed_cgroup_answers_enodev_and_a_new_open_enoent() -> None:
    kernel = FakeKernel()
    kernel.make("/ve")
    with kernel.installed() as tree, tree.walk("/ve") as ve:
        ve.edit("pids.max")
        kernel.remove("/ve")
        kernel.make("/ve")
        for name in ("pids.max", "memory.max"):
            with pytest.raises(RctlError, match="was removed"):
                ve.read(name)
