"""Names and images of podman's containers, from the lists that its storage keeps.

``containers.json`` has the containers, ``volatile-containers.json`` those of ``--rm``, in a folder of each storage
driver (``overlay-containers``, ``vfs-containers``, ...); in transient mode they lie in the run folder. CRI-O uses the
same storage. https://github.com/containers/storage
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from ..bounded import content
from ..late_regex import regex
from .called import UNKNOWN, Called, called
from .versions import Version, listed, version

FOLDERS = ("/var/lib/containers/storage", "/run/containers/storage")
FOLDER_OF_USER = ".local/share/containers/storage"
"""A user's own storage, below the home folder."""
_SETTINGS = "/etc/containers/storage.conf"
_GRAPHROOT = regex(rb'^\s*graphroot\s*=\s*"(/[^"]+)"', re.MULTILINE)
_FILES = ("containers.json", "volatile-containers.json")


class _Entry(msgspec.Struct):
    id: str = ""
    names: list[str] | None = None
    metadata: str = ""


class _Metadata(msgspec.Struct, rename="kebab"):
    name: str = ""
    image_name: str = ""


class Podman:
    """The containers in one storage. A list is read again if it changed, and only when an unknown id turns up."""

    def __init__(self, folders: Sequence[str] = (), root: str = "") -> None:
        """``folders``: of the storage; unset, the system's below ``root``."""
        self._folders = folders or _system(root)
        self._known: dict[str, Called] = {}
        self._read: dict[str, Version | None] = {}

    def known(self) -> Mapping[str, Called]:
        """All containers by id, also those that do not run."""
        self._refresh()
        return self._known

    def called(self, container: str) -> Called:
        """The name and image of the container with this id."""
        if container not in self._known:
            self._refresh()
        return self._known.get(container, UNKNOWN)

    def _refresh(self) -> None:
        for folder in self._folders:
            for driver in listed(folder):
                for file in _FILES if driver.endswith("-containers") else ():
                    path = f"{folder}/{driver}/{file}"
                    if (now := version(path)) != self._read.get(path):
                        self._read[path] = now
                        self._known.update(_list(path))


def _list(path: str) -> dict[str, Called]:
    data = content(path)
    try:
        return {one.id: _of(one) for one in msgspec.json.decode(data, type=list[_Entry])} if data else {}
    except msgspec.DecodeError:
        return {}


def _of(entry: _Entry) -> Called:
    try:
        metadata = msgspec.json.decode(entry.metadata, type=_Metadata)
    except msgspec.DecodeError:
        metadata = _Metadata()
    return called(entry.names[0] if entry.names else metadata.name, metadata.image_name)


def _system(root: str) -> Sequence[str]:
    data = content(root + _SETTINGS) or b""
    own = _GRAPHROOT.search(data)
    found = (own[1].decode("utf-8", "replace"), *FOLDERS[1:]) if own else FOLDERS
    return [root + folder for folder in found]
