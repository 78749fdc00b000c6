"""The host as ``rctl setup`` sees it: who asks, where the folders are, which programs are there. Read once."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import NotAvailableError

_HOMES = ("/home/", "/root/", "/run/user/")
"""What ``ProtectHome=`` hides from a service."""
_PASSED_ON = ("RCTL_TREE", "RCTL_STATE", "RCTL_MOUNT")


class Folders(NamedTuple):
    """Where files go. Each is the local folder that its reader documents, so no package writes there."""

    units: str
    man: str
    bash: str
    zsh: str
    fish: str


class HostFacts(NamedTuple):
    """``root``: the folder that stands for ``/``; another one in tests. ``system``: False for an ordinary user.

    ``manager``: the reason why there is no systemd to use; empty if there is one. ``program``: the path of ``rctl``.
    ``in_homes``: folders of the program that ``ProtectHome=`` would hide. ``not_roots``: a part of the path of the
    program, or of its Python, that another user than root may change; empty if there is none. ``commands``: the shells,
    and man, that are there. ``lacks``: a library that a part needs and that is not installed, by part. ``variables``:
    those that units need.
    """

    root: str
    system: bool
    folders: Folders
    manager: str
    program: str
    in_homes: tuple[str, ...]
    not_roots: str
    commands: frozenset[str]
    lacks: Mapping[str, str]
    variables: Mapping[str, str]

    def systemctl(self, *words: str) -> tuple[str, ...]:
        """The command for the systemd that these units belong to."""
        return ("systemctl", *(() if self.system else ("--user",)), *words)


def facts() -> HostFacts:
    """The facts of this host and user. Raises NotAvailableError if the program ``rctl`` cannot be found."""
    system = os.geteuid() == 0
    where = program()
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = [sys.prefix, sys.base_prefix, os.path.dirname(package)]
    return HostFacts(
        root="/",
        system=system,
        folders=SYSTEM if system else of_user(os.environ),
        manager=_manager(system),
        program=where,
        in_homes=tuple(dict.fromkeys(place for place in places if f"{place}/".startswith(_HOMES))),
        not_roots=next(filter(None, map(not_roots, (where, package, sys.executable, sys.base_prefix))), ""),
        commands=frozenset(name for name in ("bash", "zsh", "fish", "man") if shutil.which(name)),
        lacks={extra: name for extra, names in _LIBRARIES.items() if (name := _missing(names))},
        variables={name: value for name in _PASSED_ON if (value := os.environ.get(name))},
    )


_LIBRARIES = {"keep": ("inotify_simple",), "exporter": ("h11", "inotify_simple")}

SYSTEM = Folders(
    units="/etc/systemd/system",
    man="/usr/local/share/man",
    bash="/usr/local/share/bash-completion/completions",
    zsh="/usr/local/share/zsh/site-functions",
    fish="/etc/fish/completions",
)


def of_user(environment: Mapping[str, str]) -> Folders:
    """The folders of an ordinary user, by the XDG rules."""
    home = os.path.expanduser("~")
    share = environment.get("XDG_DATA_HOME") or f"{home}/.local/share"
    return Folders(
        units=f"{environment.get('XDG_CONFIG_HOME') or f'{home}/.config'}/systemd/user",
        man=f"{share}/man",
        bash=f"{share}/bash-completion/completions",
        zsh=f"{share}/zsh/site-functions",
        fish=f"{share}/fish/vendor_completions.d",
    )


def program() -> str:
    """The path of ``rctl`` for units: the one in this virtual environment, else the one that was called.

    Raises NotAvailableError.
    """
    folder = os.path.dirname(sys.executable) if sys.prefix != sys.base_prefix else ""
    found = f"{folder}/rctl" if folder else shutil.which(sys.argv[0]) or ""
    if os.path.basename(found) == "rctl" and os.access(found, os.X_OK):
        return os.path.abspath(found)
    raise NotAvailableError(
        "setup: cannot find the program rctl for the units. Call it by its path: /path/to/rctl setup"
    )


def not_roots(path: str) -> str:
    """The first part of a path, links followed, that another user than root may change; empty if there is none.

    The members of a group other than root's are other users.
    """
    for way in (os.path.abspath(path), os.path.realpath(path)):
        while True:
            found = os.stat(way)
            others = stat.S_IWOTH | (stat.S_IWGRP if found.st_gid else 0)
            sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX  # it keeps what is root's
            if found.st_uid != 0 or (found.st_mode & others and not sticky):
                return way
            if way == "/":
                break
            way = os.path.dirname(way)
    return ""


def _manager(system: bool) -> str:
    if not os.path.isdir("/run/systemd/system"):
        return "systemd does not run this host"
    if not system and not os.path.exists(f"{runtime()}/systemd/private"):
        return "systemd has no manager for you. Log in, or let root run: loginctl enable-linger"
    return ""


def runtime() -> str:
    """The user's run-time folder, in which the user's systemd listens."""
    return os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"


def _missing(names: tuple[str, ...]) -> str:
    from importlib.util import find_spec

    return next((name for name in names if find_spec(name) is None), "")
