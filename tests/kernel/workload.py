"""Work to put into a VE: forked children of the test, each told what to do through a socket.

A fork takes milliseconds where a program takes a second under emulation, and a child enters its cgroup before it does
anything, so that all of its memory is charged there.
"""

import ctypes
import errno
import faulthandler
import gc
import mmap
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

MIB = 1 << 20
RUNNING: list["Worker"] = []
_INK = b"\xa5" * MIB


def until(condition: Callable[[], object], what: str, seconds: float = 20, every: float = 0.005) -> None:
    """Wait until the condition holds, asked so often; fail with `what` at the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(every)


def window(seconds: float) -> float:
    """Let a time of measuring pass; returns how long it really was."""
    begin = time.monotonic()
    until(lambda: time.monotonic() >= begin + seconds, "the end of the window", seconds + 60)
    return time.monotonic() - begin


class Worker:
    """A child that runs `main` inside a cgroup. Whatever is still running is ended after each test."""

    def __init__(self, cgroup: Path | None, main: Callable[[socket.socket], None]) -> None:
        self.status: int | None = None
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if not self.pid:
            _child(cgroup, main, theirs)
        theirs.close()
        RUNNING.append(self)
        assert self.answer() == "ready", f"the worker could not enter {cgroup}"

    def tell(self, message: str) -> Self:
        """Send a message and do not wait for the answer."""
        self._sock.send(message.encode())
        return self

    def answer(self, seconds: float = 60) -> str | None:
        """The next answer; None when the child has died."""
        self._sock.settimeout(seconds)
        with suppress(ConnectionResetError):
            return self._sock.recv(256).decode() or None
        return None

    def ask(self, message: str, seconds: float = 60) -> str | None:
        """Send a message; its answer, or None when the child has died of it."""
        with suppress(BrokenPipeError):
            return self.tell(message).answer(seconds)
        return None

    def hold(self, mib: int, seconds: float = 60) -> bool:
        """Of a filler: hold so much memory; False when it was killed for that."""
        return self.ask(str(mib), seconds) == "done"

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is None

    def end(self, seconds: float = 20) -> int:
        """Wait for its end; the exit status, or minus the signal's number."""
        until(lambda: not self.alive, f"the end of process {self.pid}", seconds)
        assert self.status is not None
        return self.status

    def kill(self) -> None:
        """End it at once."""
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)
            self.end()
        self._sock.close()


def _child(cgroup: Path | None, main: Callable[[socket.socket], None], sock: socket.socket) -> None:
    code = 1
    try:
        faulthandler.disable()
        gc.disable()
        gc.freeze()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        if cgroup is not None:
            (cgroup / "cgroup.procs").write_text("0")
        sock.send(b"ready")
        main(sock)
        code = 0
    finally:
        os._exit(code)


def end_all() -> None:
    """End every worker that is left."""
    while RUNNING:
        RUNNING.pop().kill()


def sleeper(cgroup: Path) -> Worker:
    """Does nothing, and says `here` when it is told something."""

    def main(sock: socket.socket) -> None:
        while sock.recv(256):
            sock.send(b"here")

    return Worker(cgroup, main)


def leaderless(cgroup: Path) -> Worker:
    """A process whose first thread ends soon, while another one stays."""

    def main(_: socket.socket) -> None:
        threading.Thread(target=signal.pause).start()
        number = {"x86_64": 60}.get(os.uname().machine, 93)
        ctypes.CDLL(None).syscall(number, 0)  # exit(2) of the kernel, which ends the calling thread alone

    return Worker(cgroup, main)


def burner(cgroup: Path) -> Worker:
    """Uses all the CPU time that it gets."""

    def main(_: socket.socket) -> None:
        while True:
            pass

    return Worker(cgroup, main)


def burster(cgroup: Path) -> Worker:
    """Rests for 0.3 s, then wants 50 ms of CPU time at once, again and again."""

    def main(_: socket.socket) -> None:
        while True:
            time.sleep(0.3)
            end = time.process_time() + 0.05
            while time.process_time() < end:
                pass

    return Worker(cgroup, main)


def filler(cgroup: Path, mib: int = 0) -> Worker:
    """Holds as many MiB of memory as it is told to."""

    def main(sock: socket.socket) -> None:
        held: list[mmap.mmap] = []
        while message := sock.recv(256):
            while len(held) > int(message):
                held.pop().close()
            while len(held) < int(message):
                held.append(mmap.mmap(-1, MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
                held[-1].write(_INK)
            sock.send(b"done")

    worker = Worker(cgroup, main)
    if mib:
        assert worker.hold(mib)
    return worker


def forker(cgroup: Path) -> Worker:
    """Told a number, forks so many children that stay; answers how many, and the errno of the fork that failed."""

    def main(sock: socket.socket) -> None:
        while message := sock.recv(256):
            count, number = 0, 0
            try:
                for _ in range(int(message)):
                    if not os.fork():
                        signal.pause()
                    count += 1
            except OSError as error:
                number = error.errno or 0
            sock.send(f"{count} {number}".encode())

    return Worker(cgroup, main)


def disk_user(cgroup: Path, place: Path, size: int, *, write: bool, span: int = 16 * MIB) -> Worker:
    """Reads or writes blocks of `size` bytes past the page cache (O_DIRECT), one after the other, over `span` bytes."""

    def main(_: socket.socket) -> None:
        flags = os.O_DIRECT | (os.O_WRONLY | os.O_CREAT if write else os.O_RDONLY)
        fd = os.open(place, flags, 0o600)
        block = mmap.mmap(-1, size)
        use: Callable[..., int] = os.pwritev if write else os.preadv
        while True:
            for offset in range(0, span, size):
                use(fd, [block], offset)

    return Worker(cgroup, main)


def syncer(cgroup: Path, place: Path) -> Worker:
    """Appends to a file through the page cache and calls fsync(2) each time, starting anew at 8 MiB."""

    def main(_: socket.socket) -> None:
        fd = os.open(place, os.O_WRONLY | os.O_CREAT, 0o600)
        while True:
            os.write(fd, _INK[: 64 << 10])
            os.fsync(fd)
            if os.lseek(fd, 0, os.SEEK_CUR) > 8 * MIB:
                os.lseek(fd, 0, os.SEEK_SET)

    return Worker(cgroup, main)


def huge(cgroup: Path, pages: int, size: int) -> Worker:
    """Maps so many huge pages of `size` bytes and touches each; answers how many it got, or dies of SIGBUS.

    It answers the errno's name where mmap(2) fails.
    """
    map_hugetlb = 0x40000

    def main(sock: socket.socket) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | map_hugetlb
        try:
            area = mmap.mmap(-1, pages * size, flags=flags)
        except OSError as error:
            sock.send(errno.errorcode[error.errno or 0].encode())
            return
        for page in range(pages):
            area[page * size] = 1
        sock.send(str(pages).encode())
        sock.recv(1)

    return Worker(cgroup, main)


@contextmanager
def zswap(wanted: str) -> Iterator[None]:
    """The machine with zswap switched on (``Y``) or off (``N``)."""
    switch = Path("/sys/module/zswap/parameters/enabled")
    before = switch.read_text().strip()
    switch.write_text(wanted)
    try:
        yield
    finally:
        switch.write_text(before)
