"""The bare calls that set limits of units: one ``SetUnitProperties`` for each unit, and reads of the same files.

They are what a careful script does with jeepney, the library for D-Bus that rctl uses, too, on the same socket. A
second call (``Ping``) follows in the same packet: systemd has written the files before it answers that, so they can be
read back.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import Any, Self

from ...errors import RctlError
from ...limits import file_named
from ...systemd import properties
from ...systemd.bus import MANAGER, NAME, PRIVATE, Property
from ...systemd.unit import Unit
from .bare_calls import Text, read_bare, write_bare


class Wire:
    """A connection to the system's manager."""

    def __init__(self) -> None:
        """Connects. Raises OSError."""
        from jeepney import Parser

        self._serial, self._parser = 0, Parser()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(PRIVATE)
        self._socket.sendall(b"\0AUTH EXTERNAL %s\r\nBEGIN\r\n" % str(os.geteuid()).encode().hex().encode())
        self._socket.recv(1024)  # it says OK

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def set(self, unit: str, given: Sequence[Property]) -> None:
        """Set properties of a unit; its files are written then. Raises RctlError if systemd refuses."""
        from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call

        manager = DBusAddress(MANAGER, NAME, f"{NAME}.Manager")
        peer = DBusAddress("/", NAME, "org.freedesktop.DBus.Peer")
        calls = (
            new_method_call(manager, "SetUnitProperties", "sba(sv)", (unit, True, list(given))),
            new_method_call(peer, "Ping"),
        )
        self._socket.sendall(b"".join([call.serialise(self._serial + at) for at, call in enumerate(calls, 1)]))
        self._serial += len(calls)
        answer: Any = None
        while answer is None or answer.header.fields.get(HeaderFields.reply_serial) != self._serial:
            while (answer := self._parser.get_next_message()) is None:
                self._parser.add_data(self._socket.recv(65536))
            if answer.header.message_type is MessageType.error:
                raise RctlError(f"{unit}: systemd refuses the bare call: {answer.body}")


def split(texts: Sequence[Text]) -> tuple[list[Text], list[Property], list[Text]]:
    """All texts; the properties that set some of them; the texts of those files that have no property."""
    found: list[Property] = []
    rest: list[Text] = []
    for name, text in texts:
        file = file_named(name)
        key = "default" if text.startswith("default ") else ""
        values = properties.values(file, key, file.entry(text, key)) if properties.names(file, lambda: 252) else {}
        if not values:
            rest.append((name, text))
        for each, value in values.items():
            bus = properties.on_bus(each), (properties.signature(each), properties.to_bus(each, value))
            found.append(bus)
    return list(texts), found, rest


def set_bare(
    wire: Wire, root: int, paths: Sequence[str], texts: Sequence[Text], given: Sequence[Property], rest: Sequence[Text]
) -> float:
    """Set the properties and the other files of each unit, with each file read before and after; returns the seconds.

    ``root``: the mount's descriptor.
    """
    begin = time.perf_counter()
    for path in paths:
        unit = Unit.at(path)
        for name, _ in texts:
            read_bare(root, f"{path[1:]}/{name}")
        wire.set(unit.name, given)
        for name, text in rest:
            write_bare(root, f"{path[1:]}/{name}", text)
        for name, _ in texts:
            read_bare(root, f"{path[1:]}/{name}")
    return time.perf_counter() - begin
