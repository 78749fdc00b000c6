"""The names that people know a cgroup by: its unit, its container with the image, its pod, its user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from .owners import OwnerKind


class Identity(msgspec.Struct, frozen=True):
    """What people call a cgroup. A part that is not known, or that it does not have, is empty.

    ``name``: the one that rctl shows and takes: ``nginx.service``, ``unit:bob/worker.service``, ``user:bob``,
    ``docker:web``, ``podman:bob/web``, ``pod:prod/web-0/nginx``; the path of a cgroup that has none.

    ``container``: its name, or the beginning of its id.
    """

    name: str
    owner: OwnerKind
    unit: str = ""
    container: str = ""
    image: str = ""
    pod: str = ""
    namespace: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """The parts that are known, without the name."""
        return {key: value for key, value in msgspec.structs.asdict(self).items() if value and key != "name"}
