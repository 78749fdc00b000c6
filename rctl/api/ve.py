"""The Python API: ``rctl.open(name)``, attributes that read and write, ``adjust()`` blocks that are one transaction."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from ..adjust.account import Account
from ..adjust.engine import Options, adjust
from ..attributes import Limited
from ..errors import UsageError
from ..limits import Limits
from ..names.patterns import one
from ..sample import Sample
from ..sample import read as read_sample
from .session_base import SessionBase


class VE(Limited):
    """One VE, held open. Each assignment to an attribute is a transaction. Use as a context manager, or ``close()``."""

    __slots__ = ("_owned", "cgroup", "name", "options", "session")

    def __init__(self, session: SessionBase, name: str, options: Options, *, owned: bool = False) -> None:
        """``owned``: the session belongs to this VE, and is closed with it."""
        self.name = one(session.tree, name)
        self.options = options
        self.session = session
        self._owned = owned
        self.cgroup = session.tree.open_ve(self.name)

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
        """Close the handle. The VE itself stays. It raises nothing."""
        self.cgroup.close()
        if self._owned:
            self.session.close()

    def ask(self, key: str, value: Any) -> None:
        """Set one limit, now. ``key``: its key. ``value``: a number or text.

        Raises RctlError; nothing is changed then.
        """
        self.set({key: value})

    def set(self, limits: Mapping[str, Any] | Limits) -> Account:
        """Set ``limits``, by dotted key or as Limits, as one transaction. Raises RctlError; nothing is changed then."""
        return _adjusted(self.session, {self: limits}, self.options)

    @contextmanager
    def adjust(self) -> Iterator[Adjustment]:
        """A block that is one transaction: assignments to its target take effect at the end, all or nothing.

        Returns a context manager; its target has the attributes of a VE. The end of the block raises as ``set`` does.
        """
        with transaction(self, options=self.options) as targets:
            yield targets[0]

    def sample(self) -> Sample:
        """The use, the waits and the refusals of the VE now.

        Returns a Sample: sizes in bytes, times in microseconds. Raises GoneError for a VE that was removed.
        """
        return read_sample(self.cgroup, self.name)


class Adjustment(Limited):
    """The target of an ``adjust()`` block: a read comes from the kernel, an assignment is collected."""

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
    """A block that adjusts several VEs as one transaction. If the block raises, nothing is changed.

    ``ves``: open VEs. ``options``: how long to wait, and so on; those of the VEs are not used. Returns a context
    manager with a target for each VE, in order.

    Raises RctlError at the end of the block if the transaction fails; nothing is changed then.
    """
    if not ves:
        raise UsageError("transaction: no VE given")
    for number, ve in enumerate(ves):
        if ve.cgroup.ino in {other.cgroup.ino for other in ves[:number]}:
            raise UsageError(f"transaction: {ve.name} given twice. Give each VE once")
    targets = tuple(Adjustment(ve) for ve in ves)
    yield targets
    _adjusted(ves[0].session, {target.ve: target.asked for target in targets if target.asked}, options)


def _adjusted(session: SessionBase, asked: Mapping[VE, Mapping[str, Any] | Limits], options: Options) -> Account:
    """Set limits of the open cgroups themselves, even if their names belong to other cgroups by now."""
    limits = {ve.name: session.typed(wanted) for ve, wanted in asked.items()}
    inodes = {ve.name: ve.cgroup.ino for ve in asked}
    return adjust(session.site, limits, options, inodes=inodes)
