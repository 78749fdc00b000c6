"""Limits: everything that can be asked of a VE, and the one way from text to it and from it to writes.

Each limit has three states: unset (``msgspec.UNSET``: keep what is there), a value, or ``max`` (no limit). The word
``default`` stands for the value that a new cgroup has: ``max`` for what limits, ``0`` for what protects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from .controllers import core, cpu, cpuset, hugetlb, io, memory, pids, pressure
from .errors import UsageError
from .formats import File, Keyed, Nested, PerDevice, Write
from .host import Host
from .ranges import Ranges
from .units import Protected, Quantity, Size, Vcpus

if TYPE_CHECKING:
    from .wrong_input import Known

FILES: tuple[File, ...] = (
    *memory.FILES, *cpu.FILES, *cpuset.FILES, *io.FILES, *pids.FILES, *pressure.FILES, *core.FILES
)  # fmt: skip
"""Every file that rctl knows by name, but for huge pages, whose names depend on the machine."""

CONTROLLERS = (*dict.fromkeys(file.controller for file in FILES if file.controller), "hugetlb")
"""The controllers whose limits rctl knows."""
BY_DEVICE = {file.name: file for file in FILES if isinstance(file, PerDevice)}
"""Limits by device, by key: ``io.max``."""
_BY_NAME = {file.name: file for file in (*FILES, cpu.NICE)}  # nice is a view of the weight, no limit of its own


def file_named(name: str) -> File:
    """The file's description by its kernel name; one that is taken verbatim when rctl has no word for it."""
    if known := _BY_NAME.get(name):
        return known
    if match := hugetlb.FILE.fullmatch(name):
        return hugetlb.file(match[1])
    return core.verbatim(name)


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one VE may use. Keys are the kernel's names, so ``memory.swap.max`` is ``limits.memory.swap.max``."""

    memory: memory.Memory = memory.Memory()
    cpu: cpu.Cpu = cpu.Cpu()
    vcpus: Vcpus | UnsetType = UNSET
    cpuset: cpuset.Cpuset = cpuset.Cpuset()
    io: io.Io = io.Io()
    pids: pids.Pids = pids.Pids()
    hugetlb: hugetlb.Hugetlb = {}
    files: dict[str, str | int] = {}


def _refusal(reason: str, place: Sequence[str]) -> UsageError:
    from . import wrong_input

    return UsageError(wrong_input.told(reason, place, Limits, known()))


def decode(
    data: Any,
    host: Host,
    kind: type[Any] = Limits,
    refusal: Callable[[str, Sequence[str]], UsageError] = _refusal,
    above: Sequence[str] = (),
) -> Any:
    """Typed limits (or a struct that holds some) from plain data, texts with units allowed.

    ``above``: the keys of ``kind`` down to the limits; ``*`` is any key.

    ``50%`` sizes are of ``host.memory``. Raises what ``refusal`` makes of msgspec's reason and the keys down to the
    value; unset: a UsageError with the limit's key.
    """

    def hook(wanted: type[Any], value: Any) -> Any:
        if issubclass(wanted, Ranges):
            return wanted.parse(value)
        if issubclass(wanted, Quantity):
            percent = wanted in (Size, Protected) and isinstance(value, str) and "%" in value
            return wanted.parse(value, whole=host.memory if percent else None)
        raise NotImplementedError(wanted)

    data = _with_defaults(data, above)
    try:
        return msgspec.convert(data, kind, dec_hook=hook)
    except msgspec.ValidationError as error:
        from . import wrong_input

        reason, path = wrong_input.split(error)
    raise refusal(reason, wrong_input.place(data, path, kind, hook))


def default(key: str) -> Any:
    """What a new cgroup has for a limit's key, as a person writes it; ``None`` for what rctl does not know.

    It is ``File.default``, the one place that says what "no limit" is for each file.
    """
    group, _, rest = key.partition(".")
    if (limit := _above(key)) and key != limit.name:
        return "max" if key.rpartition(".")[2] in limit.names else dict.fromkeys(limit.names, "max")
    if key in ("cpu.max", "cpu.period"):
        return cpu.MAX.default.split()[key == "cpu.period"]
    if group == "hugetlb" or hugetlb.FILE.fullmatch(rest):
        return hugetlb.DEFAULT
    file = _BY_NAME.get(rest if group == "files" else _FILE_OF.get(key, key))
    return "max" if key == "vcpus" else file.default if file else None


def _above(key: str) -> PerDevice | None:
    """The limit by device that a key names, or lies below: ``io.max.vda.rbps``."""
    return BY_DEVICE.get(".".join(key.split(".", 2)[:2]))


def _with_defaults(data: Any, above: Sequence[str], place: tuple[str, ...] = ()) -> Any:
    """The data with each ``default`` of a limit replaced. ``above``: the keys down to the limits; ``*`` is any key."""
    if isinstance(data, dict) and above:
        within = above[0]
        return {k: _with_defaults(v, above[1:]) if within in ("*", k) else v for k, v in data.items()}
    if isinstance(data, dict):
        return {key: _with_defaults(value, (), (*place, str(key))) for key, value in data.items()}
    if place and isinstance(data, str) and data.strip() == DEFAULT and (found := default(".".join(place))) is not None:
        return found
    return data


def has_lines(key: str) -> bool:
    """Whether the limit is a file with an entry for each device, so that it may be given once for each."""
    return key.startswith("files.") and isinstance(_BY_NAME.get(key.removeprefix("files.")), Keyed | Nested)


def keys() -> list[str]:
    """Every limit's key, dotted; ``io.max``, ``hugetlb`` and ``files`` take a further part of the user's own."""
    return list(kinds())


def known() -> Known:
    """What may be written, for who is told of what may not."""
    from .wrong_input import Known

    below = {
        **{key: f"{key}.DEVICE = {_inline(limit.example)}" for key, limit in BY_DEVICE.items()},
        "hugetlb": 'hugetlb.2MB = "1G" or hugetlb."2MB.rsvd" = "1G"',
        "files": 'files."memory.max" = "1G"',
    }
    values = {key: (limit.what, limit.names) for key, limit in BY_DEVICE.items()}
    return Known(keys(), ALSO, below, values)


def _inline(example: str) -> str:
    """``rbps=20MB/s wiops=500`` as TOML's ``{ rbps = "20MB/s", wiops = 500 }``."""
    pairs = (pair.partition("=") for pair in example.split())
    told = ", ".join(f"{name} = " + (value if value.isdecimal() else f'"{value}"') for name, _, value in pairs)
    return f"{{ {told} }}"


def is_key(word: str) -> bool:
    """Whether a word is a limit's key, or can be meant for nothing else: it begins as the keys do."""
    return word in ALSO or word.partition(".")[0] in {key.partition(".")[0] for key in keys()}


def kinds(kind: type[msgspec.Struct] = Limits, before: str = "") -> dict[str, Any]:
    """The type of each limit by its key."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found |= kinds(field.type, f"{before}{field.name}.")
        else:
            found[before + field.name] = field.type
    return found


def writes(limits: Limits, host: Host) -> tuple[Write, ...]:
    """All entries that the limits ask for, in no particular order. Pure; devices are resolved, vcpus expanded before.

    Raises UsageError when two limits speak of the same entry, or one cannot be right.
    """
    try:
        found = (
            *memory.writes(limits.memory, host),
            *cpu.writes(limits.cpu, host),
            *cpuset.writes(limits.cpuset, host),
            *io.writes(limits.io, host),
            *pids.writes(limits.pids, host),
            *hugetlb.writes(limits.hugetlb, host),
            *core.writes({k: str(v) for k, v in limits.files.items()}, file_named, host),
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    seen: set[tuple[str, str]] = set()
    for write in found:
        if (write.file.name, write.key) in seen:
            raise UsageError(f"files: {write.file.name} is asked for twice. Give it once, by its name or verbatim")
        seen.add((write.file.name, write.key))
    _check_weights(found)
    return found


def _check_weights(found: Sequence[Write]) -> None:
    """Raises UsageError for two wishes about one weight: a VE that is idle has none, and nice is another view of it."""
    asked = [w for w in found if w.file in (cpu.WEIGHT, cpu.NICE) or (w.file is cpu.IDLE and w.wanted == "1")]
    if len(asked) > 1:
        names = " and ".join(write.file.name for write in asked)
        raise UsageError(f"{names}: both say what share of the CPU the VE gets. Give one: cpu.weight=100, or idle")


def check(limits: Limits, host: Host) -> None:
    """Raises UsageError for what no host takes, before VEs and disks are looked at."""
    check_cpus(limits)
    disks: dict[str, Any] = {file.field: {} for file, _ in io.by_device(limits.io)}
    writes(msgspec.structs.replace(limits, io=msgspec.structs.replace(limits.io, **disks)) if disks else limits, host)


def check_cpus(limits: Limits) -> None:
    """Raises UsageError when CPUs are chosen twice, by their number and by name."""
    if limits.vcpus is not UNSET and limits.cpuset.cpus is not UNSET:
        raise UsageError("vcpus: given together with cpuset.cpus. Give one of them")


ALSO = {
    **{file.name: file.key for file in FILES if file.key},
    "memory": "memory.max",
    "swap": "memory.swap.max",
    "cpus": "cpu.max",
    "cpuset": "cpuset.cpus",
    "mems": "cpuset.mems",
    "pids": "pids.max",
}
"""What else people call a limit: the kernel's file, where the key is another, and the flags."""
DEFAULT = "default"
_FILE_OF = {key: name for name, key in ALSO.items() if name in _BY_NAME}


_DEEPEST = 16
"""No key has so many parts; Python's own depth ends at some hundreds."""


def key_of(file: str) -> str:
    """The key of the limit that a file holds, by the file's name."""
    return ALSO.get(file, file) if file in _BY_NAME else file


def file_of(key: str) -> str:
    """The name of the file that holds the limit with this key."""
    if key.startswith("hugetlb."):
        return f"{key.removesuffix('.max')}.max"
    return cpu.MAX.name if key == "cpu.period" else _FILE_OF.get(key, key)


def nest(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """``{"memory.max": "2G"}`` as ``{"memory": {"max": "2G"}}``; what follows ``hugetlb.`` or ``files.`` stays whole.

    A limit by device takes the kernel's own form, ``DEVICE rbps=1M wiops=max``. Raises UsageError.
    """
    nested: dict[str, Any] = {}
    for key, value in pairs.items():
        for parts, leaf in _leaves(key if isinstance(value, dict) else ALSO.get(key, key), value):
            place = nested
            for part in parts[:-1]:
                place = place.setdefault(part, {})
                if not isinstance(place, dict):
                    raise UsageError(f"{key}: clashes with another limit given")
            if parts[-1] in place:
                raise UsageError(f"{key}: given twice. Give it once")
            place[parts[-1]] = leaf
    return nested


def plain(value: Any) -> Any:
    """Values as text or numbers, at every depth, so that MAX and quantities read as what they print."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return value if isinstance(value, str | int | float | list) else str(value)


def _leaves(key: str, value: Any) -> list[tuple[list[str], Any]]:
    if key in BY_DEVICE and isinstance(value, str):
        device, values = _device_line(BY_DEVICE[key], value)
        return [([*key.split("."), device, name], one) for name, one in values.items()]
    if key.count(".") > _DEEPEST and not key.startswith("files."):
        raise UsageError(f"{key[:64]}: there is no such limit. See rctl set --help")
    parts = key.split(".", 1) if key.startswith(("files.", "hugetlb.")) else key.split(".")
    if parts[0] == "hugetlb":
        parts[-1] = parts[-1].removesuffix(".max")
    return [(parts, value)]


def _device_line(file: PerDevice, text: str) -> tuple[str, dict[str, str]]:
    device, *pairs = text.split() or [""]
    if pairs == [DEFAULT]:
        return device, dict.fromkeys(file.names, DEFAULT)
    values = {name: value for name, equals, value in (pair.partition("=") for pair in pairs) if equals}
    if not pairs or len(values) != len(pairs):
        reset = f". For no limit on any disk: rctl reset VE {file.name}" * (text in (DEFAULT, "max"))
        raise UsageError(
            f"{file.name}: {text!r} is not understood. Write it in quotes, as one: 'vda {file.example}'{reset}"
        )
    return device, values
