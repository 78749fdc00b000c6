"""The CRC-32 of texts one after the other, from the CRC-32 of each: no byte is looked at again.

A checksum moves over the bytes that follow by a multiplication with x**(8 * length) modulo the polynomial of gzip: this
is ``crc32_combine`` of zlib.h, which Python's zlib has since 3.15.
"""

from __future__ import annotations

from functools import cache

_POLYNOMIAL = 0xEDB88320  # bits reversed: the highest bit is x**0
_ONE = 1 << 31


def shift(length: int) -> int:
    """What ``joined`` needs to know of a text: x**(8 * length)."""
    power = _ONE
    for bit in range(length.bit_length()):
        if length >> bit & 1:
            power = _product(_byte_power(bit), power)
    return power


@cache
def _byte_power(bit: int) -> int:
    """x**(8 * 2**bit)."""
    if not bit:
        return _ONE >> 8
    half = _byte_power(bit - 1)
    return _product(half, half)


def joined(crc: int, after: int, by: int) -> int:
    """The CRC-32 of a text with ``crc`` and the next with ``after``. ``by``: the ``shift`` of the next one's length."""
    return _product(by, crc) ^ after


def _product(a: int, b: int) -> int:
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ _POLYNOMIAL if b & 1 else b >> 1
    return product
