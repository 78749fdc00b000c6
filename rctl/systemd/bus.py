"""The D-Bus interface of a systemd manager: https://www.freedesktop.org/software/systemd/man/org.freedesktop.systemd1.html

Root talks to a manager through its private socket, as systemctl does. So no message bus has to run. Others talk to the
system's manager through the bus, which asks polkit for their rights.
"""

from __future__ import annotations

import _socket  # the C part of socket, which costs a tenth to import
import errno
import os
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from select import POLLIN, poll
from typing import Any, Self

from ..errors import BusyError, NotAvailableError, NotFoundError, RctlError, explained
from . import dbus_messages

NAME = "org.freedesktop.systemd1"
MANAGER = "/org/freedesktop/systemd1"
PRIVATE = "/run/systemd/private"
USERS_PRIVATE = "/run/user/{uid}/systemd/private"
BUS = "/run/dbus/system_bus_socket"
_SECONDS = 25.0  # the time limit of sd-bus(3)
_ANEW, _PAUSE = 10.0, 0.01  # seconds to wait for a manager that executes itself anew, and between attempts
_Call = tuple[str, str, str, str, str, tuple[Any, ...]]
"""Object, interface, service, method, signature, arguments."""
Property = tuple[str, tuple[str, Any]]
"""A property for D-Bus: its name, its type's signature, its value."""


class BusError(RctlError):
    """A manager refused a call. ``name``: the D-Bus name of the error."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class Bus:
    """A connection to one manager. Use it as a context manager, or ``close()`` it."""

    def __init__(self, uid: int | None = None, deadline: float = _SECONDS) -> None:
        """Connects. ``uid``: the user of the manager; ``None``: the system's. ``deadline``: seconds for each call.

        Raises NotAvailableError if the manager cannot be reached.
        """
        self._uid = uid
        self._who = f"the systemd of user {uid}" if uid is not None else "systemd"
        self._remedy = "See systemctl status, or start it again: systemctl daemon-reexec"
        if uid is not None:
            self._remedy = (
                f"Start it: systemctl start user@{uid}.service; or at each boot: loginctl enable-linger {uid}"
            )
        self._deadline = deadline
        self._connect()

    def _connect(self, again: bool = False) -> None:
        self._serial, self._stream = 0, dbus_messages.Stream()
        self._ended: dict[str, str] = {}
        self._direct = self._uid is not None or os.geteuid() == 0
        place = PRIVATE if self._uid is None else USERS_PRIVATE.format(uid=self._uid)
        self._wire = self._connected(place if self._direct else BUS, again)
        if not self._direct:
            bus = "org.freedesktop.DBus"
            self._exchange([("/org/freedesktop/DBus", bus, bus, "Hello", "", ())], unknown=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    def reach(self) -> None:
        """Connect again if the manager has closed the connection. Raises NotAvailableError if it cannot be reached."""
        if self._wire.fileno() < 0 or self._is_closed():
            self.close()
            self._connect(again=True)

    def call(
        self,
        method: str,
        signature: str = "",
        *arguments: Any,
        path: str = MANAGER,
        interface: str = f"{NAME}.Manager",
        to: str = NAME,
    ) -> tuple[Any, ...]:
        """Call a method and return what it returns. Raises BusError, and NotAvailableError without an answer."""
        answer: tuple[Any, ...]
        [answer] = self._calls([(path, interface, to, method, signature, arguments)])
        return answer

    def get(self, unit: str, kind: str, names: Iterable[str]) -> dict[str, Any]:
        """Properties of a loaded unit, by name. ``kind``: its interface (``Service``), or ``Unit``.

        A property that this systemd does not know is left out. Raises as ``call``.
        """
        path, found = unit_path(unit), dict.fromkeys(names)
        answers = self._calls([_get(path, kind, name) for name in found], unknown=True)
        return {name: answer[0][1] for name, answer in zip(found, answers, strict=True) if answer}

    def set(self, unit: str, properties: Sequence[Property], *, runtime: bool) -> list[str]:
        """Set properties of a unit: all, or none. ``runtime``: only until the next boot. Returns all its drop-ins.

        systemd has written its cgroup files when this returns: it writes them before it takes the next call, which asks
        for the drop-ins. Raises as ``call``.
        """
        given = (MANAGER, f"{NAME}.Manager", NAME, "SetUnitProperties", "sba(sv)", (unit, runtime, list(properties)))
        asked = _get(unit_path(unit), "Unit", "DropInPaths")
        if self._direct:
            [_, found] = self._calls([given, asked])
        else:  # through the bus, a call may wait for polkit, and a later one overtake it
            self._calls([given])
            [found] = self._calls([asked])
        return list(found[0][1])

    def job(self, method: str, signature: str, *arguments: Any) -> None:
        """Call a method that queues a job, and wait until the job is done, whatever its result.

        Returns at once if the manager executes itself anew meanwhile. Raises as ``call``.
        """
        [job] = self.call(method, signature, *arguments)
        until = time.monotonic() + self._deadline
        try:
            while job not in self._ended:
                self._received(until)
        except ConnectionError:
            self.close()
            self._connect(again=True)
        except OSError as error:
            raise self._silent(error) from None

    def _is_closed(self) -> bool:
        """True if the manager has closed the connection. It may have sent signals before."""
        ready = poll()
        ready.register(self._wire, POLLIN)
        try:
            return bool(ready.poll(0)) and not self._wire.recv(1, _socket.MSG_PEEK)
        except ConnectionError:
            return True

    def _calls(self, calls: Sequence[_Call], unknown: bool = False) -> list[Any]:
        """Send all calls at once, and return their answers. ``unknown``: an unknown property gives ``()``.

        If the manager closes the connection, as it does to execute itself anew, they are sent once more. So a call must
        have the same effect twice. If it could not be reached then, the next call tries again.
        """
        if self._wire.fileno() < 0:
            self._connect()
        try:
            return self._exchange(calls, unknown)
        except ConnectionError:
            self.close()
            self._connect(again=True)
        except OSError as error:
            raise self._silent(error) from None
        try:
            return self._exchange(calls, unknown)
        except OSError as error:
            raise self._silent(error) from None

    def _silent(self, error: OSError) -> NotAvailableError:
        why = f"no answer in {self._deadline:g} s" if isinstance(error, TimeoutError) else explained(error)
        return NotAvailableError(f"{self._who} does not answer: {why}. {self._remedy}")

    def _exchange(self, calls: Sequence[_Call], unknown: bool) -> list[Any]:
        first, text = self._serial + 1, b""
        for each in calls:
            self._serial += 1
            text += dbus_messages.call(self._serial, *each)
        answers: dict[int, tuple[Any, ...]] = {}
        until = time.monotonic() + self._deadline
        self._wire.sendall(text)
        while len(answers) <= self._serial - first:
            message = self._received(until)
            if message.answers < first:
                continue  # a signal, or the answer to a call before
            if message.kind != dbus_messages.ERROR:
                answers[message.answers] = message.body
                continue
            if not (unknown and message.name in _UNKNOWN):
                raise _refused(message.name, str(message.body[0]) if message.body else "")
            answers[message.answers] = ()
        return [answers[number] for number in range(first, self._serial + 1)]

    def _received(self, until: float) -> dbus_messages.Message:
        """The next message. It notes the ends of jobs, which the manager tells all its private connections."""
        while (message := self._stream.next()) is None:
            self._wire.settimeout(max(0.001, until - time.monotonic()))
            if not (data := self._wire.recv(65536)):
                raise ConnectionResetError(errno.ECONNRESET, "it closed the connection")
            self._stream.add(data)
        if message.name == "JobRemoved":
            _, job, _, result = message.body
            self._ended[job] = result
        return message

    def _connected(self, place: str, again: bool) -> _socket.socket:
        """Connect and authenticate as this user. Wait for a manager that executes itself anew.

        Meanwhile nobody listens at its socket, and for a moment there is no socket. ``again``: it was there before.
        Without a socket there is no manager; a user's may have ended and left one.
        """
        until = time.monotonic() + min(_ANEW, self._deadline)
        waits = again or self._uid is None
        while True:
            wire = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
            try:
                self._greet(wire, place)
                return wire
            except OSError as error:
                wire.close()
                again = again or isinstance(error, ConnectionError)
                passes = again and isinstance(error, (ConnectionError, FileNotFoundError))
                if not (waits and passes) or time.monotonic() > until:
                    why = explained(error, self._remedy)
                    raise NotAvailableError(f"{self._who} cannot be reached at {place}: {why}") from None
            time.sleep(_PAUSE)

    def _greet(self, wire: _socket.socket, place: str) -> None:
        """Connect and authenticate, with BEGIN in the first message.

        If the server read BEGIN together with the first call, it would not look at that call until the next one came.
        """
        wire.settimeout(self._deadline)
        wire.connect(place)
        wire.sendall(b"\0AUTH EXTERNAL %s\r\nBEGIN\r\n" % str(os.geteuid()).encode().hex().encode())
        answer = b""
        while b"\r\n" not in answer:
            if len(answer) > 1024 or not (data := wire.recv(1024)):
                raise ConnectionResetError(errno.ECONNRESET, "it closed the connection")
            answer += data
        if not answer.startswith(b"OK "):
            raise PermissionError(errno.EACCES, "it refuses this user")
        self._stream.add(answer.partition(b"\r\n")[2])  # a signal may follow at once


_UNKNOWN = frozenset(
    f"org.freedesktop.DBus.Error.{name}" for name in ("UnknownProperty", "UnknownInterface", "InvalidArgs")
)


def _refused(name: str, text: str) -> RctlError:
    short = name.rpartition(".")[2]
    if short == "NoSuchUnit":
        return NotFoundError(f"{text or 'systemd: no such unit'} See systemctl list-units")
    if short in ("AccessDenied", "InteractiveAuthorizationRequired"):
        return NotAvailableError(f"systemd: {text or 'access denied'}. Run it as root, or give the right by polkit")
    if short in ("TransactionIsDestructive", "ShuttingDown"):
        return BusyError(f"systemd: {text}. Try again when the host is up")
    return BusError(
        name, f"systemd: {(text or name).rstrip('.')}. See systemd.resource-control(5), and systemctl status"
    )


def _get(path: str, kind: str, name: str) -> _Call:
    return path, "org.freedesktop.DBus.Properties", NAME, "Get", "ss", (f"{NAME}.{kind}", name)


@lru_cache(1 << 12)
def unit_path(unit: str) -> str:
    """The D-Bus object of a unit. https://dbus.freedesktop.org/doc/dbus-specification.html#message-protocol-marshaling-object-path"""
    escaped = "".join(
        letter if letter.isascii() and letter.isalnum() and (at or not letter.isdigit()) else _escape(letter)
        for at, letter in enumerate(unit)
    )
    return f"{MANAGER}/unit/{escaped}"


def _escape(letter: str) -> str:
    return "".join(f"_{byte:02x}" for byte in letter.encode())
