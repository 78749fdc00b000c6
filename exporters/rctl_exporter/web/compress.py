"""Compression of pages as Prometheus asks for it: gzip (RFC 1952), by isal if it is installed, else by zlib.

Most chunks of a page are the same objects as in the page before. Each is compressed on its own, ends on a byte
boundary and refers to nothing outside of it (``Z_FULL_FLUSH``). So a chunk that did not change is neither compressed
nor summed again. Very short chunks are joined first, because to track each of them would cost more.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from .crc import Shift, joined, shift

_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # deflate, no name, no time, fastest, unknown system
_END = b"\x03\x00"  # an empty last block
_LEVEL = 1  # a higher level costs much more time and saves few bytes
_SHORT = 4096  # below so many bytes, a new sum is cheaper than joining sums
_TINY = 512  # below so many bytes, compressing is cheaper than looking up


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self, mode: int, /) -> bytes: ...


Checksum = Callable[[bytes, int], int]


class _Known:
    """A chunk of the last page, held so that no other object gets its identity. ``by`` empty: not needed yet."""

    __slots__ = ("by", "chunk", "crc", "small")

    def __init__(self, chunk: bytes, small: bytes) -> None:
        self.chunk = chunk
        self.small = small
        self.crc = 0
        self.by: Shift = ()

    def joined(self, crc: int, checksum: Checksum) -> int:
        """The checksum of the text before it, ``crc``, together with the chunk."""
        if not self.by:
            self.crc, self.by = checksum(self.chunk, 0), shift(len(self.chunk))
        return joined(crc, self.crc, self.by)


class Gzip:
    """Compresses one page after the other. It is not safe for several threads at once."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    def page(self, chunks: Iterable[bytes]) -> list[bytes]:
        """A page's chunks as the chunks of one gzip file."""
        compressor, checksum = _library()
        old, self._known = self._known, {}
        pieces, crc, size = [_HEAD], 0, 0
        for chunk in _together(chunks):
            known = old.get(id(chunk))
            again = known is not None
            if known is None:
                known = _Known(chunk, compressor.compress(chunk) + compressor.flush(zlib.Z_FULL_FLUSH))
            crc = known.joined(crc, checksum) if again and len(chunk) >= _SHORT else checksum(chunk, crc)
            self._known[id(chunk)] = known
            pieces.append(known.small)
            size += len(chunk)
        pieces.append(_END + struct.pack("<II", crc, size & 0xFFFFFFFF))
        return pieces


def _together(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks; tiny ones that follow one another are joined into one."""
    tiny: list[bytes] = []
    for chunk in chunks:
        if len(chunk) < _TINY:
            tiny.append(chunk)
            continue
        if tiny:
            yield b"".join(tiny)
            tiny = []
        yield chunk
    if tiny:
        yield b"".join(tiny)


def _library() -> tuple[_Compressor, Checksum]:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS), zlib.crc32
    return isal_zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS), isal_zlib.crc32
