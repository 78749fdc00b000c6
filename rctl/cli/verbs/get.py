"""``rctl get``: limits of a VE as ``rctl set`` takes them."""

from __future__ import annotations

from typing import Annotated

from ...console.declare import Argument
from ...console.flags import Json, NameOrPath


def get(
    name: NameOrPath,
    keys: Annotated[
        list[str] | None, Argument(metavar="[KEY...]", help="Limits by key; unset: all that differ from a new VE")
    ] = None,
    json: Json = False,
) -> None:
    """Print limits of a VE as rctl set takes them.

    One key prints the bare value, several keys print KEY=VALUE. Sizes are in bytes, times in microseconds, cpu.max in
    CPUs. io.max prints a line for each device that has limits. files.NAME prints any interface file.

    Example: rctl set web2 memory.max=$(rctl get web1 memory.max)
    """
    from ...console.output import as_json, say
    from ...console.session import session
    from ...limits import BY_DEVICE

    with session() as s:
        found = s.get(name, *keys or ())
    if json:
        say(as_json({key: values if key in BY_DEVICE else _plain(key, values[0]) for key, values in found.items()}))
        return
    start = "" if len(keys or ()) == 1 else "{}="
    for key, values in found.items():
        for value in values:
            say(*(start.format(key) + line for line in value.split("\n")))


def _plain(key: str, value: str) -> int | float | str:
    if key.startswith("cpuset."):
        return value  # a list of numbers, also with a single number
    try:
        return int(value) if value.isdecimal() else float(value)
    except ValueError:
        return value
