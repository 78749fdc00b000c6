"""What a Session has open: the tree, the host's facts, the state folders, and who hears of what it does."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Self

from ..adjust.progress import Progress, quiet

if TYPE_CHECKING:
    from ..adjust.site import Site
    from ..adjust.state_folder import State
    from ..cgroupfs.tree import Tree
    from ..host import Host


class SessionBase:
    """One host, opened: nothing of it before it is needed."""

    def __init__(
        self,
        *,
        command: str = "",
        progress: Progress = quiet,
        tell: Callable[[str], object] = len,
        tree: Tree | None = None,
        host: Host | None = None,
        state: State | None = None,
    ) -> None:
        """``command``: what the history calls the adjustments of this session; unset: "from Python".

        ``progress`` hears of each step of an adjustment. ``tell`` hears notes for people, one line each; unset: nobody.
        ``tree``, ``host``, ``state``: unset, those of this host. Whoever gives a tree closes it.
        """
        self.command, self.progress, self.tell = command, progress, tell
        self._owns_tree = tree is None
        given = {"tree": tree, "host": host, "state": state}
        self.__dict__.update({name: value for name, value in given.items() if value is not None})

    @cached_property
    def tree(self) -> Tree:
        """The cgroup2 mount, and rctl's place in it. Raises NotAvailableError where there is none."""
        from ..cgroupfs.tree import Tree

        return Tree.open()

    @cached_property
    def host(self) -> Host:
        """The host's facts; each is read when it is first needed."""
        from ..cgroupfs.files import this_host

        return this_host()

    @cached_property
    def state(self) -> State:
        """Where locks, journals and the history lie."""
        from ..adjust.state_folder import default_state

        return default_state()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the mount and the folders. VEs go on; the session opens again what it needs. It raises nothing."""
        if self._owns_tree and (tree := self.__dict__.pop("tree", None)) is not None:
            tree.root.close()
        if (state := self.__dict__.get("state")) is not None:
            state.close()

    @property
    def site(self) -> Site:
        """What the rooms below work on."""
        from ..adjust.site import Site

        return Site(self.tree, self.host, self.state, self.progress, self.tell)
