"""The CRC-32 of joined texts, computed from the CRC-32 of each, without reading the texts again.

A checksum moves over the bytes that follow by a multiplication with x**(8 * length) modulo the polynomial of gzip. This
is ``crc32_combine`` of zlib.h, which Python's zlib has since 3.15. It takes four bits at a time, because it runs for
each chunk.
"""

from __future__ import annotations

from functools import cache

_POLYNOMIAL = 0xEDB88320  # bits reversed: the highest bit is x**0
_ONE = 1 << 31

Shift = tuple[int, ...]
"""x**(8 * length) times each polynomial of four bits."""


def shift(length: int) -> Shift:
    """The table that ``joined`` needs for a text of this length."""
    power = _ONE
    for bit in range(length.bit_length()):
        if length >> bit & 1:
            power = _product(_byte_power(bit), power)
    eight = power  # the highest of four bits is x**0
    four = _times_x(eight)
    two = _times_x(four)
    one = _times_x(two)
    return tuple(
        (eight if n & 8 else 0) ^ (four if n & 4 else 0) ^ (two if n & 2 else 0) ^ (one if n & 1 else 0)
        for n in range(16)
    )


def joined(crc: int, after: int, by: Shift) -> int:
    """The CRC-32 of a text with ``crc`` followed by one with ``after``. ``by``: the second's ``shift(length)``."""
    moved = 0
    for at in range(0, 32, 4):
        moved = moved >> 4 ^ _REDUCED[moved & 15] ^ by[crc >> at & 15]
    return moved ^ after


@cache
def _byte_power(bit: int) -> int:
    """x**(8 * 2**bit)."""
    if not bit:
        return _ONE >> 8
    half = _byte_power(bit - 1)
    return _product(half, half)


def _product(a: int, b: int) -> int:
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = _times_x(b)
    return product


def _times_x(a: int) -> int:
    return a >> 1 ^ _POLYNOMIAL if a & 1 else a >> 1


_REDUCED = tuple(_times_x(_times_x(_times_x(_times_x(four)))) for four in range(16))
"""The remainder for each value of the four bits that leave at the end."""
