"""One process of a host waits for the end of timed adjustments, and all others tell it when it has to look again.

The process that waits holds a lock and listens on a socket in the run folder. An rctl that makes a timed adjustment
connects *before* the change and stays connected until it has ended, however it ends. The end of the connection is the
signal to look again, so not even a kill between the change and the signal leaves a timer without a waiter.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from ..adjust import owner
from ..adjust.site import Site
from ..adjust.state_folder import State, lock_file
from ..errors import NotAvailableError, RctlError, explained
from .alarm import Alarm

_SOCKET = "waker"
_GO = b"go"
"""What a service says to a sleeper that is to leave the timers to it."""
READY = b"!"
"""What a sleeper says on its standard input when it is there."""
_BEGIN = 20.0
"""Seconds until a sleeper has to be there."""
_REMEDY = "To put the old values back when their time is over: rctl recover"
_PATIENCE = 5.0
"""Seconds until a sleeper that was asked has ended."""


class Waker:
    """The process that waits. ``close()`` it.

    ``asked_to_go``: a service wants to wait instead.
    """

    def __init__(self, state: State) -> None:
        """Takes neither the lock nor the name yet. Raises OSError if no descriptor is free."""
        self._folder = state.folder(state.run)
        self._lock = lock_file(state, "waker.lock")
        self._listener: socket.socket | None = None
        self._alarm = Alarm()
        self._clients: dict[int, socket.socket] = {}
        self.asked_to_go = False

    def take(self) -> bool:
        """Become the one that waits; False if another process is."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        with suppress(FileNotFoundError):
            os.unlink(_SOCKET, dir_fd=self._folder)  # left by one that was killed
        self._listen()
        return True

    def _listen(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._listener.bind(_address(self._folder))
        self._listener.listen(128)

    def wait(self, moment: float | None, others: Iterable[int] = ()) -> set[int]:
        """Wait for the moment (seconds since 1970), the end of a connection, or one of the ``others`` to be readable.

        Returns those of the others that are. New connections alone do not end the wait.
        """
        assert self._listener is not None
        self._alarm.at(moment)
        poll = select.poll()
        own = {self._alarm.fileno(), self._listener.fileno()}
        for fd in {*own, *self._clients, *others}:
            poll.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._listener.fileno() in ready:
                for fd in self._accepted():
                    poll.register(fd, select.POLLIN)
            ended = [fd for fd in ready & self._clients.keys() if self._ended(fd)]
            if self._alarm.fileno() in ready:
                self._alarm.heard()
            if ended or ready - {self._listener.fileno()} - self._clients.keys():
                return ready - own - set(ended)

    def leave(self) -> bool:
        """Stop waiting, unless a connection came in the last moment."""
        assert self._listener is not None
        os.unlink(_SOCKET, dir_fd=self._folder)
        self._accepted()
        if not self._clients:
            return True
        self._listener.close()
        self._listen()
        return False

    def close(self) -> None:
        """Close all."""
        for client in self._clients.values():
            client.close()
        if self._listener is not None:
            self._listener.close()
        self._alarm.close()
        os.close(self._lock)

    def _accepted(self) -> list[int]:
        assert self._listener is not None
        found = []
        with suppress(BlockingIOError):
            while True:
                client, _ = self._listener.accept()
                client.setblocking(False)
                self._clients[client.fileno()] = client
                found.append(client.fileno())
        return found

    def _ended(self, fd: int) -> bool:
        """True if the connection has ended, or asked this process to go."""
        try:
            said = self._clients[fd].recv(16)
        except BlockingIOError:
            return False
        except ConnectionError:
            said = b""
        if said:
            self.asked_to_go |= said == _GO
            return self.asked_to_go
        self._clients.pop(fd).close()
        return True


def connected(state: State) -> socket.socket | None:
    """A connection to the process that waits; ``None`` if there is none. It looks again when this is closed."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(_address(state.folder(state.run)))
    except OSError:
        link.close()
        return None
    return link


def look_again(state: State) -> None:
    """Let the process that waits, if there is one, look again now: a timer has changed or ended."""
    if (link := connected(state)) is not None:
        link.close()


@contextmanager
def awaited(site: Site) -> Iterator[None]:
    """A block that makes a timed adjustment: some process waits for its end, also if this one is killed meanwhile.

    Raises NotAvailableError if no process can be started; then the block does not run. If the process ends before it
    waits, the block has run already, and people are told.
    """
    link, waits = connected(site.state), _lives
    if link is None:
        link, waits = _start(), _begins
    try:
        yield
    finally:
        with link:
            there = waits(link)
        if not there and not _waits_now(site.state):
            site.tell(f"no process waits for the end of timers: it cannot be started. {_REMEDY}")


def _waits_now(state: State) -> bool:
    """Start a process that waits, if none does. False if that fails."""
    if (link := connected(state)) is not None:
        link.close()
        return True
    with suppress(NotAvailableError), _start() as link:
        return _begins(link)
    return False


def _begins(link: socket.socket) -> bool:
    """Wait until the process at the other end says that it is there; False if it has ended."""
    link.settimeout(_BEGIN)
    try:
        if not link.recv(len(READY)):
            return False
    except OSError:
        return False
    link.settimeout(None)
    return _lives(link)


def _lives(link: socket.socket) -> bool:
    """False if the process at the other end has ended."""
    try:
        return bool(link.recv(1, socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def start_sleeper_if_needed(state: State) -> None:
    """Make sure that some process waits for timers."""
    (connected(state) or _start()).close()


def take_over(waker: Waker, state: State) -> bool:
    """Take the timers over from a sleeper. False if another service has them."""
    until = time.monotonic() + _PATIENCE
    while not waker.take():
        if time.monotonic() > until:
            return False
        if (link := connected(state)) is not None:
            with link, suppress(OSError):
                link.sendall(_GO)
                link.settimeout(_PATIENCE)
                link.recv(1)
        time.sleep(0.01)
    return True


def _address(folder: int) -> str:
    """The socket's path through the open folder: the address of a socket has 107 bytes at most."""
    return f"/proc/self/fd/{folder}/{_SOCKET}"


def _start() -> socket.socket:
    """Start the sleeper as a process of its own, which gets the other end of a connection as its standard input.

    On a host that systemd runs it gets a scope, so it outlives the caller's unit. Without a manager it stays there.
    """
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # each says what it says in one piece
    try:
        pid = os.fork()
    except OSError as error:
        raise NotAvailableError(f"rctl timers wait: cannot be started: {explained(error, 'See ulimit -u')}") from None
    if not pid:
        try:
            os.setsid()
            if child := os.fork():  # a child of nobody, so that it leaves no zombie
                there.send(str(child).encode())
                os._exit(0)
            os.chdir("/")
            os.dup2(there.fileno(), 0)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            os.execv(sys.executable, [sys.executable, "-m", "rctl", "timers", "wait"])  # noqa: S606 (rctl itself)
        finally:
            os._exit(127)
    os.waitpid(pid, 0)
    there.close()
    sleeper = here.recv(16)
    if sleeper and owner.applies():
        from ..systemd import own_scope

        with suppress(RctlError):
            own_scope.give(int(sleeper), f"rctl-timers-{int(sleeper)}", "Timed limits go back at their time (rctl)")
    return here
