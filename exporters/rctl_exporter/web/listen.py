"""The sockets that the server listens on: addresses from the command line, and sockets that systemd passes."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Callable, MutableMapping, Sequence
from typing import NamedTuple

from rctl.errors import NotAvailableError, UsageError

DEFAULT_PORT = 19939
DEFAULT = f"127.0.0.1:{DEFAULT_PORT}"
_FIRST_INHERITED = 3
_BACKLOG = 128
_EXAMPLES = f"{DEFAULT}, [::1]:{DEFAULT_PORT} or 0.0.0.0:{DEFAULT_PORT}"


class Address(NamedTuple):
    """An IP address and a port; port 0 lets the kernel choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``127.0.0.1:19939``, ``[::1]:19939``, ``localhost:19939``; a port alone (``:19939``) is loopback's.

        Raises UsageError. An address beyond this host must be written out; in other programs ``:PORT`` means all
        addresses.
        """
        host, _, port = text.rpartition(":")
        host = host or "127.0.0.1"
        if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 65536):
            raise UsageError(f"--listen {text[:80]!r}: it has no port from 0 to 65535. Write {_EXAMPLES}")
        bracketed = host.startswith("[") and host.endswith("]")
        bare = host[1:-1] if bracketed else "127.0.0.1" if host == "localhost" else host
        try:
            address = ipaddress.ip_address(bare)
        except ValueError:
            raise UsageError(f"--listen {text[:80]!r}: not an IP address and a port. Write {_EXAMPLES}") from None
        if bracketed != (address.version == 6):
            raise UsageError(f"--listen {text[:80]!r}: brackets belong around IPv6 addresses only. Write {_EXAMPLES}")
        return cls(bare, int(port))

    def open(self) -> socket.socket:
        """A socket that listens there. Raises NotAvailableError with the remedy."""
        shown = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
            )[0]
            listener = socket.socket(family, kind, protocol)
        except OSError as error:
            raise NotAvailableError(f"{shown}: cannot listen: {_why(error)}") from None
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(place)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise NotAvailableError(f"{shown}: cannot listen: {_why(error)}") from None
        return listener


def _why(error: OSError) -> str:
    remedies = {
        errno.EADDRINUSE: "another process listens there. Choose another port with --listen, or end it",
        errno.EACCES: "ports below 1024 are root's. Choose another port with --listen, or use rctl-exporter.socket",
        errno.EADDRNOTAVAIL: "no interface of this host has that address. See ip addr",
        errno.EAFNOSUPPORT: "this host has no such network protocol. Choose another address with --listen",
    }
    return remedies.get(error.errno or 0, f"{error.strerror}. Choose another address with --listen")


def open_all(
    texts: Sequence[str], environment: MutableMapping[str, str] = os.environ, pid: Callable[[], int] = os.getpid
) -> list[socket.socket]:
    """Open every socket to listen on: those of systemd, and those of the addresses; if there are none, the default.

    Raises UsageError, NotAvailableError; then no socket is left open.
    """
    addresses = [Address.parse(text) for text in dict.fromkeys(texts)]
    found = inherited(environment, pid)
    if not found and not addresses:
        addresses = [Address.parse(DEFAULT)]
    with contextlib.ExitStack() as stack:
        for listener in found:
            stack.callback(listener.close)
        for address in addresses:
            found.append(address.open())
            stack.callback(found[-1].close)
        stack.pop_all()
    return found


def inherited(
    environment: MutableMapping[str, str] = os.environ, pid: Callable[[], int] = os.getpid
) -> list[socket.socket]:
    """Sockets that systemd listens on for this process, sd_listen_fds(3). Removes the variables, for children.

    Raises UsageError for a descriptor that is no listening stream socket.
    """
    words = [environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")]
    if words[0] != str(pid()) or not (words[1].isascii() and words[1].isdecimal()):
        return []
    return [_adopted(number) for number in range(_FIRST_INHERITED, _FIRST_INHERITED + min(int(words[1]), 64))]


def _adopted(number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)
        adopted = socket.socket(fileno=number)
    except OSError:
        raise UsageError(f"LISTEN_FDS: descriptor {number} is not a socket. See rctl-exporter.socket") from None
    listens = adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if adopted.type != socket.SOCK_STREAM or not listens:
        adopted.close()
        raise UsageError(f"LISTEN_FDS: descriptor {number} is no listening stream socket. Use ListenStream=, Accept=no")
    return adopted


def url(listener: socket.socket, *, tls: bool) -> str:
    """The address of the page on a socket, for people."""
    place = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{place if isinstance(place, str) else place.decode(errors='replace')}"
    host = f"[{place[0]}]" if listener.family == socket.AF_INET6 else place[0]
    return f"{'https' if tls else 'http'}://{host}:{place[1]}/metrics"


def is_local(listener: socket.socket) -> bool:
    """True if only this host reaches a socket."""
    if listener.family == socket.AF_UNIX:
        return True
    return ipaddress.ip_address(listener.getsockname()[0].split("%")[0]).is_loopback
