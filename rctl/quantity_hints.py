"""Suggestions for a quantity that rctl does not understand: the cause, and another spelling.

Loaded only after a refusal. The caller checks that a suggested spelling works.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

NO_LIMIT = frozenset({"unlimited", "infinity", "infinite", "inf", "nolimit", "-1"})
NOTHING = frozenset({"off", "no", "none", "never"})
"""Words that may mean no limit, or nothing at all; rctl cannot tell which."""
_TIMES = {
    r"(usecs?|microseconds?)": "us",
    r"(msecs?|milliseconds?)": "ms",
    r"(secs?|seconds?)": "s",
    r"(m|mins|minutes?)": "min",
    r"(hrs?|hours?)": "h",
}
_HOURS = {"d": 24, "day": 24, "days": 24, "w": 168, "week": 168, "weeks": 168}


def meant(text: str, kind: str) -> Iterator[tuple[str, str]]:
    """The causes why a text is not understood, each with another spelling, the likeliest first.

    ``kind``: of the quantity: size, rate, operations, cpus, time, count or weight.
    """
    low = text.lower()
    if low in NO_LIMIT:
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
    yield from _OTHER_UNITS.get(kind, _count)(text if kind in ("size", "rate") else low)


def _other_number(text: str) -> Iterator[tuple[str, str]]:
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", text):
        yield "a decimal number is needed", str(int(text, 16))
    if match := re.fullmatch(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?[eE]\+?([0-9]{1,2})", text, re.ASCII):
        digits, power = match[1] + (match[2] or ""), int(match[3]) - len(match[2] or "")
        if power >= 0:
            yield "it needs a number without an exponent", str(int(digits) * 10**power)


def _split(text: str) -> tuple[str, str]:
    """The number and the unit; both empty if the text has another form."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z/]+)", text, re.ASCII)
    return (match[1], match[2]) if match else ("", "")


_PER_SECOND = re.compile(r"(/s|/sec|/seconds?|ps)$")
_BYTES = re.compile(r"([kmgt])(?:(i?b?)|(i?)bytes?|igs?|egs?|(?:ilo|ega|iga|era)(bytes?)|[ie](bi)bytes?)")


def _bytes(low: str) -> tuple[str, str]:
    """The number of a size or rate, with a unit that rctl knows; both empty if it has another form."""
    number, unit = _split(_PER_SECOND.sub("", low))
    if unit in ("b", "byte", "bytes"):
        return number, "B"
    if not (match := _BYTES.fullmatch(unit)):
        return "", ""
    power, letters, binary, decimal, spelled = match.groups()
    if letters is None:
        letters = "ib" if binary or spelled else "b" * bool(decimal or binary is not None)
    return number, power.upper() + letters.replace("b", "B")


def _size(text: str) -> Iterator[tuple[str, str]]:
    number, unit = _bytes(low := text.lower())
    if unit and not text.endswith("bps"):  # bps are bits
        yield "it is not a rate" if _PER_SECOND.search(low) else f"the unit is {unit}", number + unit


def _rate(text: str) -> Iterator[tuple[str, str]]:
    """Spellings of a rate. ``b/sec`` is read as ``b/s``, which Rate takes as bytes; ``bps`` is bits, ``Bps`` bytes."""
    number, unit = _split(text)
    if match := re.fullmatch(r"([kmgtKMGT]?)(?:(?i:bits?(?:/s|/sec|/seconds?|ps)?)|bps)", unit):
        bits = float(number) * 1000 ** " kmgt".index(match[1].lower() or " ")
        yield "it is in bits, and bytes are needed", f"{bits / 8:.0f}"
    number, unit = _bytes(low := text.lower())
    if not unit and (match := re.fullmatch(r"/sec(?:onds?)?", _split(low)[1])):
        number, unit = _split(low)[0], "B"
    if unit:
        yield f"the unit is {unit}/s", f"{number}{unit}/s"


def _operations(low: str) -> Iterator[tuple[str, str]]:
    number, unit = _split(low)
    if match := re.fullmatch(r"([kmg]?)/sec(?:onds?)?", unit):
        yield f"the unit is {match[1]}/s", f"{number}{match[1]}/s"
    if match := re.fullmatch(r"([kmg]?)(?:iops|i?ops/s(?:ec)?|ops|ios?|ios?/s(?:ec)?)", unit):
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
