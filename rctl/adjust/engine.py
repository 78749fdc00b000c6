"""One adjustment: many limits of many VEs, all or nothing. Limits become entries, and a transaction sets these."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

import msgspec

from ..cgroupfs.cgroup import Cgroup
from ..cgroupfs.files import raise_file_limit
from ..controllers import core
from ..errors import UsageError, naming
from ..formats import Write
from ..host import Host
from ..limits import Limits, writes
from . import owner
from .account import Account
from .request import NOTHING, Around
from .request import Options as Options
from .request import Wish as Wish
from .site import Site
from .steps import Enable
from .transaction import Transaction

_UNKNOWN = 16
"""About the most files that a wish touches before it is prepared."""
_NONE = Limits()


def adjust(
    site: Site,
    limits: Mapping[str, Limits],
    options: Options = Options(),  # noqa: B008 (frozen)
    *,
    inodes: Mapping[str, int] | None = None,
    around: Around = NOTHING,
) -> Account:
    """Set limits of VEs, by name, as one transaction. Returns the account of every VE.

    ``inodes``: the cgroups' inodes by name; unset: the cgroups that have the names now. ``around``: further steps of
    the same transaction; VEs to be removed need no limits.

    Raises RctlError; then nothing is changed, and ``error.account`` has the state of each VE. Only RollbackError means
    that something could not be put back.
    """
    host, inodes = site.host, inodes or {}
    limits = {**limits, **{name: _NONE for name in around.remove if name not in limits}}
    distinct = {id(asked): asked for asked in limits.values()}  # one Limits for many VEs is the usual case
    frozen = {key for key, asked in distinct.items() if asked.files and _freezes(asked, host)}
    if frozen:
        from .lifecycle.freeze import check_self

        check_self(site.tree, [name for name, asked in limits.items() if id(asked) in frozen])
    if any(asked.vcpus is not msgspec.UNSET for asked in distinct.values()):
        from .planning import resolve

        plain = [Wish(name, (), ino=inodes.get(name)) for name in limits]

        def prepare(opened: Sequence[Cgroup]) -> list[Wish]:
            promises = resolve.Promises(site.tree)
            wishes = []
            for (name, asked), ve in zip(limits.items(), opened, strict=True):
                with naming(name):
                    found = _asked(resolve.disks(resolve.vcpus(asked, ve, host, promises)), host, options)
                if not options.force:
                    owner.check_pod(site.tree, ve.path, found)
                wishes.append(Wish(name, found, ino=inodes.get(name)))
            return wishes

        return transact(site, plain, options, prepare=prepare, around=around)
    if any(asked.io != _NONE.io for asked in distinct.values()):
        from .planning.resolve import disks

        distinct = {key: disks(asked) for key, asked in distinct.items()}
    same = {key: _asked(asked, host, options) for key, asked in distinct.items()}
    wishes = [Wish(name, same[id(asked)], ino=inodes.get(name)) for name, asked in limits.items()]
    return transact(site, wishes, options, around=around)


def _freezes(limits: Limits, host: Host) -> bool:
    """True if the processes are to stop, in whatever words."""
    if core.FREEZE.name not in limits.files:
        return False
    return any(write.file is core.FREEZE and write.wanted == "1" for write in writes(limits, host))


def _asked(limits: Limits, host: Host, options: Options) -> tuple[Write, ...]:
    """The entries to write for the limits. Raises UsageError for a limit that needs ``options.force``."""
    found = writes(limits, host)
    for write in found:
        if write.file.protects and write.wanted == "max" and not options.force:
            raise UsageError(
                f"{write.file.name}: max protects all memory of the VE, and others are reclaimed or killed instead. "
                "Write 0 to take the protection away, or use --force"
            )
    return found


def transact(
    site: Site,
    wishes: Sequence[Wish],
    options: Options,
    *,
    prepare: Callable[[Sequence[Cgroup]], Sequence[Wish]] | None = None,
    around: Around = NOTHING,
    given: Sequence[Enable] = (),
) -> Account:
    """The core of the engine: set all these entries, or change nothing. See ``adjust``.

    ``given``: controllers that were enabled for values that are taken back now; they are disabled if not needed.

    ``prepare``: returns the final form of wishes that depend on the present state; called when the VEs are open and
    locked.
    """
    files = _UNKNOWN if prepare else max(map(len, [wish.writes for wish in wishes]), default=0)
    raise_file_limit(len(wishes) * (1 + files))
    notes: list[str] = []
    account = None
    while account is None:
        with ExitStack() as stack:
            account = Transaction(site, wishes, options, prepare, around, given, notes, {}, stack).done()
    if account.notes:
        names = {one.path: one.name for one in account.outcomes}
        account = msgspec.structs.replace(account, notes=tuple(_by_name(note, names) for note in account.notes))
    return account


def _by_name(line: str, names: Mapping[str, str]) -> str:
    """A note that begins with a cgroup's path, with the VE's name in its place."""
    path, colon, rest = line.partition(":")
    return f"{names[path]}:{rest}" if colon and path in names else line
