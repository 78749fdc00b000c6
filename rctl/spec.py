"""The spec: a TOML file that says what many VEs may use.

[ve.web1]
memory.max = "2G"
cpu.max = 1.5
io.max."/var/lib" = { wbps = "20MB/s" }
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from . import blame, documents, label
from .errors import UsageError
from .formats import VE_NAME
from .host import Host
from .limits import ALSO, Limits, check, decode, keys

_LARGEST = 4 << 20
_LONGEST_LINE = 200
_DEEPEST = 16
_OPAQUE = re.compile(
    r'''"""(?:[^"\\]++|\\.|"(?!""))*+"{3,5}|'{3}(?:[^']++|'(?!''))*+'{3,5}'''
    r"""|"(?:[^"\\\n]++|\\.)*+"|'[^'\n]*+'|#[^\n]*+""",
    re.DOTALL,
)
"""TOML's strings and comments, in which dots and brackets mean nothing (https://toml.io/en/v1.0.0)."""
_LONG_KEY = re.compile(rf'(?<![\w-])(?:(?:[\w-]++|"")[ \t]*+\.[ \t]*+){{{_DEEPEST}}}', re.ASCII)
_LONG_NUMBER = re.compile(r"(?<![\w.-])[+-]?(?:0[xob]|[0-9])[0-9a-fA-F_]{64}", re.ASCII)
"""Python refuses to read or to write numbers of thousands of digits, in words of its own."""


_LINE = re.compile(r"at line ([0-9]+), column")
_BARE_TEXT = re.compile(r"""[ \t]*+([\w."'-]++)[ \t]*+=[ \t]*+([^\s"'\[{#][^"'#\n]*+)""")
_OTHER_FORM = re.compile(r'[ \t]*+(?:[{\[]?[ \t]*+"|[\w-]++:|[{}]|- )')
"""How a line of YAML or JSON begins."""


class Ve(Limits, frozen=True, forbid_unknown_fields=True):
    """What a spec says of one VE: its limits, and ``labels`` to set on it, by key."""

    labels: dict[str, str] = {}  # noqa: RUF012 (msgspec copies it)


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits by VE name. A VE that is not there is made; a limit that is not given stays as it is."""

    ve: dict[str, Ve]


def load(path: str, host: Host) -> Spec:
    """Read and check a spec; ``-`` is standard input. Raises UsageError with the file, the place and the reason.

    A wrong file costs at most twice what a right one costs; size and depth are bounded before it is parsed.
    """
    data = documents.read(path, _LARGEST, or_stdin=True)
    try:
        return parse(data, host)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


@contextmanager
def naming_file(spec: str | Spec) -> Iterator[None]:
    """Name the file of a spec, too, in what is said of one VE's limits."""
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
    spec: Spec = decode(plain, host, Spec, _refusal, above=2)
    for name, asked in spec.ve.items():
        _check_ve(name, asked, host)
    return spec


def _cure(text: str, reason: str) -> str:
    """What to write instead of a line that TOML's parser refused, as far as that can be told; begins with a stop."""
    if not (match := _LINE.search(reason)):
        return ""
    line = text.split("\n", int(match[1]))[int(match[1]) - 1][:_LONGEST_LINE]
    if bare := _BARE_TEXT.match(line):
        return f'. Write text in quotes: {bare[1]} = "{bare[2].strip()}"'
    return '. A spec is written like this: [ve.web1], and below it memory.max = "1G"' if _OTHER_FORM.match(line) else ""


def _check_bounds(text: str) -> None:
    """Refuse long numbers, and long keys and deep nesting, whose cost in tomllib grows with the square of the depth."""
    bare = _OPAQUE.sub('""', text)
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", bare):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > _DEEPEST or _LONG_KEY.search(bare):
        raise UsageError(
            f"nested deeper than {_DEEPEST} levels. A limit lies at most six deep: ve.NAME.io.max.DISK.rbps"
        )
    if number := _LONG_NUMBER.search(bare):
        raise UsageError(f"{number[0][:24]}...: no limit has a number of so many digits. Write it like 500, or max")


def _check_ve(name: str, asked: Ve, host: Host) -> None:
    where = f"ve.{blame.quoted(name)}"
    if not VE_NAME.fullmatch(name):
        raise UsageError(f"{where}: not a VE's name. Use letters, digits and _.@+-, at most 64")
    try:
        check(asked, host)
        label.check(asked.labels)
    except UsageError as error:
        raise UsageError(f"{where}.{error}") from None


def _refusal(reason: str, place: Sequence[str]) -> UsageError:
    """What is wrong at ``place`` of a spec, and what to write there."""
    known = keys()
    if len(place) < 2:
        return UsageError(_outside(reason, place, known))
    told = blame.told(reason, place[2:], Ve, known, ALSO)
    return UsageError(f"ve.{blame.quoted(place[1])}{'.' if place[2:] or blame.unknown(reason) else ': '}{told}")


def _outside(reason: str, place: Sequence[str], known: Sequence[str]) -> str:
    """What is wrong outside of any VE."""
    if key := blame.unknown(reason):
        if any(limit.split(".")[0] == key.split(".")[0] for limit in (*known, *ALSO)):
            return f"{blame.quoted(key)}: a limit must stand below its VE. Write [ve.NAME] above it"
        return f"{blame.quoted(key)}: VEs are tables below ve. Write [ve.{blame.quoted(key)}]"
    return "ve: there is no VE in it. Write [ve.NAME], and limits below it"
