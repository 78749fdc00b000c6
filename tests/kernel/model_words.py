"""What people write for each limit, and what the kernel then shows; what a new cgroup shows."""

NEW = {
    "memory.max": "max", "memory.high": "max", "memory.low": "0", "memory.min": "0", "memory.swap.max": "max",
    "memory.oom.group": "0", "cpu.max": "max 100000", "cpu.max.burst": "0", "cpu.weight": "100", "cpu.idle": "0",
    "cpuset.cpus": "", "cpuset.mems": "", "io.weight": "default 100", "io.max": "", "pids.max": "max",
    "hugetlb.2MB.max": "max", "cgroup.freeze": "0", "cgroup.pressure": "1",
}  # fmt: skip
"""What the files of a new cgroup show."""
FILE_OF = {"cpu.burst": "cpu.max.burst", "hugetlb.2MB": "hugetlb.2MB.max"}
"""Where a limit's key is not the name of its file."""
IDLE = "idle"
"""The weight of a cgroup that is idle: kernels show 0 or 1."""
NO_RATES = "rbps=max wbps=max riops=max wiops=max"
SIZES = {"32M": 32 << 20, "0.1G": 107372544, "64MiB": 64 << 20, "100MB": 99999744, "200000001": 199999488}
LIMITS = {word: str(size) for word, size in SIZES.items()} | {"max": "max", "default": "max"}
CPUS = {"0.5": 500000, "1.5": 1500000, "70%": 700000, "250m": 250000, "0.005": 5000}
PERIODS = {"100ms": 100000, "50ms": 50000, "10ms": 10000, "1s": 1000000, "default": 100000}
WORDS: dict[str, dict[str, str]] = {
    "memory.max": LIMITS,
    "memory.high": LIMITS,
    "memory.low": {"0": "0", "4M": str(4 << 20), "default": "0"},
    "memory.min": {"0": "0", "5000000": "4997120", "default": "0"},
    "memory.swap.max": {"0": "0", **LIMITS},
    "memory.oom.group": {"1": "1", "off": "0", "default": "0"},
    "cpu.max": {**dict.fromkeys(CPUS, ""), "max": "max", "default": "max"},
    "cpu.period": dict.fromkeys(PERIODS, ""),
    "cpu.burst": {"0": "0", "20ms": "20000", "70000": "70000", "default": "0"},
    "cpu.weight": {"50": "50", "10000": "10000", "default": "100", "idle": IDLE},
    "cpuset.cpus": {"0": "0", "1": "1", "0,1": "0-1", "0-1": "0-1", "": "", "default": ""},
    "cpuset.mems": {"0": "0", "": "", "default": ""},
    "vcpus": {"1": "1", "2": "2", "max": "max"},
    "io.weight": {"50": "default 50", "10000": "default 10000", "default": "default 100"},
    "pids.max": {"50": "50", "4194304": "4194304", "max": "max", "default": "max"},
    "hugetlb.2MB": {"4M": str(4 << 20), "5M": str(4 << 20), "max": "max", "default": "max"},
    "files.pids.max": {"60": "60", "max": "max"},
    "files.cgroup.freeze": {"1": "1", "0": "0"},
    "files.cgroup.pressure": {"1": "1", "0": "0"},
}
"""What people write for each key, and what the kernel then shows."""
RATES = {"1M": "1000000", "5k": "5000", "max": "max"}


def fresh(key: str) -> str:
    """What a new cgroup has under a key: a file's name, for io.max with a device."""
    return NO_RATES if key.startswith("io.max ") else NEW[key]


def controller_of(key: str) -> str:
    """What has to be enabled for the file; empty for none."""
    return "" if key.startswith("cgroup.") else key.partition(".")[0]
