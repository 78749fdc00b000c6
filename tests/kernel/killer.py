"""Kill a process just before its Nth system call that changes something: seccomp(2) finds the calls, ptrace(2) stops.

Every state that a kill can leave behind lies between two such calls, so a kill before each of them in turn, counted
over the process and its children, leaves every one of these states once.
"""

import ctypes
import json
import os
import signal
import struct
from collections.abc import Callable
from dataclasses import dataclass

from tests.kernel.shell import forked

CALLS = {
    1: "write", 44: "sendto", 18: "pwrite64", 20: "writev", 62: "kill", 74: "fsync", 75: "fdatasync",
    76: "truncate", 77: "ftruncate", 56: "clone", 57: "fork", 58: "vfork", 435: "clone3", 59: "execve",
    322: "execveat", 83: "mkdir", 258: "mkdirat", 84: "rmdir", 87: "unlink", 263: "unlinkat", 82: "rename",
    264: "renameat", 316: "renameat2", 86: "link", 265: "linkat", 257: "openat", 190: "fsetxattr",
    199: "fremovexattr",
}  # fmt: skip
"""x86_64's numbers (arch/x86/entry/syscalls/syscall_64.tbl). An openat counts when it may make the file."""
_SEIZE, _CONT, _DETACH, _MESSAGE, _LISTEN = 0x4206, 7, 17, 0x4201, 0x4208
_FORKS = {1, 2, 3}
_EXEC, _SECCOMP, _STOP = 4, 7, 128
_OPTIONS = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 7 | 1 << 20  # children, exec, seccomp; PTRACE_O_EXITKILL
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


@dataclass(frozen=True)
class Ended:
    """How it went: the calls in their order, whether one was the end, and what the process said.

    ``became``: one has become another program. Its execve is done only some time after it was counted.
    """

    calls: list[str]
    killed: bool
    became: bool
    status: int
    said: str


def killed_at(at: int, what: Callable[[], object], *, family: bool = False) -> Ended:
    """Run a function in a child, and kill who is about to make changing call number ``at`` (from 1).

    ``family``: kill its parent and its children too, at the same moment. A process that has become another program is
    left alone from then on.
    """
    done = forked(lambda: _trace(at, what, family))
    result = json.loads(done.out)
    return Ended(**result, said=done.err)


def _trace(at: int, what: Callable[[], object], family: bool) -> None:
    first = _traced(what)
    calls: list[str] = []
    living, killed, became, status = {first}, False, False, 0
    while living:
        pid, told = os.waitpid(-1, 0x40000000)  # __WALL: children of all kinds
        if not os.WIFSTOPPED(told):
            living.discard(pid)
            status = os.waitstatus_to_exitcode(told) if pid == first else status
            continue
        living.add(pid)
        event, number = told >> 16, os.WSTOPSIG(told)
        if event == _EXEC:
            _ptrace(_DETACH, pid)
            living.discard(pid)
            became = True
        elif event == _SECCOMP:
            calls.append(CALLS[_message(pid)])
            killed = len(calls) == at or killed
            for one in (living if family else {pid}) if len(calls) == at else ():
                os.kill(one, signal.SIGKILL)
            if len(calls) != at:
                _ptrace(_CONT, pid)
        else:
            _ptrace(_CONT, pid, 0 if event else number)
    os.write(1, json.dumps({"calls": calls, "killed": killed, "became": became, "status": status}).encode())


def _traced(what: Callable[[], object]) -> int:
    wait, go = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(go)
        os.read(wait, 1)
        os.dup2(2, 1)  # standard output is the tracer's
        _filter()
        what()
        os._exit(0)
    _ptrace(_SEIZE, pid, _OPTIONS)
    os.close(wait)
    os.close(go)
    return pid


def _ptrace(request: int, pid: int, data: int = 0) -> None:
    if _libc.ptrace(request, pid, None, data) < 0 and ctypes.get_errno() != 3:  # ESRCH: killed meanwhile
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")


def _message(pid: int) -> int:
    number = ctypes.c_ulong()
    _libc.ptrace(_MESSAGE, pid, None, ctypes.byref(number))
    return number.value


def _filter() -> None:
    """Stop for the tracer at each of CALLS, for ever (bpf(4)'s old instructions on struct seccomp_data)."""
    load, equal, any_of, end = 0x20, 0x15, 0x45, 0x06
    code = [(load, 0, 0, 0)]
    for number in CALLS:
        if CALLS[number] == "openat":
            code += [(equal, 0, 4, number), (load, 0, 0, 32), (any_of, 0, 1, os.O_CREAT), (end, 0, 0, _TRACE | number)]
            code += [(end, 0, 0, _ALLOW)]
        else:
            code += [(equal, 0, 1, number), (end, 0, 0, _TRACE | number)]
    code += [(end, 0, 0, _ALLOW)]
    text = b"".join(struct.pack("HBBI", *one) for one in code)
    program = ctypes.create_string_buffer(text)
    head = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(program))
    if _libc.prctl(38, 1, 0, 0, 0) or _libc.prctl(22, 2, ctypes.c_char_p(head), 0, 0):  # no new privileges, the filter
        raise OSError(ctypes.get_errno(), "seccomp")
