"""D-Bus messages, made and read with jeepney. https://dbus.freedesktop.org/doc/dbus-specification.html

jeepney makes and reads the header of each message anew, field by field, which costs more than all else of a call. The
fields are nearly always the same, so here each is made once, and read once.

jeepney's ``__init__`` loads socket and much more, which together cost as much as the rest of a connection. So its
``low_level`` is loaded as a part of a package of another name. jeepney itself stays as it is for other users in this
process.
"""

from __future__ import annotations

import sys
from functools import cache, lru_cache
from importlib import import_module
from struct import Struct, pack, unpack_from
from types import ModuleType
from typing import Any

import msgspec

_NAME = "rctl_jeepney"
_CALL, _LITTLE = 1, b"l"
ERROR = 3
"""The type of a message that refuses a call."""
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
"""The codes of the fields of a header."""
_SIZES = {_LITTLE: Struct("<III"), b"B": Struct(">III")}
"""The length of the body, the serial number, and the length of the fields, by the mark of the byte order."""
_BEGIN = 16
"""The place of the fields in a message."""
_REPLIES = b"\5\1u\0"
"""The begin of the field with the serial number of the call that is answered; four bytes follow."""


_PROPERTIES = "a(sv)"
"""The signature of a list of properties."""
_STRINGS = b"\2as\0"
"""The begin of a variant with a list of strings."""


class _Letters(ModuleType):
    """What jeepney takes from string. That module also compiles the expression of its templates."""

    ascii_letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    digits = "0123456789"


class Message(msgspec.Struct, frozen=True):
    """A message that came. ``answers``: the serial number of the call that it answers; 0: none.

    ``name``: of its method or signal, or of the error. ``signature``: of its body, which begins at ``begin``.
    """

    kind: int
    answers: int
    name: str
    signature: str
    data: bytes
    begin: int

    @property
    def body(self) -> tuple[Any, ...]:
        """Its arguments. A variant is a pair of its signature and its value."""
        if not self.signature:
            return ()
        if self.signature == "v" and self.data.startswith(_STRINGS, self.begin):
            return (("as", _strings(self.data, self.begin + len(_STRINGS))),)
        kind, order = _type(f"({self.signature})"), _order(self.data[:1])
        found: tuple[Any, ...] = kind.parse_data(self.data, self.begin, order)[0]
        return found


def call(
    serial: int, path: str, interface: str, to: str, method: str, signature: str, arguments: tuple[Any, ...]
) -> bytes:
    """A call of a method of an object."""
    parts = [_field(_PATH, "o", path), _field(_INTERFACE, "s", interface), _field(_MEMBER, "s", method)]
    parts.append(_field(_DESTINATION, "s", to))
    body = b""
    if signature:
        parts.append(_field(_SIGNATURE, "g", signature))
        body = _body(signature, arguments)
    fields = b"".join([part + bytes(-len(part) % 8) for part in parts])
    length = len(fields) - -len(parts[-1]) % 8
    return pack("<cBBBIII", _LITTLE, _CALL, 0, 1, len(body), serial, length) + fields + body


class Stream:
    """Takes data as it comes, and gives messages."""

    def __init__(self) -> None:
        self._data = b""

    def add(self, data: bytes) -> None:
        """Take more data."""
        self._data += data

    def next(self) -> Message | None:
        """The next message; ``None`` if it is not complete. Raises ValueError if this is no message."""
        data = self._data
        if len(data) < _BEGIN:
            return None
        order = data[:1]
        if order not in _SIZES:
            raise ValueError(f"a message does not begin with {order!r}")
        size, _, length = _SIZES[order].unpack_from(data, 4)
        begin = _BEGIN + length + -length % 8
        if len(data) < begin + size:
            return None
        self._data = data[begin + size :]
        head, answers = data[_BEGIN : _BEGIN + length], 0
        if head.startswith(_REPLIES):
            answers, head = int.from_bytes(head[4:8], "little" if order == _LITTLE else "big"), head[8:]
        fields = _fields(order, head)
        name = fields.get(_MEMBER) or fields.get(_ERROR_NAME) or ""
        answers = answers or fields.get(_REPLY_SERIAL, 0)
        return Message(data[1], answers, name, fields.get(_SIGNATURE, ""), data[: begin + size], begin)


def _strings(data: bytes, at: int) -> list[str]:
    """A list of strings: each has its length before it, begins at a multiple of four bytes, and ends with a zero."""
    order = "<I" if data[:1] == _LITTLE else ">I"
    [size] = unpack_from(order, data, at)
    found, at = [], at + 4
    end = at + size
    while at < end:
        [length] = unpack_from(order, data, at)
        found.append(data[at + 4 : at + 4 + length].decode())
        at += 4 + length + 1
        at += -at % 4
    return found


@lru_cache(1 << 10)
def _field(code: int, kind: str, value: str) -> bytes:
    """A field of a header."""
    found: bytes = _type("(yv)").serialise((code, (kind, value)), 0, _order(_LITTLE))
    return found


@lru_cache(1 << 8)
def _fields(order: bytes, text: bytes) -> dict[int, Any]:
    """The values of a header's fields, by their codes."""
    length = pack("<I" if order == _LITTLE else ">I", len(text))
    found = _type("a(yv)").parse_data(length + bytes(4) + text, 0, _order(order))[0]
    return {code: value for code, (_, value) in found}


def _body(signature: str, arguments: tuple[Any, ...]) -> bytes:
    """The arguments of a call."""
    if signature.endswith(_PROPERTIES):
        first = _plain(signature.removesuffix(_PROPERTIES), arguments[:-1])
        return first + _properties(arguments[-1], len(first))
    if not signature.strip("sb"):
        return _plain(signature, arguments)
    made: bytes = _type(f"({signature})").serialise(arguments, 0, _order(_LITTLE))
    return made


@lru_cache(1 << 10)
def _plain(signature: str, arguments: tuple[str | bool, ...]) -> bytes:
    """Arguments that are strings and truth values: a change sends the same about a unit each time."""
    made: bytes = _type(f"({signature})").serialise(arguments, 0, _order(_LITTLE))
    return made


def _properties(given: list[tuple[str, tuple[str, Any]]], at: int) -> bytes:
    """A list of properties that begins at ``at``. Numbers are made in one piece: most properties of limits are some."""
    if {kind for _, (kind, _) in given} == {"t"}:
        pairs = b"".join([_before_number(name) + pack("<Q", value) for name, (_, value) in given])
    else:
        pairs = b""
        for one in given:
            pairs += _type("(sv)").serialise(one, len(pairs), _order(_LITTLE))
    size = at + -at % 4
    return bytes(size - at) + pack("<I", len(pairs)) + bytes(-(size + 4) % 8) + pairs


@lru_cache(1 << 8)
def _before_number(name: str) -> bytes:
    """A pair without its number, which is at the end."""
    made: bytes = _type("(sv)").serialise((name, ("t", 0)), 0, _order(_LITTLE))
    return made[:-8]


@cache
def _type(signature: str) -> Any:
    """jeepney's type for one complete type."""
    return _jeepney().parse_signature(list(signature))


@cache
def _order(mark: bytes) -> Any:
    """jeepney's byte order."""
    return _jeepney().endian_map[mark]


@cache
def _jeepney() -> Any:
    """The module with ``parse_signature`` and ``endian_map``."""
    from importlib.machinery import PathFinder

    found = PathFinder.find_spec("jeepney")
    if found is None or found.submodule_search_locations is None:
        return import_module("jeepney.low_level")  # in no folder: it may be in an archive
    package = ModuleType(_NAME)
    package.__path__ = found.submodule_search_locations
    sys.modules[_NAME] = package
    before = sys.modules.setdefault("string", _Letters("string"))
    try:
        return import_module(f"{_NAME}.low_level")
    finally:
        if isinstance(before, _Letters):
            del sys.modules["string"]
