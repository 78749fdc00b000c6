"""From what the user asks to the steps for this host, with what is left out, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from ..errors import NotAvailableError, UsageError
from .carry_out import Systemctl, command, look, written
from .host import HostFacts
from .parts import PARTS, Pages, patterns, wanted, why_not
from .plan import RemoveFile, RunCommand, SetupRequest, SetupStep, WriteFile, to_remove, to_write


class Prepared(NamedTuple):
    """``left_out``: parts that this host cannot have, and why. ``notes``: what else is left to do by hand."""

    steps: Sequence[SetupStep]
    left_out: Mapping[str, str]
    notes: Sequence[str]


def prepare(
    names: Sequence[str],
    host: HostFacts,
    pages: Pages,
    *,
    start: bool = False,
    force: bool = False,
    remove: bool = False,
    run: Systemctl = command,
) -> Prepared:
    """The steps for the parts ``names``; none: all that fit this host. It changes nothing.

    Raises UsageError for an unknown part, NotAvailableError for one that this host cannot have, RctlError for a file
    that ``rctl setup`` did not write.
    """
    for name in names:
        if name not in PARTS:
            near = get_close_matches(name, PARTS, 1) or [*PARTS]
            raise UsageError(f"setup: {name[:64]!r}: no such part. Write {' or '.join(near)}")
    parts = [part for part in PARTS if part in names or not names]
    eyes = look(host, run)
    if remove:
        paths = written([one for part in parts for one in patterns(part, host)], host)
        return Prepared(to_remove(SetupRequest(parts, force=force), paths, host, eyes), {}, ())
    left_out = {part: why for part in parts if (why := why_not(part, host))}
    for part in left_out:
        if part in names:
            raise NotAvailableError(f"setup: {part}: {left_out[part]}")
    parts = [part for part in parts if part not in left_out]
    files = {part: wanted(part, host, pages) for part in parts}
    mine = {path for found in files.values() for path in found}
    paths = written([one for part in parts for one in patterns(part, host)], host)
    left = [path for path in paths if path not in mine]
    steps = to_write(SetupRequest(parts, start, force), files, left, host, eyes)
    return Prepared(steps, left_out, _notes(parts, steps, host, start=start))


def _notes(parts: Sequence[str], steps: Sequence[SetupStep], host: HostFacts, *, start: bool) -> list[str]:
    found = []
    if not start and (waiting := [part for part in parts if PARTS[part].starts]):
        found.append(f"not started: {', '.join(waiting)}. To start them now and at each boot: rctl setup --start --yes")
    if not host.system and "completion" in parts and "zsh" in host.commands:
        found.append(f"zsh: add to ~/.zshrc, before compinit: fpath+=({host.folders.zsh})")
    if not host.system and any(PARTS[part].units for part in parts) and not lingers(host):
        found.append("your units run while you are logged in. To run them from boot on: loginctl enable-linger")
    return found if steps else []


def lingers(host: HostFacts) -> bool:
    """True if the user's systemd runs from boot on."""
    import pwd

    name = pwd.getpwuid(os.geteuid()).pw_name
    return os.path.exists(f"{host.root.rstrip('/')}/var/lib/systemd/linger/{name}")


def plain(step: SetupStep) -> dict[str, object]:
    """A step as plain data, for JSON."""
    match step:
        case WriteFile(path, _, why):
            return {"do": "write", "path": path, "why": why}
        case RemoveFile(path):
            return {"do": "remove", "path": path}
        case RunCommand(words):
            return {"do": "run", "command": words}
