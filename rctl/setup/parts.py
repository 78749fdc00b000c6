"""The parts of ``rctl setup``: the files of each, and why a host cannot have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

from .host import HostFacts
from .mark import marked
from .units import unit

Pages = Callable[[], Mapping[str, str]]
"""Makes the man pages, by their file name."""
_SHELLS = {"bash": "rctl", "zsh": "_rctl", "fish": "rctl.fish"}


class SetupPart(NamedTuple):
    """``units``: its units. ``enabled``: the one that is enabled. ``starts``: only with ``--start``, and then at once.

    A part without units has other files.
    """

    about: str
    units: Sequence[str] = ()
    enabled: str = ""
    starts: bool = False


PARTS: Mapping[str, SetupPart] = {
    "restore": SetupPart("puts desired limits back at boot", ["rctl-restore.service"], "rctl-restore.service"),
    "keep": SetupPart(
        "gives cgroups that are made anew their limits", ["rctl-keep.service"], "rctl-keep.service", True
    ),
    "exporter": SetupPart(
        "serves Prometheus on 127.0.0.1:19939",
        ["rctl-exporter.service", "rctl-exporter.socket"],
        "rctl-exporter.socket",
        True,
    ),
    "completion": SetupPart("completes words in the shell"),
    "man": SetupPart("man pages"),
}


def why_not(part: str, host: HostFacts) -> str:
    """Why this host cannot have the part; empty if it can."""
    if PARTS[part].units:
        if host.manager:
            return host.manager
        if library := host.lacks.get(part):
            return f"needs {library}. In rctl's checkout, run: pip install '.[exporter]'"
    elif not _shells(host) if part == "completion" else "man" not in host.commands:
        return "there is no bash, zsh or fish" if part == "completion" else "there is no man"
    return ""


def wanted(part: str, host: HostFacts, pages: Pages) -> dict[str, str]:
    """The files of a part on this host: their marked text, by path."""
    if units := PARTS[part].units:
        found = {}
        for name in units:
            advice = f"To change it: systemctl {'' if host.system else '--user '}edit {name}"
            found[f"{host.folders.units}/{name}"] = marked(unit(name, host), advice=advice)
        return found
    if part == "completion":
        scripts = files("rctl.cli.complete")
        return {
            f"{getattr(host.folders, shell)}/{_SHELLS[shell]}": marked((scripts / f"rctl.{shell}").read_text())
            for shell in _shells(host)
        }
    return {f"{host.folders.man}/man{name[-1]}/{name}": marked(text, '.\\"') for name, text in pages().items()}


def patterns(part: str, host: HostFacts) -> list[str]:
    """Patterns of the paths that any version of ``rctl setup`` may have written for a part."""
    if units := PARTS[part].units:
        return [f"{host.folders.units}/{name}" for name in units]
    if part == "completion":
        return [f"{getattr(host.folders, shell)}/{name}" for shell, name in _SHELLS.items()]
    return [f"{host.folders.man}/man1/rctl*.1", f"{host.folders.man}/man7/rctl*.7"]


def _shells(host: HostFacts) -> list[str]:
    return [shell for shell in _SHELLS if shell in host.commands]
