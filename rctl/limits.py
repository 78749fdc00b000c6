"""All limits of a VE; the only parser of limits, and the only place that turns limits into writes.

Each limit has one of three states: unset (``msgspec.UNSET``: keep the present value), a value, or ``max`` (no limit).
The word ``default`` stands for the value of a new cgroup: ``max`` for limits, ``0`` for protections.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from .controllers import core, cpu, cpuset, hugetlb, io, memory, pids, pressure
from .controllers.cpu import Cpu
from .controllers.cpuset import Cpuset
from .controllers.hugetlb import Hugetlb
from .controllers.io import Io
from .controllers.memory import Memory
from .controllers.pids import Pids
from .errors import UsageError
from .formats import File, Keyed, Nested, PerDevice, Write
from .host import Host
from .ranges import Ranges
from .units import Quantity, Vcpus

if TYPE_CHECKING:
    from .wrong_input import Known

FILES: tuple[File, ...] = (
    *memory.FILES, *cpu.FILES, *cpuset.FILES, *io.FILES, *pids.FILES, *pressure.FILES, *core.FILES
)  # fmt: skip
"""Every file that rctl knows by name, except huge pages, whose names depend on the machine."""

CONTROLLERS = (*dict.fromkeys(file.controller for file in FILES if file.controller), "hugetlb")
"""The controllers of the limits that rctl knows."""
BY_DEVICE = {file.name: file for file in FILES if isinstance(file, PerDevice)}
"""Limits by device, by key: ``io.max``."""
_BY_NAME = {file.name: file for file in (*FILES, cpu.NICE)}  # nice is a view of the weight, not another limit


def file_named(name: str) -> File:
    """The file's declaration by its kernel name; a verbatim file if rctl does not know the name."""
    if known := _BY_NAME.get(name):
        return known
    if match := hugetlb.FILE.fullmatch(name):
        return hugetlb.file(match[1])
    return core.verbatim(name)


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits of one VE. Keys are the kernel's names, so ``memory.swap.max`` is ``limits.memory.swap.max``."""

    memory: Memory = Memory()
    cpu: Cpu = Cpu()
    vcpus: Vcpus | UnsetType = UNSET
    cpuset: Cpuset = Cpuset()
    io: Io = Io()
    pids: Pids = Pids()
    hugetlb: Hugetlb = {}
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
    """Typed limits (or a struct that holds some) from plain data; texts may have units.

    ``above``: the keys of ``kind`` down to the limits; ``*`` is any key.

    A size of ``50%`` is of ``host.memory``. If a value is refused, raises the result of ``refusal``, which gets
    msgspec's reason and the keys down to the value; unset: a UsageError with the limit's key.
    """

    def hook(wanted: type[Any], value: Any) -> Any:
        if issubclass(wanted, Ranges):
            return wanted.parse(value)
        if issubclass(wanted, Quantity):
            percent = wanted.percent and isinstance(value, str) and "%" in value
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
    """The value of a limit's key on a new cgroup, as a person writes it; ``None`` if rctl does not know it.

    It comes from ``File.default``, the only place that says what "no limit" is for each file.
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
    """The limit by device that a key names or extends: ``io.max.vda.rbps``."""
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
    """True if the limit is a file with an entry for each device, so it may be given once for each."""
    return key.startswith("files.") and isinstance(_BY_NAME.get(key.removeprefix("files.")), Keyed | Nested)


def keys() -> list[str]:
    """Every limit's key, dotted; after ``io.max``, ``hugetlb`` and ``files`` follows a part chosen by the user."""
    return list(kinds())


def known() -> "Known":
    """The allowed keys and values, for error messages."""
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
    """True if a word is a limit's key, or can mean nothing else, because it begins as the keys do."""
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
    """All entries to write for the limits, in no particular order. Pure; devices and vcpus are resolved before.

    Raises UsageError if two limits are about the same entry, or if one cannot be right.
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
    """Raise UsageError for two wishes about one weight: an idle VE has no weight, and nice is a view of it."""
    asked = [w for w in found if w.file in (cpu.WEIGHT, cpu.NICE) or (w.file is cpu.IDLE and w.wanted == "1")]
    if len(asked) > 1:
        names = " and ".join(write.file.name for write in asked)
        raise UsageError(f"{names}: both set the VE's share of the CPU. Give one: cpu.weight=100, or idle")


def check(limits: Limits, host: Host) -> None:
    """Raise UsageError for limits that no host takes, before VEs and disks are looked at."""
    check_cpus(limits)
    disks: dict[str, Any] = {file.field: {} for file, _ in io.by_device(limits.io)}
    writes(msgspec.structs.replace(limits, io=msgspec.structs.replace(limits.io, **disks)) if disks else limits, host)


def check_cpus(limits: Limits) -> None:
    """Raise UsageError if CPUs are chosen twice, by their number and by name."""
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
"""Other words for limits: the kernel's file, if the key is another, and the flags."""
DEFAULT = "default"
_FILE_OF = {key: name for name, key in ALSO.items() if name in _BY_NAME}


_DEEPEST = 16
"""No key has so many parts; Python's recursion limit is some hundreds."""


def key_of(file: str) -> str:
    """The key of the limit that a file holds, by the file's name."""
    return ALSO.get(file, file) if file in _BY_NAME else file


def file_of(key: str) -> str:
    """The name of the file with the limit of this key."""
    if key.startswith("hugetlb."):
        return f"{key.removesuffix('.max')}.max"
    return cpu.MAX.name if key == "cpu.period" else _FILE_OF.get(key, key)


def nest(pairs: Mapping[str, Any]) -> dict[str, Any]:
    """``{"memory.max": "2G"}`` as ``{"memory": {"max": "2G"}}``; the rest after ``hugetlb.`` or ``files.`` stays whole.

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
    """Values as text or numbers, at every depth; MAX and quantities become their texts."""
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
