"""``rctl set``: change limits of running VEs, all or nothing."""

from __future__ import annotations

from typing import Annotated, Any

from ...console.declare import Argument, Option, changes, shaped
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
    Over,
    Pause,
    Retry,
    Steps,
    StopAtPressure,
    UntilBoot,
    asked,
    is_ve,
    seconds,
    takes_limits,
)


@changes
@shaped("rctl.cli.own_usage:SetVerb")
@takes_limits
def set_(
    words: Annotated[
        list[str] | None,
        Argument(
            metavar="VE... [KEY=VALUE...]",
            help="Names, /paths or patterns, then limits: memory.max=2G cpu.max=1.5",
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
    lasting: Annotated[
        str | None,
        Option("--for", metavar="TIME", help="Put the old values back after this time: 10m, 2h. See rctl timers"),
    ] = None,
    batch: Batch = None,
    pause: Pause = None,
    check: CheckText = None,
    check_timeout: CheckTimeout = None,
    abort_after: AbortAfter = None,
    on_abort: OnAbort = None,
    retry: Retry = None,
    over: Over = None,
    steps: Steps = None,
    stop_at_pressure: StopAtPressure = None,
    runtime: UntilBoot = False,
    flags: Any = None,
) -> None:
    """Change limits of running VEs, all or nothing.

    Write a limit as KEY=VALUE with the kernel's name (memory.max=2G, cpu.max=1.5, "io.max=vda wbps=20MB/s"), or as an
    option. If the VE uses more memory than its new limit, rctl frees memory first. The kernel may kill only with
    --force.

    --batch changes many VEs batch by batch, each all or nothing, and checks each VE with --check. The exit status is 4
    if a part is done and stays; --retry goes on. --over moves the values in steps; Ctrl-C, or --stop-at-pressure, puts
    all back. rctl undo takes back a rolling change or a ramp as one. The time of --for counts from its end.

    Example: rctl set web1 memory.max=2G cpu.max=1.5
    """
    from ...console.output import report
    from ...console.session import session
    from ...errors import UsageError
    from ...limits import keys
    from .. import gradual

    given = gradual.Flags(
        batch, pause, check, check_timeout, abort_after, on_abort, retry, over, steps, stop_at_pressure
    )
    names = [word for word in words or () if is_ve(word)]
    wanted = asked([word for word in words or () if not is_ve(word)], flags)
    if given.rolls and retry is not None:
        if names or wanted or lasting or runtime:
            raise UsageError(f"--retry {retry}: its VEs and limits are known. Leave them out, and --for and --runtime")
        with session() as s:
            gradual.roll(s, None, given, json=json, deadline=seconds(deadline), force=force, dry_run=dry_run)
        return
    if not names:
        raise UsageError("set: no VE given. Write: rctl set NAME memory.max=2G")
    if not wanted and (key := next((name for name in names if name in keys()), "")):
        raise UsageError(f"set: {key}: its value is missing. Write: {key}=VALUE, in one word")
    if not wanted:
        raise UsageError("set: no limit given. Write: rctl set NAME memory.max=2G")
    limits = dict.fromkeys(names, wanted)
    back = None if lasting is None else seconds(lasting, "--for")
    if runtime and (given.rolls or given.ramps):
        raise UsageError(f"--runtime: cannot be combined with {given.given[0]}. Leave one of them out")
    with session() as s:
        how: dict[str, Any] = {"deadline": seconds(deadline), "force": force, "dry_run": dry_run}
        if given.rolls or given.ramps:
            (gradual.roll if given.rolls else gradual.ramp)(s, limits, given, json=json, lasting=back, **how)
            return
        account = s.adjust(limits, lasting=back, runtime=runtime, **how)
    report(account, json=json)
