"""The place of adjustments: one host, as the engine sees it."""

from collections.abc import Callable

import msgspec

from ..cgroupfs.tree import Tree
from ..host import Host
from .progress import Progress, quiet
from .state_folder import State


def unnamed(path: str) -> str:
    """No cgroup has another name than its path."""
    return ""


def nowhere(name: str) -> None:
    """No container has this name."""


class Site(msgspec.Struct, frozen=True):
    """The cgroups, the host's facts, rctl's own folders, and the receivers of progress and notes.

    ``progress`` is called with each step, ``tell`` with notes for people, one line each. ``named`` returns the stable
    name of a container for its path, and an empty text for any other path. ``path_of`` returns the present path for
    such a name, if there is one.
    """

    tree: Tree
    host: Host
    state: State
    progress: Progress = quiet
    tell: Callable[[str], object] = len
    named: Callable[[str], str] = unnamed
    path_of: Callable[[str], str | None] = nowhere

    @property
    def boot_id(self) -> str:
        """An id that changes at each boot of the host."""
        return self.host.boot_id
