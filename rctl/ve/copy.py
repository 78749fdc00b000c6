"""Copies limits of a VE, resets them, exports them as a spec; renames VEs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

import msgspec

from .. import assignments
from ..adjust.account import Account
from ..adjust.enabling.enable import absent
from ..adjust.engine import Options, Wish, transact
from ..adjust.lifecycle import processes
from ..adjust.planning.resolve import disks
from ..adjust.records.disk_names import lasting
from ..adjust.records.following import followed
from ..adjust.records.stable_name import stable_name
from ..adjust.request import Around
from ..adjust.site import Site
from ..cgroupfs import labels
from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.devices import disk_name, resolve
from ..cgroupfs.files import has_huge_pages
from ..cgroupfs.tree import Tree, enabled
from ..controllers import core, cpu
from ..controllers.hugetlb import HugePages
from ..errors import BusyError, NotAvailableError, RctlError, UsageError
from ..formats import File, Keyed, Nested, Write
from ..limits import BY_DEVICE, DEFAULT, decode, default, file_named, file_of, nest, writes
from ..names.patterns import may_go
from ..sample import limits as held
from ..spec import VERSION
from . import bare


def get(tree: Tree, name: str, keys: Iterable[str]) -> dict[str, list[str]]:
    """The values of a VE's limits by key, as ``assignments.get``; ``files.NAME`` gives any file's own text.

    Without keys: the limits that differ from a new VE.

    Raises UsageError for an unknown key, NotFoundError, NotAvailableError for a missing file.
    """
    with tree.open_ve(name) as ve:
        texts = held.texts(ve)
        keys = tuple(keys) or dict(assignments.changed(texts))
        found = {key: [_verbatim(ve, key)] if key.startswith("files.") else assignments.get(texts, key) for key in keys}
        for key in keys:
            if (file := file_of(key)) not in texts and not key.startswith("files."):
                _check_could_be(ve, file_named(file))
    return found


def _check_could_be(ve: Cgroup, file: File) -> None:
    """Raise NotAvailableError for a missing file that would be missing with its controller enabled, too.

    If only the controller is not enabled, there is no limit: the value is that of a new VE.
    """
    no_such_pages = isinstance(file, HugePages) and not has_huge_pages(file.page)
    if no_such_pages or file.controller in enabled(ve, core.CONTROLLERS):
        raise NotAvailableError(absent(file, ve.path))


def _verbatim(ve: Cgroup, key: str) -> str:
    try:
        core.check_file(file := key.removeprefix("files."))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return ve.read(file).strip()


def reset(site: Site, names: Sequence[str], keys: Sequence[str], options: Options) -> Account:
    """Set limits to the values of a new VE, all or nothing; without the file there is no limit to remove.

    Raises UsageError for an unknown key, and as ``adjust``.
    """
    tree, host = site.tree, site.host
    wanted = [one for key in keys for one in (("cpuset.cpus", "cpu.max") if key == "vcpus" else (key,))]
    for key in wanted:
        if default(key) is None:
            assignments.get({}, key)  # raises for an unknown key
    wishes = []
    for name in names:
        entries = (entry for key in wanted for entry in (_entries(tree, name, key) if key in BY_DEVICE else [key]))
        found = writes(disks(decode(nest(dict.fromkeys(entries, DEFAULT)), host)), host)
        wishes.append(Wish(name, tuple(msgspec.structs.replace(write, if_there=True) for write in found)))
    return transact(site, wishes, options)


def _entries(tree: Tree, name: str, key: str) -> list[str]:
    """The keys of a limit by device, one for each device that has it."""
    with tree.open_ve(name) as ve:
        return [f"{key}.{line.split()[0]}" for line in (ve.read_if_there(key) or "").splitlines() if line]


def copy(site: Site, source: str, targets: Sequence[str], options: Options) -> Account:
    """Copy the limits of a VE to others, all or nothing. If it has no limit for a key, neither have the others then.

    A frozen state is not copied. Raises UsageError if the source is among the targets, and as ``adjust``.
    """
    if source in targets:
        raise UsageError(f"{source}: a VE cannot be copied to itself. Name other VEs")
    wishes = []
    with site.tree.open_ve(source) as ve:
        there = held.texts(ve)
    for name in targets:
        with site.tree.open_ve(name) as ve:
            wishes.append(Wish(name, _writes(there, held.texts(ve), _desired(site, ve.path)), ino=ve.ino))
    return transact(site, wishes, options)


def _desired(site: Site, path: str) -> Collection[str]:
    """The entries of a VE that have a desired value; none if these cannot be read."""
    with suppress(RctlError, OSError):
        found = followed(site.state).ves.get(site.named(path) or stable_name(path))
        return found.entries if found else ()
    return ()


def _writes(there: dict[str, str], here: dict[str, str], desired: Collection[str] = ()) -> tuple[Write, ...]:
    """The entries that make ``here`` equal to ``there``; a controller is not enabled only for a default.

    A default that is there already is left out, because systemd would store it; unless another value is ``desired``.
    """
    idle = there.get(cpu.IDLE.name, "0").strip() == "1"
    found = []
    for name in there | here:
        file = file_named(name)
        if file is core.FREEZE or (file is cpu.WEIGHT and idle):
            continue
        devices = isinstance(file, Nested | Keyed)
        texts = (there.get(name), here.get(name))
        keys = {line.split()[0] for text in texts for line in (text or "").splitlines() if line} if devices else {""}
        for key in sorted(keys):
            wanted = file.line(file.entry(there.get(name), key)).strip()
            new = file.entry(None, key)
            now = file.entry(here.get(name), key)
            is_desired = name in here and f"{name} {lasting(key)}".strip() in desired
            if wanted != new or now != new or is_desired:
                found.append(Write(file, wanted, key))
    return tuple(found)


def spec(site: Site, names: Iterable[str], named: Collection[str] = ()) -> tuple[str, list[str]]:
    """VEs with their limits and labels as a spec; ``rctl apply`` of it changes nothing.

    Of what rctl did not make, limits that its owner has by itself are left out (``exported.without_owners``).

    Returns the TOML text, and notes for people on what a spec cannot hold. A VE that was removed meanwhile is
    left out. Raises NotFoundError and GoneError for a VE that ``named`` has by its name.
    """
    tree, names, keys = site.tree, list(names), dict[str, str]()
    if foreign := [name for name in names if not tree.managed(tree.path(name))]:
        from .exported import keys_of, without_owners

        keys = keys_of(tree, foreign)
    tables: list[str] = []
    notes: list[str] = []
    for name in names:
        if name in keys and not keys[name]:
            notes.append(f"{name}: is left out: a spec cannot hold this name")
            continue
        with may_go(tree, name, named), tree.open_ve(name) as ve:
            lines = []
            said: set[str] = set()
            texts = held.texts(ve)
            if name in keys:
                texts = without_owners(site, name, texts, notes)
            for key, value in assignments.changed(texts):
                if key in said and key not in BY_DEVICE:
                    notes.append(f"{name}: {key}: {value}: a spec can hold one line of this file. Set it by hand")
                    continue
                said.add(key)
                lines.append(_line(key, value))
            given = [f"{_key(key)} = {_quoted(value)}" for key, value in sorted(labels.of(ve).items())]
            if given and name in keys:
                notes.append(f"{name}: labels: a spec has them only for VEs of rctl's own")
                given = []
            where = f"ve.{_key(keys.get(name, name))}"
            found = [_table(f"{where}.limits", lines), _table(f"{where}.labels", given)]
            tables += [*filter(None, found)] or [f"[{where}]"]
    return "\n\n".join([f"version = {VERSION}", *(tables or ["[ve]"])]), notes


def _table(name: str, lines: Sequence[str]) -> str:
    return "\n".join([f"[{name}]", *lines]) if lines else ""


def _line(key: str, value: str) -> str:
    if key in BY_DEVICE:
        device, *values = value.split()
        told = ", ".join(f"{name} = {one}" for name, _, one in (pair.partition("=") for pair in values))
        return f"{key}.{_key(_disk(device))} = {{ {told} }}"
    first, _, rest = key.partition(".")
    if file_named(key + ".max" * (first == "hugetlb")).unit == "bytes":
        value = assignments.size(value)
    if first in ("files", "hugetlb"):
        key = f"{first}.{_key(rest)}"
    bare = value.isdecimal() or value.replace(".", "", 1).isdecimal()
    return f"{key} = {value if bare else _quoted(value)}"


def _disk(device: str) -> str:
    """A disk's name if it means the same disk: a name outlives a boot more often than a number."""
    try:
        name = disk_name(device)
        return name if resolve(name) == device else device
    except (RctlError, OSError):
        return device


def _key(text: str) -> str:
    return text if text.replace("_", "").replace("-", "").isalnum() and text.isascii() else _quoted(text)


def _quoted(text: str) -> str:
    """A string of TOML: as one of JSON, but all characters that can be printed stay."""
    return json.dumps(text, ensure_ascii=False)


def rename(site: Site, old: str, new: str, options: Options) -> Account:
    """Give an empty VE another name: a new VE with its limits and labels takes its place, or nothing changes.

    cgroup2 has no rename(2). A moved process would leave its memory charged to the old cgroup, so a VE with processes
    keeps its name.

    Raises BusyError for a VE with processes or cgroups below it, and for a name that is taken; NotFoundError.
    """
    tree = site.tree
    bare.managed_path(tree, old)
    bare.managed_path(tree, new)
    if bare.exists(tree, new):
        raise BusyError(f"{new}: exists already. Choose another name")
    with tree.open_ve(old) as ve:
        if processes.processes(ve) or ve.children():
            raise BusyError(
                f"{old}: has processes or cgroups in it, and the kernel cannot rename a cgroup. "
                f"Stop them first, or give it a label: rctl label {old} name={new}"
            )
        inode = ve.ino

    def take_over(opened: Sequence[Cgroup]) -> list[Wish]:
        before, after = opened
        labels.put(after, labels.of(before))
        return [Wish(old, (), ino=inode), Wish(new, _writes(held.texts(before), held.texts(after)))]

    wishes = [Wish(old, (), ino=inode), Wish(new, ())]
    around = Around(make=[new], remove=[old], instead=old)
    return transact(site, wishes, options, prepare=take_over, around=around)
