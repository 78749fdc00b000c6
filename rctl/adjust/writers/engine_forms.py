"""What the writers of container engines share: the engine stores fields, and a form is those of one entry, as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ...cgroupfs.cgroup import Cgroup
from ...containers import cpu_shares
from ...containers.docker_fields import Form, entries
from ...containers.engine_api import EngineContainer
from ...controllers import cpu, cpuset
from ...errors import RctlError
from ...formats import File
from ...limits import file_named
from ..steps import Set, SetThrough

_FORM = msgspec.json.Decoder(Form)


def resets(file: File, path: str) -> bool:
    """False: an engine sets a limit at the start, and at an update."""
    return False


def outlives(path: str) -> bool:
    """True: an engine keeps what it stored until the container itself is removed."""
    return True


def for_good(form: str) -> bool:
    """True: an engine stores all that it sets."""
    return True


def fields(form: str) -> Form:
    """The fields of a form."""
    return _FORM.decode(form)


def text(own: Form) -> str:
    """The form of these fields."""
    return msgspec.json.encode(own).decode()


def entry_of(cgroup: Cgroup, file: File) -> str:
    """The present entry."""
    return file.entry(cgroup.read_if_there(file.name))


def has(cgroup: Cgroup, step: Set) -> bool:
    """True if the entry has the wished value. An empty list was replaced by what has the same effect."""
    file = file_named(step.file)
    got = entry_of(cgroup, file)
    return got == step.new or file.holds(got, step.new) or (not step.new and file in (cpuset.CPUS, cpuset.MEMS))


def check_set(engine: str, cgroup: Cgroup, steps: Iterable[Set]) -> None:
    """Raise RctlError for the first entry that has not the wished value."""
    for step in steps:
        if not has(cgroup, step):
            raise RctlError(
                f"{step.file}: {engine} was asked for {step.new!r} on {cgroup.path}, and the kernel shows "
                f"{entry_of(cgroup, file_named(step.file))!r}. See journalctl -u {engine}"
            )


def checked(
    container: EngineContainer,
    config: dict[str, Any],
    files: Iterable[File],
    stored: Callable[[File, Mapping[str, Any]], Form],
) -> dict[str, Any]:
    """The container's ``HostConfig``. Raises NotAvailableError if the fields of a file are of a wrong type."""
    try:
        for file in files:
            stored(file, config)
    except ValueError as error:
        raise container.strange(error) from None
    return config


def weigh(
    container: EngineContainer, cgroup: Cgroup, steps: Sequence[Set], body: Callable[[int], Mapping[str, Any]]
) -> None:
    """Set ``cpu.weight`` once more if this runtime has the newer conversion from shares. ``body``: of the update."""
    [wanted] = [step.new for step in steps if step.file == cpu.WEIGHT.name]
    for shares in cpu_shares.for_weight(int(wanted)):
        if entry_of(cgroup, cpu.WEIGHT) == wanted:
            return
        container.update(body(shares))


Meant = Callable[[File, Form], Sequence[str]]
"""The entries that fields may bring about."""


def is_new(step: SetThrough, file: File, own: Form, meant: Meant = entries) -> bool:
    """True if the engine still has the new value of the step, and not the old one. ``own``: what it has."""
    return own != fields(step.kept) and (own == fields(step.own) or step.new in meant(file, own))


def is_old(step: SetThrough, file: File, own: Form, meant: Meant = entries) -> bool:
    """True if the engine has the value from before the step, or what has its effect. ``own``: what it has."""
    return own == fields(step.kept) or step.old in meant(file, own)
