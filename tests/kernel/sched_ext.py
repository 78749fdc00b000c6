"""Loads the smallest scheduler that sched_ext takes, by bpf(2) alone: a name, and the kernel's default for all else.

It is a map of the kind struct_ops that holds a ``struct sched_ext_ops``; writing its value loads it, deleting that
unloads it. Where the parts of the struct lie is in the kernel's own BTF (Documentation/bpf/btf.rst).
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

STATE = Path("/sys/kernel/sched_ext/state")
_BPF = {"x86_64": 321, "aarch64": 280}
_CREATE, _UPDATE, _DELETE, _LOAD_BTF = 0, 2, 3, 18
_STRUCT_OPS = 26
_STRUCT = 4
_MEMBER = 12
_EXTRA = {1: 4, 3: 12, 14: 4, 17: 4}
"""Bytes that follow a type of each kind (BTF_KIND_INT, _ARRAY, _VAR, _DECL_TAG); for others, by each of its parts:"""
_EACH = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
_libc = ctypes.CDLL(None, use_errno=True)


class Struct(NamedTuple):
    """A struct of the kernel: the number of its type, its size, and where each member begins."""

    number: int
    size: int
    members: dict[str, int]


def structs(*names: str) -> dict[str, Struct]:
    """Structs of the running kernel by name."""
    data = Path("/sys/kernel/btf/vmlinux").read_bytes()
    head, types, length, strings = struct.unpack_from("<4x4I", data)
    start, texts = head + types, head + strings
    wanted = {data.index(b"\0" + name.encode() + b"\0", texts) + 1 - texts: name for name in names}
    found: dict[str, Struct] = {}
    at, number = start, 0
    while at < start + length and len(found) < len(names):
        name, info, size = struct.unpack_from("<3I", data, at)
        kind, count = info >> 24 & 31, info & 0xFFFF
        at, number = at + 12, number + 1
        if kind == _STRUCT and name in wanted:
            members = [struct.unpack_from("<3I", data, at + _MEMBER * one) for one in range(count)]
            of = {data[texts + text : data.index(b"\0", texts + text)].decode(): bits // 8 for text, _, bits in members}
            found[wanted[name]] = Struct(number, size, of)
        at += _EXTRA.get(kind, 0) + _EACH.get(kind, 0) * count
    return found


@contextmanager
def loaded(name: str) -> Iterator[None]:
    """The machine with a scheduler of this name, for as long as the block lasts."""
    value, ops = structs("bpf_struct_ops_sched_ext_ops", "sched_ext_ops").values()
    if "data" not in value.members:
        value, ops = ops, value
    own = _types_of_the_program()
    try:
        of_map = struct.pack("<7I16s", _STRUCT_OPS, 4, value.size, 1, 0, 0, 0, b"rctl")
        fd = _bpf(_CREATE, of_map + struct.pack("<5I16x", 0, own, 0, 0, value.number))
    finally:
        os.close(own)
    try:
        key = ctypes.create_string_buffer(4)
        content = ctypes.create_string_buffer(value.size)
        place = value.members["data"] + ops.members["name"]
        content[place : place + len(name)] = name.encode()
        where = ctypes.addressof(key), ctypes.addressof(content)
        _bpf(_UPDATE, struct.pack("<I4x3Q", fd, *where, 0))
        try:
            yield
        finally:
            _bpf(_DELETE, struct.pack("<I4x3Q", fd, where[0], 0, 0))
    finally:
        os.close(fd)


def _types_of_the_program() -> int:
    """A descriptor of BTF with one type, which the kernel wants beside its own."""
    number = struct.pack("<4I", 1, 1 << 24, 4, 1 << 24 | 32)
    names = b"\0int\0"
    head = struct.pack("<HBB5I", 0xEB9F, 1, 0, 24, 0, len(number), len(number), len(names))
    text = ctypes.create_string_buffer(head + number + names, len(head + number + names))
    return _bpf(_LOAD_BTF, struct.pack("<QQ4I", ctypes.addressof(text), 0, len(text), 0, 0, 0))


def _bpf(command: int, attributes: bytes) -> int:
    text = ctypes.create_string_buffer(attributes, len(attributes))
    result: int = _libc.syscall(_BPF[os.uname().machine], command, text, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf {command}: {os.strerror(ctypes.get_errno())}")
    return result
