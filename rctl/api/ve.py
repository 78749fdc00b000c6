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
from ..sample import Sample
from ..sample import read as read_sample
from .session import Session


class VE(Limited):
    """One VE, held open. Setting an attribute is a transaction of its own. Use as a context manager, or ``close()``."""

    __slots__ = ("_owned", "cgroup", "name", "options", "session")

    def __init__(self, session: Session, name: str, options: Options, *, owned: bool = False) -> None:
        """``owned``: the session is this VE's alone, and closed with it."""
        self.name = session.tree.name(session.tree.path(name))
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
        """Let go of the VE. The VE itself goes on. It raises nothing."""
        self.cgroup.close()
        if self._owned:
            self.session.close()

    def ask(self, key: str, value: Any) -> None:
        """Set one limit, now. ``key``: its name. ``value``: a number or text.

        Raises RctlError; nothing is changed then.
        """
        self.set({key: value})

    def set(self, limits: Mapping[str, Any] | Limits) -> Account:
        """Set ``limits``, by dotted key or as Limits, as one transaction. Raises RctlError; nothing is changed then."""
        return _adjusted(self.session, {self: limits}, self.options)

    @contextmanager
    def adjust(self) -> Iterator[Adjustment]:
        """A block that is one transaction: what is set on its target happens at the end, all or nothing.

        Returns a context manager, whose target has the attributes of a VE. At the end, it raises what ``set`` does.
        """
        with transaction(self, options=self.options) as targets:
            yield targets[0]

    def sample(self) -> Sample:
        """What the VE uses, waits for and was refused, now.

        Returns a Sample: sizes in bytes, times in microseconds. Raises GoneError for a VE that was removed.
        """
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

    ``ves``: open VEs. ``options``: how long to wait, and the like; those of the VEs themselves are not used. Returns a
    context manager with a target for each VE, in order.

    Raises RctlError at the end of the block when the transaction fails; nothing is changed then.
    """
    if not ves:
        raise UsageError("transaction: no VE given")
    for number, ve in enumerate(ves):
        if ve.cgroup.ino in {other.cgroup.ino for other in ves[:number]}:
            raise UsageError(f"transaction: {ve.name} given twice. Give each VE once")
    targets = tuple(Adjustment(ve) for ve in ves)
    yield targets
    _adjusted(ves[0].session, {target.ve: target.asked for target in targets if target.asked}, options)


def _adjusted(session: Session, asked: Mapping[VE, Mapping[str, Any] | Limits], options: Options) -> Account:
    """Set limits of the very cgroups that are open, whatever has their names by now."""
    site = session.site
    limits = {ve.name: session.typed(wanted) for ve, wanted in asked.items()}
    inodes = {ve.name: ve.cgroup.ino for ve in asked}
    return adjust(site.tree, limits, site.host, options, site.progress, site.state, inodes)


def open(name: str, options: Options = Options()) -> VE:  # noqa: A001, B008 (as in os.open; frozen)
    """Open a VE by name, or any cgroup by its path with a leading slash.

    ``name``: its name or path. ``options``: for all that is set on it, such as how long to wait. Returns a VE: use it
    as a context manager, or close it. Raises NotFoundError, NotAvailableError.
    """
    session = Session()
    try:
        return VE(session, name, options, owned=True)
    except BaseException:
        session.close()
        raise
