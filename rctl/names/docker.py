"""Names and images of docker's containers.

They are read from the files that dockerd keeps for each container (``/var/lib/docker/containers/ID/config.v2.json``),
which dockerd writes at each change: this needs neither the daemon nor one of its locks. Only root may read them. Others
ask the daemon on its socket, which the group ``docker`` may use (https://docs.docker.com/reference/api/engine/).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

import msgspec

from ..bounded import content
from .called import UNKNOWN, Called, called
from .versions import listed

FOLDER = "/var/lib/docker"
FOLDER_OF_USER = ".local/share/docker"
"""The data of a user's own dockerd, below the home folder."""
_SETTINGS = "/etc/docker/daemon.json"
_LARGEST = 1 << 20
_PATIENCE, _SOON, _AGAIN = 1.0, 0.5, 30.0
"""Seconds: for one answer; until the next question; until the next one to a daemon that did not answer."""


class _Image(msgspec.Struct):
    Image: str = ""


class _Config(msgspec.Struct):
    Name: str = ""
    Config: _Image = msgspec.field(default_factory=_Image)


class _Listed(msgspec.Struct):
    Id: str = ""
    Names: list[str] = []
    Image: str = ""


class _Settings(msgspec.Struct, rename={"data_root": "data-root"}):
    data_root: str = ""


class Docker:
    """The containers of one dockerd."""

    def __init__(self, folder: str = "", uid: int | None = None, root: str = "") -> None:
        """``folder``: dockerd's data; unset, that of the system's dockerd below ``root``. ``uid``: of its user."""
        self._folder = folder or root + _data_root(root)
        self._uid, self._root = uid, root
        self._told: Mapping[str, Called] = {}
        self._ask_after = 0.0

    def known(self) -> Mapping[str, Called]:
        """All containers by id, also those that do not run."""
        folder = f"{self._folder}/containers"
        if os.access(folder, os.R_OK | os.X_OK):
            return {container: self.called(container) for container in listed(folder)}
        from ..containers.docker_socket import of_docker

        there = os.path.exists(self._root + of_docker(self._uid))
        return (there and _ask(self._root, self._uid, "?all=1")) or {}

    def called(self, container: str) -> Called:
        """The name and image of the container with this id."""
        if (data := content(f"{self._folder}/containers/{container}/config.v2.json", _LARGEST)) is not None:
            try:
                config = msgspec.json.decode(data, type=_Config)
            except msgspec.DecodeError:
                return UNKNOWN
            return called(config.Name.removeprefix("/"), config.Config.Image)
        if os.access(f"{self._folder}/containers", os.X_OK):
            return UNKNOWN
        if container not in self._told and (now := time.monotonic()) >= self._ask_after:
            told = _ask(self._root, self._uid)
            self._told = told or {}
            self._ask_after = now + (_AGAIN if told is None else _SOON)
        return self._told.get(container, UNKNOWN)


def _data_root(root: str) -> str:
    data = content(root + _SETTINGS, _LARGEST)
    try:
        return (data and msgspec.json.decode(data, type=_Settings).data_root) or FOLDER
    except msgspec.DecodeError:
        return FOLDER


def _ask(root: str, uid: int | None, which: str = "") -> Mapping[str, Called] | None:
    """Containers by id, as the daemon lists them; ``None`` if it does not answer soon. ``which``: unset, running."""
    from ..containers import unix_http
    from ..containers.docker_socket import of_docker

    try:
        answer = unix_http.ask(root + of_docker(uid), "GET", f"/containers/json{which}", seconds=_PATIENCE, uid=uid)
        found = msgspec.json.decode(answer.body, type=list[_Listed]) if answer.status == 200 else None
    except (OSError, ValueError, RecursionError):
        return None
    return None if found is None else {one.Id: called(_own(one.Names), one.Image) for one in found}


def _own(names: Sequence[str]) -> str:
    """The container's own name among those that include links to it (``/db/alias``)."""
    return next((name[1:] for name in names if name.count("/") == 1), "")
