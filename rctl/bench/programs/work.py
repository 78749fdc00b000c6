"""The built-in workloads without a C compiler: WORK NAME COUNT. Like work.c, but with Python's own work in every
figure.

Needs only the standard library (``python -I -S``); prints the nanoseconds of COUNT operations.
"""

import os
import socket
import sys
import time
from collections.abc import Callable
from mmap import mmap

KIB, MIB = 1 << 10, 1 << 20
BLOCK, SEGMENT, SIZE = 4 * KIB, 64 * KIB, 4 * MIB
Once = Callable[[], object]


def compute() -> Once:
    def once() -> None:
        x = 1
        for _ in range(1000):
            x = (x * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)

    return once


def syscall() -> Once:
    return os.getppid


def memory() -> Once:
    source, target = b"\x01" * MIB, bytearray(MIB)

    def once() -> None:
        target[:] = source

    return once


def fault() -> Once:
    def once() -> None:
        with mmap(-1, 256 * KIB) as fresh:
            for at in range(0, 256 * KIB, BLOCK):
                fresh[at] = 1

    return once


def pipe() -> Once:
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    (there, out), (back, answer) = os.pipe(), os.pipe()
    if not os.fork():
        os.close(out)
        while os.read(there, 1):
            os.write(answer, b"x")
        os._exit(0)

    def once() -> None:
        os.write(out, b"x")
        os.read(back, 1)

    return once


def fork() -> Once:
    def once() -> None:
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)

    return once


def execute() -> Once:
    command = ["/bin/true"]
    return lambda: _run(command)


def run() -> Once:
    command = sys.argv[3:]
    return lambda: _run(command)


def _run(command: list[str]) -> None:
    pid = os.posix_spawnp(command[0], command, os.environ)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        sys.exit(f"{command[0]}: ended with {status}")


def _file(flags: int) -> int:
    with open("data", "wb") as file:
        file.write(b"\xa5" * SIZE)
        os.fsync(file)
    return os.open("data", os.O_RDWR | flags)


def _over(flags: int, use: Callable[[int, list[mmap], int], int], sync: bool = False) -> Once:
    fd, block, at = _file(flags), mmap(-1, BLOCK), 0

    def once() -> None:
        nonlocal at
        use(fd, [block], at)
        if sync:
            os.fsync(fd)
        at = (at + BLOCK) % SIZE

    return once


def write() -> Once:
    fd, block, at = _file(0), b"\xa5" * MIB, 0

    def once() -> None:
        nonlocal at
        if at >= 16 * MIB:
            os.ftruncate(fd, 0)
            at = 0
        os.pwrite(fd, block, at)
        at += MIB

    return once


def opening() -> Once:
    _file(0)

    def once() -> None:
        os.close(os.open("data", os.O_RDONLY))
        os.stat("data")

    return once


def create() -> Once:
    block = b"\xa5" * BLOCK

    def once() -> None:
        fd = os.open("new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, block)
        os.close(fd)
        os.unlink("new")

    return once


def _conversation(size: int) -> Once:
    with socket.create_server(("127.0.0.1", 0)) as door:
        wire = socket.create_connection(door.getsockname())
        block = b"\xa5" * size
        if not os.fork():
            wire.close()
            peer, _ = door.accept()
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while peer.recv(size, socket.MSG_WAITALL):
                peer.sendall(block[:64])
            os._exit(0)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def once() -> None:
        wire.sendall(block)
        wire.recv(64, socket.MSG_WAITALL)

    return once


def stream() -> Once:
    return _conversation(SEGMENT)


def request() -> Once:
    return _conversation(64)


def http() -> Once:
    import http.client

    server = http.client.HTTPConnection("127.0.0.1", int(sys.argv[3]))

    def once() -> None:
        server.request("GET", "/")
        server.getresponse().read()

    return once


WORKS: dict[str, Callable[[], Once]] = {
    "compute": compute,
    "syscall": syscall,
    "memory": memory,
    "fault": fault,
    "pipe": pipe,
    "fork": fork,
    "exec": execute,
    "run": run,
    "read": lambda: _over(0, os.preadv),
    "dread": lambda: _over(os.O_DIRECT, os.preadv),
    "write": write,
    "fsync": lambda: _over(0, os.pwritev, sync=True),
    "dwrite": lambda: _over(os.O_DIRECT, os.pwritev),
    "open": opening,
    "create": create,
    "stream": stream,
    "request": request,
    "http": http,
}


def main() -> None:
    """Prepare, warm up, time, print."""
    name, count = sys.argv[1], int(sys.argv[2])
    if name not in WORKS:
        sys.exit(f"{name}: needs the C program: there is no C compiler (cc) here")
    once = WORKS[name]()
    for _ in range(count // 8 + 1):
        once()
    begin = time.perf_counter_ns()
    for _ in range(count):
        once()
    sys.stdout.write(f"{time.perf_counter_ns() - begin}\n")
    sys.stdout.flush()
    os._exit(0)  # a partner may wait for a pipe's end


if __name__ == "__main__":
    main()
