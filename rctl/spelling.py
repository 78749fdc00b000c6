"""What a person may have meant by a quantity that rctl does not understand: another spelling, and what is wrong.

Loaded only when something is refused. Whether a spelling is one that works, the caller tries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NO_LIMIT = {"unlimited", "infinity", "infinite", "inf", "none", "no", "off", "never", "nolimit", "-1"}
_TIMES = {
    r"(usecs?|microseconds?)": "us",
    r"(msecs?|milliseconds?)": "ms",
    r"(secs?|seconds?)": "s",
    r"(m|mins|minutes?)": "min",
    r"(hrs?|hours?)": "h",
}
_HOURS = {"d": 24, "day": 24, "days": 24, "w": 168, "week": 168, "weeks": 168}


def meant(text: str, kind: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a text, and how to write it instead, the likeliest first.

    ``kind``: of the quantity: size, rate, operations, cpus, time, count or weight.
    """
    low = text.lower()
    if low in _NO_LIMIT:
        yield "no limit is called max", "max"
    if low == "max":
        yield "it is written in small letters", "max"
    if match := re.fullmatch(r"([0-9]{1,3}(?:[,_' ][0-9]{3})+)(.*)", text, re.ASCII):
        yield "digits stand without anything between them", re.sub("[,_' ]", "", match[1]) + match[2]
    if re.fullmatch(r"[0-9]+,[0-9]+\D*", text, re.ASCII):
        yield "the decimal sign is a point", text.replace(",", ".")
    if "_" in text:
        yield "digits stand without anything between them", text.replace("_", "")
    if text.startswith("+"):
        yield "it needs no sign", text[1:]
    if re.fullmatch(r"\.[0-9].*", text, re.ASCII):
        yield "a digit is missing before the point", f"0{text}"
    yield from _other_number(text)
    yield from _OTHER_UNITS.get(kind, _count)(low)


def _other_number(text: str) -> Iterator[tuple[str, str]]:
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", text):
        yield "a decimal number is needed", str(int(text, 16))
    if match := re.fullmatch(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?[eE]\+?([0-9]{1,2})", text, re.ASCII):
        digits, power = match[1] + (match[2] or ""), int(match[3]) - len(match[2] or "")
        if power >= 0:
            yield "it is to be written without an exponent", str(int(digits) * 10**power)


def _split(low: str) -> tuple[str, str]:
    """The number and the unit; both empty where it is no such thing."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z/]+)", low, re.ASCII)
    return (match[1], match[2]) if match else ("", "")


def _size(low: str) -> Iterator[tuple[str, str]]:
    number, unit = _split(low.removesuffix("/s").removesuffix("/sec").removesuffix("ps"))
    if match := re.fullmatch(r"([kmgt])(?:i?b?|igs?|egs?|i?bytes?|igabytes?|egabytes?|erabytes?|ilobytes?)", unit):
        letters = match[1].upper() + ("B" if unit.endswith(("b", "bytes", "byte")) else "")
        cause = "it is no rate" if low.endswith(("/s", "/sec", "ps")) else f"the unit is {letters}"
        yield cause, f"{number}{letters}"
    elif unit in ("byte", "bytes"):
        yield "the unit is B", f"{number}B"


def _rate(low: str) -> Iterator[tuple[str, str]]:
    number, unit = _split(low)
    if match := re.fullmatch(r"([kmgt]?)(?:bits?|bit/s|bits/s|bps|b/sec)", unit):
        bits = float(number) * 1000 ** " kmgt".index(match[1] or " ")
        yield "it is in bits, and bytes are needed", f"{bits / 8:.0f}"
    for _, text in _size(low):
        yield "the unit is another", text


def _operations(low: str) -> Iterator[tuple[str, str]]:
    number, unit = _split(low)
    if match := re.fullmatch(r"([kmg]?)(?:iops|ops|ops/s|ios?|io/s)", unit):
        yield "the number alone is needed", f"{number}{match[1]}"


def _cpus(low: str) -> Iterator[tuple[str, str]]:
    number, unit = _split(low)
    if unit in ("cpu", "cpus", "core", "cores", "vcpu", "vcpus"):
        yield "the number alone is needed", number


def _time(low: str) -> Iterator[tuple[str, str]]:
    number, unit = _split(low)
    for words, short in _TIMES.items():
        if re.fullmatch(words, unit):
            yield f"the unit is {short}", f"{number}{short}"
    if unit in _HOURS and number.isdecimal():
        yield "the longest unit is h", f"{int(number) * _HOURS[unit]}h"


def _count(low: str) -> Iterator[tuple[str, str]]:
    number, unit = _split(low)
    if unit in ("k", "m") and number.isdecimal():
        yield "a whole number without a unit is needed", str(int(number) * (10**3 if unit == "k" else 10**6))
    elif number and unit not in ("k", "m"):
        yield "a whole number without a unit is needed", number


_OTHER_UNITS = {"size": _size, "rate": _rate, "operations": _operations, "cpus": _cpus, "time": _time}
