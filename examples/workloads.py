"""The programs in the demo's VEs: three workloads that run until they are killed, and one that forks.

    workloads.py cpu PROCESSES              spin
    workloads.py memory FOLDER HOT COLD     keep using HOT MiB of memory, with COLD MiB of file cache beside it
    workloads.py disk FOLDER                write past the page cache, 40 MB/s where the disk can
    workloads.py fork CHILDREN              start so many children, print how many the kernel allowed

Standard library only, and little of it: with `python -I -S` it starts in a fifth of a second on an emulated CPU.
"""

import mmap
import os
import signal
import sys
import time

MIB = 1 << 20
BLOCK = 128 << 10  # bytes of one write; small enough for a smooth rate under a limit of a few MB/s
WRITERS = 4
LENGTH = 8 * MIB  # of each writer's file, which is written over and over
PACE = 40e6 / WRITERS  # bytes per second
FILLED = "filled"
"""The file by which the memory workload reports that it holds all of its memory."""


def cpu(processes: int) -> None:
    """Spin in ``processes`` processes."""
    for _ in range(processes - 1):
        if os.fork() == 0:
            break
    while True:
        pass


def memory(folder: str, hot: int, cold: int) -> None:
    """Fill the page cache with a file that is not read again, and touch every page of `hot` MiB five times a second."""
    with open(f"{folder}/cache", "wb") as file:
        for _ in range(cold):
            file.write(b"c" * MIB)
        file.flush()
        os.fsync(file.fileno())
    pages = bytearray(hot * MIB)
    turn = 0
    while True:
        pages[:: mmap.PAGESIZE] = bytes([turn % 255 + 1]) * (len(pages) // mmap.PAGESIZE)
        if turn == 0:
            open(f"{folder}/{FILLED}", "w").close()
        turn += 1
        time.sleep(0.2)


def disk(folder: str) -> None:
    """Write blocks with O_DIRECT, so that each reaches the disk, charged to this VE, before the next begins.

    It uses several processes, so that one always waits while writes are limited, and the limit is always used fully.
    """
    number = next((n for n in range(1, WRITERS) if os.fork() == 0), 0)
    block = mmap.mmap(-1, BLOCK)  # O_DIRECT wants an aligned buffer
    file = os.open(f"{folder}/written{number}", os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600)
    at = 0
    due = time.monotonic()
    while True:
        os.pwrite(file, block, at)
        at = (at + BLOCK) % LENGTH
        due = max(due + BLOCK / PACE, time.monotonic() - 0.1)  # do not catch up after a limit held it up
        time.sleep(max(0.0, due - time.monotonic()))


def fork(children: int) -> None:
    """Start children until the kernel refuses, print their number, end them."""
    started: list[int] = []
    for _ in range(children):
        try:
            pid = os.fork()
        except BlockingIOError:  # EAGAIN: pids.max
            break
        if pid == 0:
            signal.pause()
        started.append(pid)
    print(len(started), flush=True)
    for pid in started:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    kind, *words = sys.argv[1:]
    if kind == "cpu":
        cpu(int(words[0]))
    elif kind == "memory":
        memory(words[0], int(words[1]), int(words[2]))
    elif kind == "disk":
        disk(words[0])
    elif kind == "fork":
        fork(int(words[0]))
    else:
        sys.exit(f"workloads.py: {kind!r} is not one of cpu, memory, disk, fork")
