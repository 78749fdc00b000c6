"""The open parts of a Session: the tree, the host's facts, the state folders, and where progress and notes go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from ..adjust.progress import Progress, quiet

if TYPE_CHECKING:
    from ..adjust.request import Options
    from ..adjust.site import Site
    from ..adjust.state_folder import State
    from ..cgroupfs.tree import Tree
    from ..host import Host
    from ..limits import Limits
    from ..names.stable import ContainerNames


Asked = Mapping[str, Any]
"""Limits of one VE by dotted key (``{"memory.max": "2G", "cpu.max": 1.5}``), or nested as in a spec."""
THAW = {"files": {"cgroup.freeze": "0"}}


class SessionBase:
    """One host; each part of it is opened when it is first needed."""

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
        """``command``: the name of this session's adjustments in the history; unset: "from Python".

        ``progress``: called with each step of an adjustment. ``tell``: called with notes for people, one line each.
        ``tree``, ``host``, ``state``: unset, those of this host. The caller closes a tree that it passes.
        """
        self.command, self.progress, self.tell = command, progress, tell
        self._owns_tree = tree is None
        given = {"tree": tree, "host": host, "state": state}
        self.__dict__.update({name: value for name, value in given.items() if value is not None})

    @cached_property
    def tree(self) -> Tree:
        """The cgroup2 mount, and rctl's place in it. Raises NotAvailableError if there is none."""
        from ..cgroupfs.tree import Tree

        return Tree.open()

    @cached_property
    def host(self) -> Host:
        """The host's facts; each is read when it is first needed."""
        from ..cgroupfs.files import this_host

        return this_host()

    @cached_property
    def state(self) -> State:
        """The folders of locks, journals and the history."""
        from ..adjust.state_folder import default_state

        return default_state()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the mount and the folders; the session opens them again when needed. VEs stay. It raises nothing."""
        if self._owns_tree and (tree := self.__dict__.pop("tree", None)) is not None:
            tree.root.close()
            self.__dict__.pop("_container_names", None)
        if (state := self.__dict__.get("state")) is not None:
            state.close()

    @property
    def site(self) -> Site:
        """The Site that the rooms below work on."""
        from ..adjust.site import Site

        return Site(self.tree, self.host, self.state, self.progress, self.tell, self._named, self._path_of)

    def _named(self, path: str) -> str:
        from ..adjust.owner import SHORT

        return self._container_names(path) if len(path) > SHORT else ""

    def _path_of(self, name: str) -> str | None:
        return self._container_names.path(name)

    @cached_property
    def _container_names(self) -> ContainerNames:
        from ..names.stable import ContainerNames

        return ContainerNames(self.tree)

    def typed(self, limits: Asked | Limits, *, thaw: bool = False) -> Limits:
        """Check limits of one VE. Methods take the result instead of plain data.

        ``limits``: by key, or nested as in a spec. ``thaw``: also thaw the VE if it is frozen. Returns Limits. Raises
        UsageError.
        """
        from msgspec.structs import replace

        from ..limits import Limits, decode, nest, plain

        found: Limits = limits if isinstance(limits, Limits) else decode(nest(plain(limits)), self.host)
        return replace(found, files=found.files | THAW["files"]) if thaw else found

    def _options(
        self,
        deadline: float = 10.0,
        wait: float = 30.0,
        force: bool = False,
        dry_run: bool = False,
        runtime: bool = False,
    ) -> Options:
        from ..adjust.request import Options

        return Options(deadline, wait, force, dry_run, self.command, runtime=runtime)
