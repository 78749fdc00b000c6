"""``rctl apply``: make VEs as a spec says. Only differences are written."""

from __future__ import annotations

from ...console.declare import Exit, changes
from ...console.flags import (
    AbortAfter,
    Batch,
    CheckText,
    CheckTimeout,
    DeadlineText,
    DryRun,
    Force,
    Json,
    OnAbort,
    Pause,
    Prune,
    Retry,
    SpecFile,
    UntilBoot,
    seconds,
)


@changes
def apply(
    file: SpecFile,
    prune: Prune = False,
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
    batch: Batch = None,
    pause: Pause = None,
    check: CheckText = None,
    check_timeout: CheckTimeout = None,
    abort_after: AbortAfter = None,
    on_abort: OnAbort = None,
    retry: Retry = None,
    runtime: UntilBoot = False,
) -> None:
    """Make and change VEs to match a spec, all or nothing.

    rctl makes VEs of its own that are missing, and writes only differences. Units, containers and other cgroups
    (unit:nginx, docker:web, /app/db) must exist. With --batch it does so batch by batch, as rctl set does; then the
    exit status is 4 if a part is done and stays.
    """
    from ...console.output import as_json, done, report, say
    from ...console.session import session
    from ...errors import UsageError
    from .. import gradual

    given = gradual.Flags(batch, pause, check, check_timeout, abort_after, on_abort, retry)
    if given.rolls:
        if prune:
            raise UsageError(
                "--prune: cannot be combined with --batch. Run rctl apply --prune when all batches are done"
            )
        if runtime:
            raise UsageError(f"--runtime: cannot be combined with {given.given[0]}. Leave one of them out")
        with session() as s:
            gradual.roll(s, file, given, json=json, deadline=seconds(deadline), force=force, dry_run=dry_run)
        return
    with session() as s:
        result = s.apply(file, prune=prune, deadline=seconds(deadline), force=force, dry_run=dry_run, runtime=runtime)
    tell = say if dry_run else done
    if json:
        tell(as_json(result))
    else:
        report(result.account, json=False)
    if any(outcome.status == "left alone" for outcome in result.account.outcomes):
        raise Exit(1)
