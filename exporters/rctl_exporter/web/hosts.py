"""The host names that requests may ask for: a defence against DNS rebinding.

A page in a browser on this host can change its own name so that it resolves to 127.0.0.1. Its script may then read the
answers of this server. Such a request has the foreign name as its Host (RFC 9110, 7.2), and never an IP address.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence

from rctl.errors import UsageError

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*", re.ASCII)
_PORT = re.compile(r":[0-9]{0,5}\Z", re.ASCII)


class Hosts:
    """The allowed host names: IP addresses, ``localhost``, this host's name, and those given."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        """``names``: more names, without port; with them, every address checks names. Raises UsageError."""
        for name in names:
            if not _NAME.fullmatch(name.lower()):
                raise UsageError(
                    f"--web.allowed-host {name[:80]!r}: not a host's name. Write it like metrics.example.com"
                )
        self._everywhere = bool(names)
        self._names = {name.lower() for name in (*names, socket.gethostname(), "localhost")}

    def allow(self, authority: str, *, loopback: bool) -> bool:
        """True if a request may ask for this host and port. ``loopback``: it came to an address of this host alone.

        Without given names, only requests on loopback are checked: a server on the network cannot know its names there.
        """
        if not (loopback or self._everywhere):
            return True
        name = _PORT.sub("", authority.strip().lower()).removesuffix(".")
        return name in self._names or name.endswith(".localhost") or _is_address(name)


def _is_address(name: str) -> bool:
    bracketed = name.startswith("[") and name.endswith("]")
    try:
        return ipaddress.ip_address(name[1:-1] if bracketed else name).version == (6 if bracketed else 4)
    except ValueError:
        return False
