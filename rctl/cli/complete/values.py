"""Limits as ``KEY=VALUE``: all keys, and values that the limit's own parser accepts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, get_args, get_origin

from ...controllers.cpu import Cpus
from ...ranges import Ranges
from ...units import Bytes, Duration, Flag, Ops, Quantity, Rate, Size, Vcpus
from . import names
from .candidate import Candidate, beginning

_WORDS = ("max", "default", "idle")
_EXAMPLES: dict[type, tuple[str, ...]] = {
    Flag: ("1", "0"),
    Ops: ("500/s", "5000/s"),
    Rate: ("5MB/s", "20MB/s", "100MB/s"),
    Bytes: ("256M", "512M", "1G", "2G"),
    Size: ("256M", "512M", "1G", "2G", "50%"),
    Cpus: ("0.5", "1", "2"),
    Duration: ("10ms", "100ms", "1s"),
    Quantity: ("100", "500", "1000"),
}
_UNITS = ("K", "M", "G", "T", "%", "KiB", "MiB", "GiB", "KB", "MB", "GB", "KB/s", "MB/s", "k/s", "us", "ms", "s", "m")
_ANY = (1 << 62) + 1
"""An example of a whole, for percentages; no part of it is a round number."""
_FEW = 4


def limits(incomplete: str, given: Sequence[str]) -> list[Candidate]:
    """Keys that are not given yet, each with its ``=``; after the ``=``, the key's values."""
    key, equals, value = incomplete.partition("=")
    if equals:
        return [c._replace(word=f"{key}={c.word}") for c in of_key(key, value)]
    from ...limits import BY_DEVICE

    taken = {word.partition("=")[0] for word in given} - BY_DEVICE.keys()
    return beginning(incomplete, (Candidate(f"{name}=", more=True) for name in _keys() if name not in taken))


def _keys() -> list[str]:
    from ...limits import keys

    huge = [f"hugetlb.{size}{which}" for size in names.page_sizes() for which in ("", ".rsvd")]
    return [key for key in keys() if key not in ("hugetlb", "files")] + huge


def of_key(key: str, incomplete: str) -> list[Candidate]:
    """The completion of this limit's value."""
    from ...limits import BY_DEVICE, kinds

    if key in BY_DEVICE:
        return _disk(BY_DEVICE[key].kinds, incomplete)
    kind = kinds().get("hugetlb" if key.startswith("hugetlb.") else key)
    return beginning(incomplete, _values(kind, incomplete))


def _values(kind: Any, incomplete: str) -> Iterator[Candidate]:
    """Values of a limit's type; the type may be one of several (``Size | UnsetType``)."""
    for part in (kind, *get_args(kind)):
        if get_origin(part) is Literal:
            yield from map(Candidate, get_args(part))
        elif isinstance(part, type) and issubclass(part, Ranges):
            yield from _ranges(incomplete)
        elif isinstance(part, type) and issubclass(part, Quantity):
            yield from _quantities(part, incomplete)


def _quantities(kind: type[Quantity], incomplete: str) -> Iterator[Candidate]:
    """Without a number, examples and words; with a number, the units, one of each meaning."""
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?[A-Za-z/]*", incomplete):
        number = re.match(r"[0-9.]+", incomplete)[0]  # type: ignore[index]
        texts = [number + unit for unit in ("", *_UNITS)]
    else:
        own = next(_EXAMPLES[base] for base in kind.__mro__ if base in _EXAMPLES)
        texts = [*_WORDS, *(_counts() if issubclass(kind, Vcpus) else own)]
    found: dict[Quantity, str] = {}
    for text in texts:
        with suppress(ValueError):
            found.setdefault(kind.parse(text, whole=_ANY), text)
    yield from map(Candidate, found.values())


def _counts() -> list[str]:
    from ...cgroupfs.files import this_host

    return [str(n + 1) for n in range(len(this_host().cpus))]


def _ranges(incomplete: str) -> Iterator[Candidate]:
    """The host's CPUs, single and all; after a comma those that are left, after a dash the higher ones."""
    from ...cgroupfs.files import this_host

    cpus = this_host().cpus
    done, sign, _ = re.fullmatch(r"(.*?)([,-]?)([^,-]*)", incomplete).groups()  # type: ignore[union-attr]
    first = int(done.rpartition(",")[2]) if sign == "-" and done.rpartition(",")[2].isdecimal() else -1
    if not sign:
        yield Candidate(str(Ranges(cpus)))
    seen = set(Ranges.parse(done).numbers) if sign == "," and re.fullmatch(r"[0-9,-]*", done) else set()
    yield from (Candidate(f"{done}{sign}{cpu}") for cpu in cpus if cpu > first and cpu not in seen)


def _disk(kinds: Mapping[str, type[Quantity]], incomplete: str) -> list[Candidate]:
    """A disk, then the keys that are not given yet, then a value: ``vda rbps=20MB/s wiops=max``."""
    disk, blank, rest = incomplete.partition(" ")
    if not blank:
        disks = beginning(incomplete, names.disks())
        ends = [f" {name}=" for name in kinds] if len(disks) <= _FEW else [""]
        return [c._replace(word=c.word + end, more=True) for c in disks for end in ends]
    *before, last = rest.split(" ")
    name, equals, value = last.partition("=")
    head = " ".join([disk, *before])
    if equals:
        found = beginning(value, _quantities(kinds[name], value) if name in kinds else ())
        return [c._replace(word=f"{head} {name}={c.word}") for c in found]
    taken = {pair.partition("=")[0] for pair in before}
    left = beginning(last, (Candidate(f"{name}=", more=True) for name in kinds if name not in taken))
    return [c._replace(word=f"{head} {c.word}") for c in left]


def keys(incomplete: str, given: Sequence[str]) -> list[Candidate]:
    """Keys alone, for get and reset; those that are not given yet."""
    from ...assignments import defaults
    from ...limits import BY_DEVICE

    found = [*defaults(), *BY_DEVICE, "hugetlb.2MB", "vcpus"]
    return beginning(incomplete, (Candidate(key) for key in found if key not in given))
