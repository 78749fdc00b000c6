"""A View as lines for people: limits, use, pressure, headroom, limits in effect, rates. Pure, except names of disks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..controllers import cpu
from ..formats import File, PerDevice, Pressure
from ..limits import file_named
from ..names.identity import Identity
from ..units import MAX, Duration, Quantity, Rate, human_rate, human_size
from .effective import Bound, Room
from .levels import HOST
from .limits import changed
from .rates import Rates
from .reading import Sample
from .view import View

DiskName = Callable[[str], str]
_WIDTH = 18


def lines(view: View, disk: DiskName) -> Iterator[str]:
    """The lines. ``disk`` returns the name of a device by ``MAJOR:MINOR``."""
    sample = view.sample
    count = "1 process" if view.processes == 1 else f"{view.processes} processes"
    place = "" if sample.name == sample.path else f"  {sample.path}"
    yield f"{sample.name}{place}  {sample.state}, {count}"
    if view.identity and view.identity.owner != "rctl":
        yield f"owner: {_owner(view.identity)}"
    own = [(f"{file.name} {disk(key)}".strip(), _entry(file, entry)) for file, key, entry in changed(view.limits)]
    yield from _section("limits", own or [("none of its own", "")])
    if view.not_enforced:
        yield "not enforced"
        yield from (f"  {one.why}" for one in view.not_enforced)
    yield from _section("usage", _usage(sample, disk))
    yield from _pressure(sample.pressure)
    yield from _section("headroom", ((name, _room(name, room)) for name, room in view.headroom.items()))
    yield from _section("effective (the lowest on the way up)", _bounds(view.effective))
    if view.rates:
        yield from _section(f"rates over {view.rates.seconds:.3g} s", _rates(view.rates, disk))


def _owner(identity: Identity) -> str:
    parts = {"pod": f"{identity.namespace}/{identity.pod}" if identity.pod else ""}
    parts |= {"container": identity.container, "image": identity.image, "unit": identity.unit}
    return ", ".join([identity.owner, *(f"{what} {name}" for what, name in parts.items() if name)])


def _section(title: str, pairs: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> Iterator[str]:
    yield title
    pairs = list(pairs)
    width = max((_WIDTH, *(len(label) for label, _ in pairs)))
    for label, value in pairs:
        yield f"  {label:{width}} {value}".rstrip()


def _entry(file: File, entry: str) -> str:
    """A limit's entry with units."""
    if file is cpu.MAX:
        quota, _, period = entry.partition(" ")
        cpus = cpu.cpus_of(entry)
        return f"max (period {period} us)" if cpus is None else f"{cpus:.6g} CPUs ({quota} us of each {period} us)"
    if isinstance(file, PerDevice):
        pairs = (pair.partition("=") for pair in entry.split())
        return ", ".join(f"{name} {_value(file.kinds[name], value)}" for name, _, value in pairs if value != "max")
    if file.unit == "bytes" and entry.isdecimal():
        return human_size(int(entry))
    return f"{entry} us" if file.unit == "us" else entry


def _value(kind: type[Quantity], value: str) -> str:
    return human_rate(int(value)) if issubclass(kind, Rate) else f"{value} us" if issubclass(kind, Duration) else value


def _usage(sample: Sample, disk: DiskName) -> Iterator[tuple[str, str]]:
    if memory := sample.memory:
        kinds = [name for name in ("anon", "file", "kernel") if name in memory.stat]
        parts = [f"{name} {human_size(memory.stat[name])}" for name in kinds]
        peak = "" if memory.peak is None else f", peak {human_size(memory.peak)}"
        yield "memory", f"{human_size(memory.current)}{peak}" + (f" ({', '.join(parts)})" if parts else "")
        if memory.swap_current is not None:
            yield "swap", human_size(memory.swap_current)
        if happened := [f"{name} {count}" for name, count in memory.events.items() if count]:
            yield "memory events", ", ".join(happened)
    if sample.cpu:
        yield from _cpu_use(sample.cpu.stat)
    if pids := sample.pids:
        refused = f", {pids.refused} forks refused" if pids.refused else ""
        yield "processes, threads", f"{pids.current}{refused}"
    for device, stat in (sample.io.stat if sample.io else {}).items():
        if stat:
            read, wrote = (f"{human_size(stat.get(f'{w}bytes', 0))} in {stat.get(f'{w}ios', 0)}" for w in "rw")
            yield f"disk {disk(device)}", f"read {read}, wrote {wrote}"
    for page, (use, _) in sample.hugetlb.items():
        if use:
            yield f"huge pages {page}", human_size(use)


def _cpu_use(stat: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    used, user, system = (_span(stat.get(f"{key}_usec", 0)) for key in ("usage", "user", "system"))
    yield "CPU time", f"{used} (user {user}, system {system})"
    if stat.get("nr_throttled"):
        waited = _span(stat.get("throttled_usec", 0))
        yield "CPU throttled", f"{waited} in {stat['nr_throttled']} of {stat.get('nr_periods', 0)} periods"


def _span(microseconds: int) -> str:
    return f"{microseconds / 10**6:.6g} s"


def _pressure(found: Mapping[str, Mapping[str, Pressure]]) -> Iterator[str]:
    if not found:
        yield "pressure: accounting is off, for this VE (cgroup.pressure) or on this kernel. See rctl doctor"
        return
    heads = (_three(f"{line} 10s", "60s", "300s") for line in Pressure.types)
    yield f"{'pressure, %':{_WIDTH + 2}} {'   '.join(heads)}"
    for kind, kinds in found.items():
        means = ((p.avg10, p.avg60, p.avg300) if (p := kinds.get(line)) else None for line in Pressure.types)
        cells = (_three(*(f"{mean:.2f}" for mean in three)) if three else _three("-", "-", "-") for three in means)
        yield f"  {kind:{_WIDTH}} {'   '.join(cells)}"


def _three(first: str, second: str, third: str) -> str:
    return f"{first:>8} {second:>6} {third:>6}"


def _room(name: str, room: Room) -> str:
    left = _number(name, room.left)
    where = "what the host has free" if room.source == HOST else f"the limit of {room.source}"
    return f"{left} ({room.percent:.0f}%) to {where}"


def _number(name: str, number: int) -> str:
    return human_size(number) if file_named(name).unit == "bytes" else str(number)


def _bounds(found: Mapping[str, Bound]) -> Iterator[tuple[str, str]]:
    yield from ((name, _bound(name, bound)) for name, bound in found.items() if bound.limit is not MAX)
    if unbound := [name for name, bound in found.items() if bound.limit is MAX]:
        yield "nothing binds", ", ".join(unbound)


def _bound(name: str, bound: Bound) -> str:
    unit = ""
    value = str(bound.limit)
    if name == "cpu.max":
        value, unit = f"{bound.limit:.6g}", " CPU" if bound.limit == 1 else " CPUs"
    elif isinstance(bound.limit, int):
        value = _number(name, bound.limit)
    via = "" if bound.file == name or bound.source == HOST else f" ({bound.file})"
    return f"{value}{unit} from {bound.source}{via}"


def _rates(rates: Rates, disk: DiskName) -> Iterator[tuple[str, str]]:
    if rates.cpus is not None:
        held = f", {rates.throttled:.3g} more held back" if rates.throttled else ""
        yield "CPU", f"{rates.cpus:.3g} CPUs{held}"
    for device, rate in rates.io.items():
        read, wrote = (human_rate(round(value)) for value in (rate.rbps, rate.wbps))
        yield f"disk {disk(device)}", f"read {read} in {rate.riops:.3g}/s, wrote {wrote} in {rate.wiops:.3g}/s"
    for kind, shares in rates.pressure.items():
        yield f"pressure {kind}", ", ".join(f"{line} {share:.3g}%" for line, share in shares.items())
