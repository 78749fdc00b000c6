"""Turns the texts of interface files into ``KEY=VALUE`` words for ``rctl set``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from . import wrong_input
from .controllers import core, cpu, hugetlb, io, pressure
from .errors import UsageError
from .formats import File, Keyed, Nested
from .limits import BY_DEVICE, FILES, file_named, key_of, known

Word = tuple[str, str]
"""A key as ``limits.nest`` takes it, and its value as text. A limit by device gives one word for each device."""

_NO_LIMIT = re.compile(r"[a-z0-9]+(\.[a-z0-9]+)*\.(current|stat|events|local|peak|pressure|procs|freeze|type)")
"""Interface files without a limit."""


def words(texts: Mapping[str, str]) -> list[Word]:
    """All limits in these files, by name. ``cgroup.freeze`` of a frozen VE is no limit, and is left out.

    Sizes are in bytes, times in microseconds. ``cpu.max`` is a number of CPUs that gives the same quota again.
    """
    return [word for name, text in texts.items() for word in _words(file_named(name), text.strip(), texts)]


def changed(texts: Mapping[str, str]) -> list[Word]:
    """The limits that differ from those of a new cgroup."""
    normal = defaults(texts)
    return [(key, value) for key, value in words(texts) if normal.get(key) != value]


def defaults(names: Mapping[str, object] | None = None) -> dict[str, str]:
    """The value of each key on a new cgroup. ``names``: of these files; unset: of all files that rctl knows."""
    texts = {name: file_named(name).default for name in (names if names is not None else [f.name for f in FILES])}
    return {key: value for name in texts for key, value in _words(file_named(name), texts[name], {})}


def get(texts: Mapping[str, str], key: str) -> list[str]:
    """The values of one key: one value, or one for each device. A missing file counts as its default.

    Raises UsageError for an unknown key.
    """
    if key == "vcpus":
        raise UsageError("vcpus: is stored as cpuset.cpus and cpu.max. Get these two")
    found = [value for word, value in words(texts) if word == key]
    if found or key in BY_DEVICE:
        return found
    if key in texts:
        return [file_named(key).entry(texts[key])]
    if key.startswith("hugetlb."):
        try:
            return [hugetlb.file(key.split(".", 1)[1].removesuffix(".max")).default]
        except ValueError as error:
            raise UsageError(str(error)) from None
    if key in (normal := defaults()):
        return [normal[key]]
    if key.startswith("files."):
        raise UsageError(f"{key}: the value of a new VE is not known. Set its value with rctl set")
    if _NO_LIMIT.fullmatch(key):
        raise UsageError(f"{key}: is not a limit. To print any interface file, write files.{key}")
    raise UsageError(wrong_input.no_such(key, known()))


def exactly(name: str, entry: str) -> str:
    """An entry of a file for people, in units and without rounding: two different entries never look alike."""
    file = file_named(name)
    if file.unit == "bytes":
        return size(entry)
    if file is cpu.MAX and (cpus := cpu.cpus_of(entry)) is not None:
        return f"{cpus:.6g} CPUs ({entry})"
    if file.unit == "us" and entry.isdecimal():
        return f"{entry} us"
    return entry or "empty"


def size(text: str) -> str:
    """Bytes with the largest unit that is exact: ``1073741824`` is ``1G``."""
    if not text.isdecimal() or text == "0":
        return text
    number = int(text)
    shift, unit = next((s, u) for s, u in ((30, "G"), (20, "M"), (10, "K"), (0, "")) if number % (1 << s) == 0)
    return f"{number >> shift}{unit}"


def _words(file: File, text: str, texts: Mapping[str, str]) -> Iterator[Word]:
    if file in (core.FREEZE, cpu.NICE):
        return
    if file is cpu.MAX:
        yield from _cpu_max(text)
    elif file in (cpu.IDLE, cpu.WEIGHT):
        idle = texts.get(cpu.IDLE.name, "0").strip() == "1"
        if idle == (file is cpu.IDLE):
            yield "cpu.weight", "idle" if idle else text
    elif isinstance(file, Nested):
        for line in text.splitlines():
            device, _, rates = line.strip().partition(" ")
            if told := " ".join(rate for rate in rates.split() if not rate.endswith("=max")):
                yield file.name, f"{device} {told}"
    elif isinstance(file, Keyed):
        yield from _keyed(file, text, texts)
    elif isinstance(file, hugetlb.HugePages):
        yield file.name.removesuffix(".max"), text
    else:
        yield "files." * (file is pressure.SWITCH) + key_of(file.name), file.line(text).strip()


def _cpu_max(entry: str) -> Iterator[Word]:
    """The number of CPUs, rounded up to millionths: the quota is rounded down, so every period gives the same quota."""
    quota, _, period = (entry or cpu.MAX.default).partition(" ")
    if quota == "max":
        yield "cpu.max", "max"
    else:
        millionths = -(-int(quota) * cpu.MICRO // int(period))
        yield "cpu.max", f"{millionths // cpu.MICRO}.{millionths % cpu.MICRO:06}".rstrip("0").rstrip(".")
    yield "cpu.period", period


def _keyed(file: File, text: str, texts: Mapping[str, str]) -> Iterator[Word]:
    """``io.weight`` by its key, if BFQ's weight follows from it, as rctl sets both; otherwise each file verbatim."""
    weight, bfq = (f.entry(texts.get(f.name), "default") for f in (io.WEIGHT, io.BFQ_WEIGHT))
    follows = io.BFQ_WEIGHT.name not in texts or bfq == str(io.bfq_weight(int(weight)))
    entries = dict(line.strip().split(None, 1) for line in text.splitlines() if " " in line.strip())
    for key, value in (entries or {"default": text or file.default}).items():
        if key != "default":
            yield f"files.{file.name}", f"{key} {value}"
        elif file is io.WEIGHT and follows:
            yield "io.weight", value
        elif not follows:
            yield f"files.{file.name}", value
