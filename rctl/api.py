"""The Python API: ``rctl.open(name)``, attributes that read and write, ``adjust()`` blocks that are one transaction."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from .adjust.account import Account
from .adjust.engine import Options, adjust
from .cgroupfs.files import this_host
from .cgroupfs.tree import Tree
from .errors import UsageError
from .groups import Limited
from .limits import Limits, decode, nest
from .sample import Sample
from .sample import read as read_sample


class VE(Limited):
    """One VE, held open. Setting an attribute is a transaction of its own. Use as a context manager, or ``close()``."""

    __slots__ = ("_tree", "cgroup", "name", "options")

    def __init__(self, tree: Tree, name: str, options: Options) -> None:
        self.name = name
        self.options = options
        self._tree = tree
        self.cgroup = tree.open_ve(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if (cgroup := getattr(self, "cgroup", None)) is not None and cgroup.fd >= 0:
            text = f"{self.name}: not closed. Use rctl.open() in a with block"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)
            self.close()

    def close(self) -> None:
        """Let go of the VE. The VE itself goes on."""
        self.cgroup.close()
        self._tree.root.close()

    def ask(self, key: str, value: Any) -> None:
        """Set one limit by its key, now. Raises RctlError; nothing is changed then."""
        self.set({key: value})

    def set(self, limits: Mapping[str, Any] | Limits) -> Account:
        """Set limits, by dotted key or as ``Limits``, as one transaction. Raises RctlError; nothing is changed then."""
        host = this_host()
        wanted = limits if isinstance(limits, Limits) else decode(nest(_plain(limits)), host)
        return adjust(self._tree, {self.name: wanted}, host, self.options, inodes={self.name: self.cgroup.ino})

    @contextmanager
    def adjust(self) -> Iterator[Adjustment]:
        """A block that is one transaction: what is set on its target happens at the end, all or nothing."""
        with transaction(self, options=self.options) as targets:
            yield targets[0]

    def sample(self) -> Sample:
        """What the VE uses, waits for and was refused, now."""
        return read_sample(self.cgroup, self.name)


class Adjustment(Limited):
    """The target of an ``adjust()`` block: reads are of the kernel, what is set is collected."""

    __slots__ = ("asked", "cgroup", "ve")

    def __init__(self, ve: VE) -> None:
        self.ve = ve
        self.cgroup = ve.cgroup
        self.asked: dict[str, Any] = {}

    def ask(self, key: str, value: Any) -> None:
        """Collect one limit by its key."""
        self.asked[key] = value


@contextmanager
def transaction(*ves: VE, options: Options = Options()) -> Iterator[tuple[Adjustment, ...]]:  # noqa: B008 (frozen)
    """A block that adjusts several VEs as one transaction. Nothing happens when the block raises.

    Raises RctlError at the end of the block when the transaction fails; nothing is changed then.
    """
    if not ves:
        raise UsageError("transaction: no VE given")
    for number, ve in enumerate(ves):
        if ve.cgroup.ino in {other.cgroup.ino for other in ves[:number]}:
            raise UsageError(f"transaction: {ve.name} given twice. Give each VE once")
    targets = tuple(Adjustment(ve) for ve in ves)
    yield targets
    host = this_host()
    limits = {target.ve.name: decode(nest(_plain(target.asked)), host) for target in targets if target.asked}
    inodes = {ve.name: ve.cgroup.ino for ve in ves}
    adjust(ves[0]._tree, limits, host, options, inodes=inodes)


def open(name: str, options: Options = Options()) -> VE:  # noqa: A001, B008 (as in os.open; frozen)
    """Open a VE by name, or any cgroup by its path with a leading slash. Raises NotFoundError, NotAvailableError."""
    tree = Tree.open()
    try:
        return VE(tree, tree.name(tree.path(name)), options)
    except BaseException:
        tree.root.close()
        raise


def _plain(value: Any) -> Any:
    """Values as text or numbers, at every depth, so that MAX and quantities read as what they print."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return value if isinstance(value, str | int | float | list) else str(value)
