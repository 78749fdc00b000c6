"""The kernel's own paths one by one, those where controllers cost most: CPU, memory, switching, processes."""

from __future__ import annotations

from .base import Builtin, Workload

_CPU, _SWITCH = "CPU and memory", "switching and processes"

ALL: tuple[Workload, ...] = (
    Builtin("compute", _CPU, "1000 multiplications, one after the other", 4000, verb="compute"),
    Builtin("system call", _CPU, "getppid(2)", 30000, verb="syscall"),
    Builtin("memory bandwidth", _CPU, "copy 1 MiB", 40, verb="memory"),
    Builtin("page faults", _CPU, "mmap(2), touch and unmap 256 KiB", 30, verb="fault"),
    Builtin("pipe ping-pong", _SWITCH, "a byte there and back, on one CPU", 1000, verb="pipe"),
    Builtin("futex ping-pong", _SWITCH, "hand over and get back, on one CPU", 1000, verb="futex"),
    Builtin("fork and wait", _SWITCH, "fork(2), exit, waitpid(2)", 60, verb="fork"),
    Builtin("fork, exec and wait", _SWITCH, "as before, and execve(2) of the same program", 20, verb="exec"),
)
