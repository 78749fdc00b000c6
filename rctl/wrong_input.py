"""Words an error of msgspec about plain data: the keys down to the wrong value, and the cause."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from . import other_tools

Hook = Callable[[type[Any], Any], Any]

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_EXPECTED = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_NO_WORD = re.compile(r"Invalid enum value (.*)", re.DOTALL)
_WORDS = {
    "object": "a table",
    "array": "a list",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "datetime": "a date",
    "date": "a date",
    "time": "a time",
}
_ALIKE = 0.75
"""Minimum similarity (difflib's ratio, 0 to 1) of a key that is suggested for the written one."""
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class Known(NamedTuple):
    """The allowed input. ``keys``: every limit's. ``also``: other words for a limit, with its key.

    ``below``: by key, how to write a limit whose key ends in a part that the user chooses. ``values``: of limits by
    device, the word for a value, and the names of the values.
    """

    keys: Sequence[str]
    also: Mapping[str, str]
    below: Mapping[str, str]
    values: Mapping[str, tuple[str, Sequence[str]]]


def split(error: msgspec.ValidationError) -> tuple[str, str]:
    """msgspec's reason and its path. ``[...]`` in it stands for a key of a dict; an empty path is the data itself."""
    reason, at, path = str(error).rpartition(" - at `$")
    return (reason, path.rstrip("`")) if at else (path, "")


def place(data: Any, path: str, kind: type[Any], hook: Hook) -> list[str]:
    """The keys down to the refused value, for the ``path`` that msgspec gave."""
    found, *rest = (list(filter(None, part.split("."))) for part in path.split("[...]"))
    for part in rest:
        found += [_blamed(data, found, kind, hook), *part]
    return found


def _blamed(data: Any, keys: Sequence[str], kind: type[Any], hook: Hook) -> str:
    """The first key below ``keys`` whose entry alone is refused. Only these entries are decoded once more."""
    for key in keys:
        data = data[key]
    for key, value in data.items():
        alone: Any = {key: value}
        for above in reversed(keys):
            alone = {above: alone}
        try:
            msgspec.convert(alone, kind, dec_hook=hook)
        except msgspec.ValidationError:
            return str(key)
    return "?"


def unknown(reason: str) -> str:
    """The key that is unknown in its place; empty if the reason is another."""
    match = _UNKNOWN.fullmatch(reason)
    return match[1] if match else ""


def told(reason: str, keys: Sequence[str], kind: type[Any], known: Known) -> str:
    """The error about one VE's data as ``KEY: cause. Remedy``.

    ``keys``: down to the limit in a ``kind``.
    """
    limit = ".".join(keys)
    if last := unknown(reason):
        return no_such(f"{limit}.{last}".removeprefix("."), known)
    if not limit:
        return plain(reason)
    below = [key for key in known.keys if key.startswith(limit + ".")]
    above, _, last = limit.rpartition(".")
    if above in known.values and last in known.values[above][1]:
        return f"{limit}: the disk is missing. Write {above}.DEVICE.{last}"
    if (expected := _EXPECTED.fullmatch(reason)) and expected[1] == "object" and (below or limit in known.below):
        return f"{limit}: is a group of limits. Write {_group(limit, known)}"
    if len(keys) > 1 and keys[0] in known.below and (reason.startswith("{") or (expected and expected[2] == "object")):
        return f"{limit}: is not a group of limits. Write {known.below[keys[0]]}"
    if reason.startswith("{"):
        return f"{limit}: is one limit, not a group. Give it one value"
    if value := _NO_WORD.fullmatch(reason):
        return f"{limit}: {value[1][:64]} is not possible. Write {' or '.join(_words(kind, keys))}"
    return f"{limit}: {plain(reason)}"


def _group(key: str, known: Known) -> str:
    """How to write a limit of the group with this key; empty if there is no such group."""
    below = [one for one in known.keys if one.startswith(key + ".")]
    return known.below.get(key) or (below and known.also.get(key)) or " or ".join(below[:3])


def _either(names: Sequence[str]) -> str:
    """``rbps, wbps or riops``."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def no_such(key: str, known: Known) -> str:
    """The error about an unknown key, with a suggestion if there is a likely one."""
    from difflib import get_close_matches

    if "." not in key and (group := _group(key, known)):
        return f"{key}: is a group of limits. Write {group}"
    if key in known.keys:
        return f"{key}: quotes make it a single key. Write {key} without quotes"
    for limit, (what, names) in known.values.items():
        if key.startswith(f"{limit}."):
            return f"{key[:80]}: there is no such {what}. Write {_either(names)}"
    same = [name for name in known.keys if other_tools.plain(name) == other_tools.plain(key)]
    near = same or [known.also.get(key) or other_tools.meant(key)]
    groups = sorted({one.partition(".")[0] for one in known.keys if "." in one})
    near = near if near[0] else get_close_matches(key[:80], [*known.keys, *groups], 1, _ALIKE)
    meant = [_group(one, known) if one in groups else one for one in near]
    remedy = f". Did you mean {meant[0]}?" if meant else "."
    return f"{key[:80]}: there is no such limit{remedy} See rctl set --help"


def plain(reason: str) -> str:
    """msgspec's reason, with the words of a spec for types."""

    def words(match: re.Match[str]) -> str:
        wanted, given = (" or ".join(_WORDS.get(t, t) for t in side.split(" | ")) for side in match.groups())
        return f"must be {wanted}, not {given}"

    return _EXPECTED.sub(words, reason)


def _words(kind: Any, keys: Sequence[str]) -> list[str]:
    """The words of the Literal at ``keys`` of a struct."""
    for part in (kind, *get_args(kind)):
        if get_origin(part) is Literal:
            return list(get_args(part))
        if keys and isinstance(part, type) and issubclass(part, msgspec.Struct):
            field = next(field for field in msgspec.structs.fields(part) if field.encode_name == keys[0])
            return _words(field.type, keys[1:])
    return []


def quoted(key: str) -> str:
    """A key as TOML writes it: in quotes, unless it may stand without."""
    key = key[:80]
    return key if _BARE.fullmatch(key) else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
