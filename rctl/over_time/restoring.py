"""Puts desired limits back through the engine, and makes rctl's own VEs anew."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..adjust.account import Account, Outcome
from ..adjust.engine import transact
from ..adjust.records.checkpoint import desired_limits
from ..adjust.request import Around, Options, Wish
from ..adjust.site import Site
from ..adjust.steps import Label, Make, Set
from ..errors import BusyError, RctlError, RollbackError
from .drifting import Compared, Drifted, compare
from .timers import settled
from .waker import start_sleeper_if_needed


class Restored(msgspec.Struct, frozen=True):
    """``accounts``: one for each transaction. ``waiting``: names of cgroups with desired limits that are not there now.

    ``failed``: why limits of a VE are not back, by its name.
    """

    accounts: tuple[Account, ...] = ()
    waiting: tuple[str, ...] = ()
    failed: dict[str, str] = {}


def drift(site: Site, options: Options, patterns: Sequence[str] = (), *, fix: bool = False) -> Compared:
    """Compare, see ``compare``; with ``fix``, put what differs back. Raises RctlError; nothing is changed then."""
    found = compare(site, patterns)
    if fix and found.drifted:
        return msgspec.structs.replace(found, account=put_back(site, found, options))
    if found.drifted:
        from .changed_in_systemd import with_properties

        drifted = tuple(with_properties(site.tree, one) for one in found.drifted)
        found = msgspec.structs.replace(found, drifted=drifted)
    return found


def restore(site: Site, options: Options, patterns: Sequence[str] = ()) -> Restored:
    """Put all desired limits back, as one transaction; if that fails, one for each VE; if that fails, for each limit.

    So what cannot be put back does not keep the rest from coming back. Timers whose time is over are ended
    first; a process waits for the others. Raises as ``compare``, and RollbackError if something could not be put back.
    """
    if not options.dry_run:
        for line in settled(site, options):
            site.tell(line)
        if desired_limits(site.state).timers:
            start_sleeper_if_needed(site.state)
    compared = compare(site, patterns)
    accounts, failed = _as_far_as_possible(site, compared.drifted, options)
    return Restored(tuple(accounts), compared.waiting, failed)


def _as_far_as_possible(
    site: Site, drifted: Sequence[Drifted], options: Options
) -> tuple[list[Account], dict[str, str]]:
    """The accounts, and why limits are not back, by VE."""
    try:
        return [put_back(site, Compared(tuple(drifted)), options)], {}
    except RollbackError:
        raise
    except RctlError as error:
        parts = drifted if len(drifted) > 1 else () if isinstance(error, BusyError) else by_limit(drifted[0])
        if len(parts) < 2:
            return [], {drifted[0].name: str(error)}
    accounts: list[Account] = []
    failed: dict[str, str] = {}
    for part in parts:
        more, why = _as_far_as_possible(site, [part], options)
        accounts += more
        for name, text in why.items():
            if text not in failed.get(name, ""):
                failed[name] = f"{failed[name]}; {text}" if name in failed else text
    return accounts, failed


def by_limit(one: Drifted) -> list[Drifted]:
    """The VE once for each file that differs; its labels with each."""
    files = dict.fromkeys(difference.limit for difference in one.differences)
    return [
        msgspec.structs.replace(one, differences=tuple(d for d in one.differences if d.limit == file)) for file in files
    ]


def put_back(site: Site, compared: Compared, options: Options) -> Account:
    """Put what differs back, as one transaction. It asks for nothing new: the record says so. Raises RctlError."""
    drifted, new = compared.drifted, [one for one in compared.drifted if not one.there]
    if options.dry_run:
        drifted = tuple(one for one in drifted if one.there)
    labels = {one.name: dict[str, str | None](one.labels) for one in drifted if one.labels}
    around = Around(make=() if options.dry_run else [one.name for one in new], labels=labels)
    wishes = [_wish(one) for one in drifted]
    account = transact(site, wishes, msgspec.structs.replace(options, restores=True), around=around)
    if not (options.dry_run and new):
        return account
    return msgspec.structs.replace(account, outcomes=(*account.outcomes, *map(_planned, new)))


def _wish(one: Drifted) -> Wish:
    return Wish(one.name, tuple(difference.write for difference in one.differences), ino=one.ino or None)


def _planned(one: Drifted) -> Outcome:
    """The steps that make a VE anew. Controllers are left out: whether they are enabled by then is not known."""
    limits = (Set(one.path, d.limit, d.written, d.desired, d.device) for d in one.differences)
    return Outcome(
        one.name,
        one.path,
        "planned",
        (Make(one.path), *limits, *(Label(one.path, key, None, value) for key, value in one.labels.items())),
    )
