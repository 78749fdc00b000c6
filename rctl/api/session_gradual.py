"""The methods of a Session whose changes take time: rolling changes over many VEs, and ramps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeVar

from ..errors import UsageError
from .session_base import Asked
from .session_reads import SessionReads

if TYPE_CHECKING:
    from ..limits import Limits
    from ..over_time.ramp import Ramped, RampStep
    from ..over_time.rolling import Rolled, RollEvent
    from ..spec import Spec

T = TypeVar("T")
_DEADLINE = 10.0
"""Seconds for freeing memory, where nothing else is asked for."""


class SessionGradual(SessionReads):
    """One host, changed little by little."""

    def roll(
        self,
        limits: Mapping[str, Asked] | str | Spec | None = None,
        *,
        batch: str = "10%",
        pause: float = 0.0,
        check: str | None = None,
        check_timeout: float = 30.0,
        abort_after: int = 1,
        on_abort: Literal["keep", "undo"] = "keep",
        retry: str | None = None,
        deadline: float = _DEADLINE,
        wait: float = 30.0,
        force: bool = False,
        dry_run: bool = False,
        lasting: float | None = None,
        each: Callable[[RollEvent], object] = id,
    ) -> Rolled:
        """Change VEs batch by batch. Each batch is one transaction; ``undo`` takes back all of them at once.

        ``limits``: as for ``adjust``, or a spec as for ``apply``. ``batch``: VEs, or a share of them: ``"5"``,
        ``"10%"``, ``"1,10%"`` (the last one repeats). ``pause``: seconds between batches. ``check``: a command that is
        run without a shell for each VE of a batch, with ``RCTL_VE`` and ``RCTL_PATH`` in its environment; it fails with
        an exit status, or after ``check_timeout`` seconds. ``abort_after``: stop at this number of failed VEs.
        ``on_abort``: keep what was done, or undo it. ``retry``: go on with the change of this id, whose limits and
        options are known; one that began with a spec needs the spec. ``lasting``: seconds after the last batch, when
        the old values come back. ``each`` is called with each RollEvent. A dry run plans each batch by itself.

        Returns a Rolled: the VEs that are done, those that failed, and those that are left. Raises UsageError for a
        wrong request, NotFoundError for an unknown name or id, RollbackError if something could not be put back.

        >>> s.roll({"web*": {"pids.max": 50}}, batch="1").status
        'done'
        """
        from ..over_time import begin

        how = begin.How(
            batch, pause, check, check_timeout, abort_after, on_abort, deadline, wait, force, dry_run, lasting
        )
        if retry is not None:
            if dry_run:
                raise UsageError("--retry: cannot be combined with --dry-run. rctl history shows what was done")
            if other := "--force" if force else "--for" if lasting else "--deadline" if deadline != _DEADLINE else "":
                raise UsageError(f"--retry: the options of that change are known. Leave {other} out")
            spec = None if limits is None or isinstance(limits, Mapping) else self._spec(limits, pass_over=True)
            if isinstance(limits, Mapping):
                raise UsageError("--retry: the limits of that change are known. Leave out names and limits")
            return begin.again(self.site, retry, spec, each, wait)
        if limits is None:
            raise UsageError("roll: no limits given")
        if not isinstance(limits, Mapping):
            return begin.apply(self.site, self._spec(limits), self.command, how, each)
        return begin.adjust(self.site, self._matched(limits), self.command, how, each)

    def ramp(
        self,
        limits: Mapping[str, Asked | Limits],
        over: float,
        *,
        steps: int | None = None,
        stop_at_pressure: str = "",
        deadline: float = 10.0,
        wait: float = 30.0,
        force: bool = False,
        dry_run: bool = False,
        lasting: float | None = None,
        each: Callable[[RampStep], object] = id,
    ) -> Ramped:
        """Move limits of VEs, by name or pattern, to new values in steps. ``undo`` takes back the whole ramp.

        ``limits``: as for ``adjust``. ``over``: seconds. ``steps``: unset, 20, or one a second. ``stop_at_pressure``:
        ``"20%"``, or ``"memory=20%,io=10%"``: stop, and put all back, when the pressure of a VE (``some avg10``) is
        higher. ``lasting``: seconds after the last step, when the old values come back. ``each`` is called after each
        step.

        Returns a Ramped. Raises as ``adjust``, after all was put back; RollbackError if that failed.

        >>> s.ramp({"web1": {"cpu.weight": 300}}, 0.2, steps=3).steps
        3
        """
        from ..adjust.request import Options
        from ..over_time.ramp import ramp

        how = Options(deadline, wait, force, dry_run, self.command)
        return ramp(
            self.site, self._by_name(limits), how, over,
            steps=steps, stop_at=stop_at_pressure, lasting=lasting, each=each,
        )  # fmt: skip

    def _by_name(self, limits: Mapping[str, Asked | Limits]) -> dict[str, Limits]:
        """Checked limits by the names of VEs; one Limits for all VEs with the same."""
        once = {id(wanted): self.typed(wanted) for wanted in limits.values()}
        return self._matched({pattern: once[id(wanted)] for pattern, wanted in limits.items()})

    def _matched(self, limits: Mapping[str, T]) -> dict[str, T]:
        """By the names of VEs instead of patterns. Raises UsageError if two patterns give one VE different limits."""
        from ..names.patterns import match_each

        asked: dict[str, T] = {}
        for pattern, names in match_each(self.tree, limits, self.tell).items():
            wanted = limits[pattern]
            for name in names:
                if asked.setdefault(name, wanted) != wanted:
                    raise UsageError(f"{name}: {pattern!r} gives it other limits than those before. Name it once")
        return asked

    def _spec(self, spec: str | Spec, *, pass_over: bool = False) -> Spec:
        """A checked spec; what it names and rctl did not make is found, or left out with ``pass_over``."""
        from ..spec import elsewhere, load, naming_file

        loaded = load(spec, self.host) if isinstance(spec, str) else spec
        if not (names := elsewhere(loaded)):
            return loaded
        from ..ve.named import found

        with naming_file(spec):
            return found(self.tree, loaded, names, pass_over=pass_over)
