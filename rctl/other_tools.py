"""Other tools' names of limits: Docker and OCI, systemd, cgroup v1, OpenVZ. They are only suggested, never taken."""

from __future__ import annotations

import re

_SWAP = "memory.swap.max (swap alone, not memory plus swap)"
_CPUS = "cpu.max (a number of CPUs)"
_WEIGHT = "cpu.weight (1 to 10000; a new VE has 100)"
_DISKS = "io.max ('vda rbps=20MB/s wiops=500')"
_NAMES = {
    **dict.fromkeys(("memory", "mem", "ram", "memorylimit", "memorylimitinbytes", "physpages"), "memory.max"),
    **dict.fromkeys(("memoryreservation", "memorysoftlimitinbytes"), "memory.low"),
    **dict.fromkeys(("swap", "memoryswap", "memorymemsw", "memorymemswlimitinbytes", "swappages"), _SWAP),
    **dict.fromkeys(("cpu", "cpulimit", "cpuquota", "cpucfsquotaus", "cores", "nanocpus"), _CPUS),
    **dict.fromkeys(("cpucfsperiodus", "cpuquotaperiodsec"), "cpu.period"),
    **dict.fromkeys(("cpushares", "cpuunits", "cpunice"), _WEIGHT),
    "cpuidle": "cpu.weight=idle",
    **dict.fromkeys(("allowedcpus", "cpumask", "cpulist"), "cpuset.cpus"),
    **dict.fromkeys(("allowedmemorynodes", "nodemask"), "cpuset.mems"),
    **dict.fromkeys(("tasks", "tasksmax", "pidslimit", "numproc", "nproc", "processes"), "pids.max"),
    **dict.fromkeys(("blkioweight", "blockioweight", "ioprio"), "io.weight"),
    **dict.fromkeys(("blkio", "iolimit", "iopslimit", "rbps", "wbps", "riops", "wiops"), _DISKS),
    **dict.fromkeys((f"device{way}{unit}" for way in ("read", "write") for unit in ("bps", "iops")), _DISKS),
    "iodevicelatencytargetsec": "io.latency ('vda target=10ms')",
    **dict.fromkeys((f"io{way}{unit}max" for way in ("read", "write") for unit in ("bandwidth", "iops")), _DISKS),
}


def plain(name: str) -> str:
    """A name without the differences between tools: ``MemoryMax`` and ``memory.max`` are both ``memorymax``."""
    return re.sub("[^a-z0-9]", "", name.lower())


def meant(name: str) -> str:
    """rctl's key for another tool's name, with a remark if its meaning differs; empty for an unknown name."""
    return _NAMES.get(plain(name), "")
