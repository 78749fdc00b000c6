"""The spec: a TOML file with the limits of many VEs.

version = 1

[ve.web1.limits]
memory.max = "2G"
cpu.max = 1.5
io.max."/var/lib" = { wbps = "20MB/s" }

[ve.web1.labels]
env = "prod"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import msgspec

from . import input_files, label, wrong_input
from .errors import UsageError
from .formats import KINDS, UNITS, VE_NAME
from .host import Host
from .late_regex import regex
from .limits import ALSO, Limits, check, decode, keys, known

SpecVersion = Literal[1]
VERSION: SpecVersion = 1
"""The version of specs that this rctl reads and writes."""
_LARGEST = 4 << 20
_LONGEST_LINE = 200
_DEEPEST = 16
_OPAQUE = re.compile(
    r'''"""(?:[^"\\]++|\\.|"(?!""))*+"{3,5}|'{3}(?:[^']++|'(?!''))*+'{3,5}'''
    r"""|"(?:[^"\\\n]++|\\.)*+"|'[^'\n]*+'|#[^\n]*+""",
    re.DOTALL,
)
"""TOML's strings and comments; dots and brackets in them mean nothing (https://toml.io/en/v1.0.0)."""
_LONG_KEY = re.compile(rf'(?<![\w-])(?:(?:[\w-]++|"")[ \t]*+\.[ \t]*+){{{_DEEPEST}}}', re.ASCII)
_LONG_NUMBER = re.compile(r"(?<![\w.-])[+-]?(?:0[xob]|[0-9])[0-9a-fA-F_]{64}", re.ASCII)
"""Most digits of a number. Python refuses to read or write thousands of digits, with a message of its own."""


_LINE = re.compile(r"at line ([0-9]+), column")
_BARE_TEXT = re.compile(r"""[ \t]*+([\w."'-]++)[ \t]*+=[ \t]*+([^\s"'\[{#][^"'#\n]*+)""")
_BARE_NAME = re.compile(r"""[ \t]*+\[ve\.([^\s"'\]:/@\\]*+[:/@\\][^\s"'\]]*?)(\.(?:limits|labels))?]""")
_OTHER_FORM = re.compile(r'[ \t]*+(?:[{\[]?[ \t]*+"|[\w-]++:|[{}]|- )')
"""The beginning of a line of YAML or JSON."""
_FIRST_LINE = f"version = {VERSION}"
_EXAMPLE = f'{_FIRST_LINE}, then [ve.web1.limits], and below it memory.max = "1G"'


_NO_DOTS = r"(?!\.\.?(?:/|$))"
_WORD = rf"{_NO_DOTS}[^\s*?\[/]+"
NAMED = regex(
    rf"(?:/{_NO_DOTS}[^*?\[/]+)+/?|(?:{'|'.join(KINDS)}):{_WORD}(?:/{_WORD})*"
    rf"|[^\s*?\[/:]+\.(?:{'|'.join(unit[1:] for unit in UNITS)})"
)
"""The names of what rctl did not make: a cgroup's path, a name with its kind, a unit in full. No patterns."""
_SEVERAL = regex(r"label:|.*[*?\[]", re.DOTALL)


class Ve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One VE of a spec: ``limits`` to set, and ``labels``, by key."""

    limits: Limits = Limits()
    labels: dict[str, str] = {}


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """VEs by name, and the version of the form. A missing VE is made; a limit that is not given stays.

    A name may also be that of a unit, a container, a pod or a user, or a cgroup's path. These are not made.
    """

    ve: dict[str, Ve]
    version: SpecVersion = VERSION


def load(path: str, host: Host) -> Spec:
    """Read and check a spec; ``-`` is standard input. Raises UsageError with the file, the place and the reason.

    A wrong file costs at most twice as much as a right one; size and depth are checked before it is parsed.
    """
    data = input_files.read(path, _LARGEST, or_stdin=True)
    try:
        return parse(data, host)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


@contextmanager
def naming_file(spec: str | Spec) -> Iterator[None]:
    """Add the file of a spec to errors about one VE's limits."""
    try:
        yield
    except UsageError as error:
        if error.ve and isinstance(spec, str):
            raise UsageError(f"{spec}: {error}") from None
        raise


def parse(data: bytes, host: Host) -> Spec:
    """Check the bytes of a spec. Raises UsageError with the place and the reason."""
    try:
        text = data.decode("utf-8-sig")  # some editors begin with a byte order mark
        _check_bounds(text)
        plain = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8 text at byte {error.start}. A spec is a TOML file") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not TOML: {error}{_cure(text, str(error))}") from None
    return checked(plain, host)


def checked(plain: dict[str, Any], host: Host) -> Spec:
    """A spec from plain data, as TOML's parser gives it. Raises UsageError with the place and the reason."""
    plain = {**plain, "version": _known_version(plain)}
    spec: Spec = decode(plain, host, Spec, _refusal, above=("ve", "*", "limits"))
    for name, asked in spec.ve.items():
        _check_ve(name, asked, host)
    return spec


def _cure(text: str, reason: str) -> str:
    """The remedy for a line that TOML's parser refused, if it is known; begins with a full stop."""
    if not (match := _LINE.search(reason)):
        return ""
    line = text.split("\n", int(match[1]))[int(match[1]) - 1][:_LONGEST_LINE]
    if bare := _BARE_TEXT.match(line):
        return f'. Write text in quotes: {bare[1]} = "{bare[2].strip()}"'
    if name := _BARE_NAME.match(line):
        return f". Write the name in quotes: [ve.{wrong_input.quoted(name[1])}{name[2] or '.limits'}]"
    return f". A spec is written like this: {_EXAMPLE}" if _OTHER_FORM.match(line) else ""


def _known_version(plain: dict[str, Any]) -> SpecVersion:
    """The version of a spec. Raises UsageError if it is missing, or if this rctl does not know it."""
    if (version := plain.get("version")) is None:
        raise UsageError(_old_form(plain.get("ve")) or f"version: is missing. Write {_FIRST_LINE} as the first line")
    if isinstance(version, int) and version > VERSION:
        raise UsageError(f"version: {version} is of a newer rctl; this one knows {VERSION}. Use the newer rctl")
    if isinstance(version, bool) or version not in get_args(SpecVersion):
        raise UsageError(f"version: {str(version)[:24]!r} is not a version of a spec. Write {_FIRST_LINE}")
    return VERSION


def _old_form(ves: object) -> str:
    """The error for a spec that has limits beside labels, with the new form of the first such table; else empty."""
    for name, table in ves.items() if isinstance(ves, dict) else ():
        if isinstance(table, dict) and (groups := [key for key in table if _is_limit(key)]):
            where = f"ve.{wrong_input.quoted(name)}"
            labels = f", and labels below [{where}.labels]" if "labels" in table else ""
            return (
                f"{where}.{wrong_input.quoted(groups[0])}: limits have their own table since version 1. Write "
                f"{_FIRST_LINE} as the first line, then [{where}.limits] in the place of [{where}]{labels}"
            )
    return ""


def _is_limit(key: str) -> bool:
    first = key.partition(".")[0]
    return any(first == limit.partition(".")[0] for limit in (*keys(), *ALSO))


def _check_bounds(text: str) -> None:
    """Refuse long numbers, long keys and deep nesting: their cost in tomllib grows with the square of the depth."""
    bare = _OPAQUE.sub('""', text)
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", bare):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > _DEEPEST or _LONG_KEY.search(bare):
        raise UsageError(
            f"nested deeper than {_DEEPEST} levels. A limit lies at most seven deep: ve.NAME.limits.io.max.DISK.rbps"
        )
    if number := _LONG_NUMBER.search(bare):
        raise UsageError(f"{number[0][:24]}...: no limit has a number of so many digits. Write it like 500, or max")


def _check_ve(name: str, asked: Ve, host: Host) -> None:
    where = f"ve.{wrong_input.quoted(name)}"
    if not VE_NAME.fullmatch(name):
        check_name(name)
    try:
        label.check(asked.labels)
        where = f"{where}.limits"
        check(asked.limits, host)
    except UsageError as error:
        raise UsageError(f"{where}.{error}") from None


def check_name(name: str) -> None:
    """Check the name of something that rctl did not make. Raises UsageError."""
    where = f"ve.{wrong_input.quoted(name)}"
    if _SEVERAL.match(name):
        raise UsageError(f"{where}: stands for several VEs. A spec names each; a pattern is for rctl set")
    kind, colon, _ = name.partition(":")
    if colon and not name.startswith("/") and kind not in KINDS:
        raise UsageError(f"{where}: {wrong_input.quoted(kind)} is no kind of name. Write one of {', '.join(KINDS)}")
    if not NAMED.fullmatch(name) or not name.isprintable():
        raise UsageError(
            f"{where}: not a VE's name. Use letters, digits and _.@+-, at most 64; for what rctl did not make, "
            "write a name such as unit:nginx or docker:web, or a path such as /app/db"
        )


def elsewhere(spec: Spec) -> list[str]:
    """The names that may be of something that rctl did not make. Usually there are none, and it costs little."""
    return [name for name in spec.ve if name.endswith(UNITS) or ":" in name or "/" in name]


def _refusal(reason: str, place: Sequence[str]) -> UsageError:
    """The error at ``place`` of a spec, with the right form."""
    if len(place) < 2:
        return UsageError(_outside(reason))
    ve, rest = f"ve.{wrong_input.quoted(place[1])}", place[2:]
    if rest == ["limits"] and wrong_input.unknown(reason) in Ve.__struct_fields__:
        key = wrong_input.unknown(reason)
        return UsageError(f"{ve}.limits.{key}: stands beside limits, not below them. Write [{ve}.{key}]")
    if rest[:1] == ["limits"]:
        told = wrong_input.told(reason, rest[1:], Limits, known())
        return UsageError(f"{ve}.limits{'.' if rest[1:] or wrong_input.unknown(reason) else ': '}{told}")
    if key := wrong_input.unknown(reason):
        return UsageError(f"{ve}.{wrong_input.quoted(key)}: {_beside(ve, key)}")
    return UsageError(f"{'.'.join((ve, *map(wrong_input.quoted, rest)))}: {wrong_input.plain(reason)}")


def _beside(ve: str, key: str) -> str:
    """The cause why a key may not stand directly below a VE, and the right form."""
    if _is_limit(key):
        return f"a limit must stand below limits. Write [{ve}.limits] above it"
    if f".{key}" in UNITS:
        return f'a name with a dot stands in quotes. Write [ve."{ve.removeprefix("ve.")}.{key}".limits]'
    return f"a VE has only {' and '.join(Ve.__struct_fields__)}. Write [{ve}.limits] above its limits"


def _outside(reason: str) -> str:
    """The error about something outside of any VE."""
    if key := wrong_input.unknown(reason):
        if _is_limit(key):
            return f"{wrong_input.quoted(key)}: a limit must stand below its VE. Write [ve.NAME.limits] above it"
        return f"{wrong_input.quoted(key)}: VEs are tables below ve. Write [ve.{wrong_input.quoted(key)}.limits]"
    return "ve: there is no VE in it. Write [ve.NAME.limits], and limits below it"
