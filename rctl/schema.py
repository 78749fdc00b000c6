"""The spec's JSON Schema (2020-12), for editors: made from the limits' types, it refuses what rctl refuses.

It takes everything that rctl takes. It also takes some values that rctl refuses, because a pattern cannot express
them: a number of many digits that is out of range, a text with a fraction at the edge of the range, a list such as
``3-1``, a disk that does not exist.
"""

from __future__ import annotations

from typing import Any

import msgspec

from . import label
from .controllers import core, hugetlb, io
from .formats import VE_NAME
from .limits import DEFAULT
from .ranges import Ranges
from .spec import NAMED, Spec
from .units import Bytes, Flag, Quantity, Rate, Size

_SMALLEST_PAGE = 4096
_EXACT = 4
"""Up to so many digits, a pattern checks the highest value; above, only the number of digits."""
_LETTERS = "KMGTPE"
_SUFFIXES = ("", "us", "ms", "s", "min", "h", "m", "B", *(a + b for a in _LETTERS for b in ("", "B", "iB", "i")))
_PRINTABLE = r"[^\x00-\x1f\x7f-\x9f]"
_FLAGS = "0", "1", "true", "false", "yes", "no", "on", "off"


def schema() -> dict[str, Any]:
    """The spec's JSON Schema (https://json-schema.org/draft/2020-12)."""
    kinds: dict[str, dict[str, Any]] = {}

    def hook(kind: type[Any]) -> dict[str, Any]:
        name = f"{kind.__name__}Value"  # a struct may have the same name
        kinds.setdefault(name, _ranges() if issubclass(kind, Ranges) else _quantity(kind))
        return {"$ref": f"#/$defs/{name}"}

    found = msgspec.json.schema(Spec, schema_hook=hook)
    definitions = found["$defs"]
    definitions["Spec"]["properties"]["ve"]["propertyNames"] = {"pattern": f"^({VE_NAME.pattern}|{NAMED.pattern})$"}
    definitions["Spec"]["required"] = ["version", "ve"]
    limits = definitions["Limits"]
    limits["not"] = {
        "required": ["vcpus", "cpuset"],
        "properties": {"cpuset": {"required": ["cpus"]}},
    }
    definitions["Ve"]["properties"]["labels"] |= {
        "maxProperties": label.MOST,
        "propertyNames": {"pattern": f"^{label.KEY.pattern}$"},
        "additionalProperties": {"type": "string", "maxLength": label.LONGEST, "pattern": f"^{_PRINTABLE}*$"},
    }
    limits["properties"]["hugetlb"]["propertyNames"] = {"pattern": f"^{hugetlb.KEY.pattern}$"}
    limits["properties"]["files"]["propertyNames"] = {
        "pattern": f"^{core.NAME.pattern}$",
        "maxLength": 128,
        "not": {"enum": sorted(core.NO_LIMITS)},
    }
    limits["properties"]["files"]["additionalProperties"] |= {"maxLength": core.LONGEST, "pattern": f"^{_PRINTABLE}+$"}
    partition = definitions["Cpuset"]["properties"]["partition"]
    partition["enum"] = [DEFAULT, *partition["enum"]]
    for file in io.BY_DEVICE:
        disk = definitions["Io"]["properties"][file.field]
        disk["additionalProperties"] = {"anyOf": [{"const": DEFAULT}, disk["additionalProperties"]]}
    definitions.update(sorted(kinds.items()))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "rctl spec", **found}


def _ranges() -> dict[str, Any]:
    number = {"type": "integer", "minimum": 0, "maximum": 99999}
    part = "[0-9]{1,5}(-[0-9]{1,5})?"
    text = {"type": "string", "pattern": rf"^[\s,]*({part}([\s,]+{part})*)?[\s,]*$"}
    return {
        "description": f"For example {Ranges.examples}",
        "anyOf": [{"const": DEFAULT}, text, number, {"type": "array", "items": number}],
    }


def _quantity(kind: type[Quantity]) -> dict[str, Any]:
    first = (kind.__doc__ or "").strip().splitlines()[0]
    texts, others = [DEFAULT, *(word for word in ("max", "idle") if _takes(kind, word))], [_number(kind)]
    if issubclass(kind, Flag):
        texts, others = [DEFAULT, *map(_any_case, _FLAGS)], [{"enum": [True, False, 0, 1]}]
    else:
        texts += _numbers(kind)
    text = {"type": "string", "pattern": rf"^\s*({'|'.join(texts)})\s*$"}
    return {"description": f"{first} For example {kind.examples}", "anyOf": [text, *others]}


def _takes(kind: type[Quantity], text: str) -> bool:
    try:
        kind.parse(text)
    except ValueError:
        return False
    return True


def _factor(kind: type[Quantity], suffix: str) -> int:
    """The value of ``1`` with this suffix, in the kind's own unit; 0 if there is no such suffix."""
    try:
        return kind._amount("1", None, suffix, None)
    except (KeyError, ValueError):
        return 0


def _least(kind: type[Quantity]) -> int:
    return kind.low if _takes(kind, "0") else max(kind.low, 1)


def _number(kind: type[Quantity]) -> dict[str, Any]:
    factor, low = _factor(kind, ""), _least(kind)
    if factor > 1:  # a smaller float has an exponent, which rctl does not take
        return {"type": "number", "minimum": max(low / factor, 1e-4), "maximum": kind.high // factor}
    whole = {"type": "number" if _takes(kind, f"{max(low, 1)}.5") else "integer", "maximum": kind.high}
    if issubclass(kind, Size):
        return {"anyOf": [{"const": 0}, {**whole, "minimum": _SMALLEST_PAGE}]}
    return {**whole, "minimum": low}


def _numbers(kind: type[Quantity]) -> list[str]:
    """Patterns of numbers in range, each with its possible suffixes."""
    size = issubclass(kind, Size)
    low, suffixes = _least(kind), dict[str, list[str]]()
    for suffix in _SUFFIXES:
        if factor := _factor(kind, suffix):
            number = _between(_SMALLEST_PAGE if size and factor == 1 else low // factor, kind.high // factor)
            suffixes.setdefault(number, []).append(_any_case(suffix) if issubclass(kind, Bytes) else suffix)
    if size:
        suffixes["0+"] = ["", "[Bb]"]
    if kind.percent:
        suffixes[_between(0, 100)] = ["%"]
    elif _factor(kind, "%"):
        suffixes["[0-9]+"] = ["%"]
    nothing = r"(?!0*(\.0*)?([^0-9.]|$))" if low else ""
    fraction = r"(\.[0-9]*)?" if _takes(kind, "7000.5") or _takes(kind, "0.5") else r"(\.0*)?"
    after = r"(\s*/s)?" if issubclass(kind, Rate) else ""
    return [rf"{nothing}{number}{fraction}\s*({'|'.join(found)}){after}" for number, found in suffixes.items()]


def _between(low: int, high: int) -> str:
    """Whole numbers in a range, leading zeros allowed."""
    above = rf"(?!0*({_up_to(low - 1)})(\D|$))" if low > 0 else ""
    return f"{above}0*({_up_to(high)})"


def _up_to(most: int) -> str:
    """Whole numbers from 0 to ``most``; for a long ``most``, all numbers with as many digits."""
    digits = str(most)
    if len(digits) > _EXACT:
        return f"[0-9]{{1,{len(digits)}}}"
    cases = [f"[0-9]{{0,{len(digits) - 1}}}"] if len(digits) > 1 else []
    for i, digit in enumerate(digits):
        least = 0 if i or len(digits) == 1 else 1
        if int(digit) > least:
            rest = len(digits) - i - 1
            cases.append(f"{digits[:i]}[{least}-{int(digit) - 1}]" + "[0-9]" * rest)
    return "|".join([*cases, digits])


def _any_case(text: str) -> str:
    return "".join(f"[{c.upper()}{c.lower()}]" if c.isalpha() else c for c in text)
