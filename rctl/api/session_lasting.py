"""The methods of a Session about limits that last: drift, their return after a boot, and timers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .session_reads import SessionReads

if TYPE_CHECKING:
    from ..adjust.records.desired_limits import Timer
    from ..over_time.drifting import Compared
    from ..over_time.keeping import KeepEvent
    from ..over_time.restoring import Restored
    from ..over_time.timers import TimerRow


class SessionLasting(SessionReads):
    """One host, and the limits that are desired on it."""

    def drift(
        self,
        *patterns: str,
        fix: bool = False,
        deadline: float = 10.0,
        wait: float = 30.0,
        force: bool = False,
        dry_run: bool = False,
    ) -> Compared:
        """Compare desired limits, which rctl set last, with those that the kernel has. It only reads, unless ``fix``.

        ``patterns``: of VEs with desired limits; none: all of them. ``fix``: put the desired values back, as one
        transaction, and make VEs of rctl's own that are gone anew.

        Returns a Compared: the VEs that differ, with each limit, the VEs that are not there now, and with ``fix`` the
        account. Raises NotFoundError for a pattern without desired limits; RctlError if a newer rctl changed limits
        since.

        >>> s.drift().drifted
        ()
        """
        from ..over_time.restoring import drift

        return drift(self.site, self._options(deadline, wait, force, dry_run), patterns, fix=fix)

    def restore(
        self, *patterns: str, deadline: float = 10.0, wait: float = 30.0, force: bool = False, dry_run: bool = False
    ) -> Restored:
        """Put desired limits back: after a boot, or where another program changed them. Makes VEs of rctl's own anew.

        ``patterns``: of VEs with desired limits; none: all of them. All are one transaction; if it fails, each VE is a
        transaction of its own.

        Returns a Restored: the accounts, the VEs that could not have their limits, and those that are not there now.
        Raises NotFoundError for a pattern without desired limits.

        >>> s.restore().failed
        {}
        """
        from ..over_time.restoring import restore

        return restore(self.site, self._options(deadline, wait, force, dry_run), patterns)

    def forget(self, *patterns: str, dry_run: bool = False) -> Sequence[str]:
        """Forget the desired limits of VEs, such as containers that never come back. What they have now stays.

        ``patterns``: of VEs with desired limits. Returns their names. Raises NotFoundError for a pattern without any.

        >>> s.forget()
        ()
        """
        from ..over_time.forgetting import forget

        return forget(self.site, self._options(dry_run=dry_run), patterns) if patterns else ()

    def keep(self, *, enforce: bool = False, deadline: float = 10.0, each: Callable[[KeepEvent], object] = id) -> None:
        """Give cgroups that are made anew their desired limits, and end timers, until a signal ends the process.

        ``enforce``: also put back limits that another program changed. ``each``: called with each KeepEvent.

        Raises BusyError if another one runs already, NotAvailableError without inotify.

        >>> s.keep(each=print)  # doctest: +SKIP
        """
        from ..over_time.service import keep

        keep(self.site, self._options(deadline), enforce=enforce, tell=each)

    def timers(self) -> Sequence[TimerRow]:
        """Timed adjustments that have not ended, the next one first.

        Returns a TimerRow for each: its id, its end in seconds since 1970, and each limit with its value now and then.
        Raises RctlError if the history cannot be read.

        >>> s.timers()
        ()
        """
        from ..over_time.timers import timers

        return timers(self.site)

    def extend_timer(self, id: str, seconds: float) -> Timer:  # noqa: A002 (the word that the history uses)
        """Let a timed adjustment last longer.

        ``id``: of the adjustment. ``seconds``: how much longer; from now on if its time is over already.

        Returns the Timer with its new end. Raises NotFoundError if no timer has this id.

        >>> for timer in s.timers():
        ...     _ = s.extend_timer(timer.id, 600)
        """
        from ..over_time.timers import extend

        return extend(self.site, id, seconds)

    def cancel_timer(self, id: str) -> Timer:  # noqa: A002 (the word that the history uses)
        """Let the limits of a timed adjustment stay for good.

        ``id``: of the adjustment. Returns the Timer. Raises NotFoundError if no timer has this id.

        >>> for timer in s.timers():
        ...     _ = s.cancel_timer(timer.id)
        """
        from ..over_time.timers import cancel

        return cancel(self.site, id)

    def wait_for_timers(self) -> None:
        """Wait for timers and end each at its time. Returns when none is left, or if another process waits already.

        Raises NotAvailableError if the state folders cannot be used.

        >>> s.wait_for_timers()
        """
        from ..over_time.sleeper import sleep

        sleep(self.site)
