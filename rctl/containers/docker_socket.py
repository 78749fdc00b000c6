"""The socket of dockerd: https://docs.docker.com/reference/cli/docker/#environment-variables."""

from __future__ import annotations

import os

_SYSTEMS, _OF_USER = "/run/docker.sock", "/run/user/{uid}/docker.sock"
_UNIX = "unix://"


def of_docker(uid: int | None = None) -> str:
    """The place of the socket of a user's dockerd; ``uid`` unset: of the system's, which ``DOCKER_HOST`` may name."""
    if uid is not None:
        return _OF_USER.format(uid=uid)
    named = os.environ.get("DOCKER_HOST", "")
    return named.removeprefix(_UNIX) if named.startswith(f"{_UNIX}/") else _SYSTEMS
