"""``rctl drift``: limits that no longer have the value that rctl set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ...console.declare import Argument, Exit, Option, changes
from ...console.flags import DeadlineText, DryRun, Force, Json, seconds

if TYPE_CHECKING:
    from ...over_time.drifting import Difference, Drifted

HEAD = ("NAME", "LIMIT", "DESIRED", "WRITTEN", "SET", "CAUSE")


@changes
def drift(
    patterns: Annotated[
        list[str] | None, Argument(metavar="[VE...]", help="Names, /paths or patterns; without them, all")
    ] = None,
    fix: Annotated[bool, Option("--fix", help="Put the desired values back, all or nothing")] = False,
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
) -> None:
    """Show limits that differ from the values that rctl set last.

    Desired limits outlive the VE and the boot: after a boot, all differ until rctl restore. SET is the time of the
    adjustment that asked for the value; see rctl history. The exit status is 1 if there is drift, and 0 if there is
    none or if --fix put it back.

    Example: rctl drift 'web*' --fix
    """
    from ...console.output import as_json, columns, report, say, warn
    from ...console.session import session
    from ...errors import UsageError

    if (dry_run or force or deadline != "10s") and not fix:
        raise UsageError("drift: --dry-run, --deadline and --force are for --fix. Add it, or leave them out")
    with session() as s:
        found = s.drift(*patterns or (), fix=fix, deadline=seconds(deadline), force=force, dry_run=dry_run)
    if json:
        say(as_json(found))
    elif found.account:
        report(found.account, json=False)
    elif rows := [row for one in found.drifted for row in _rows(one)]:
        columns(HEAD, rows, spare=(4,), whole=(1,), names=(0,))
    if found.waiting and not json:
        warn(
            f"not there now, so not compared: {_some(found.waiting)}. For what never comes back: "
            f"rctl forget {found.waiting[0]}"
        )
    if found.drifted and not found.account:
        raise Exit(1)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _rows(one: Drifted) -> list[tuple[str, ...]]:
    """The rows of a VE for people."""
    if not one.there:
        return [(one.name, "-", "-", "-", "-", "is not there; --fix makes it anew")]
    rows = [_row(one.name, difference) for difference in one.differences]
    labels = [
        (one.name, f"label {key}", value, "(none)", "-", "its cgroup was made anew")
        for key, value in one.labels.items()
    ]
    return rows + labels


def _row(name: str, difference: Difference) -> tuple[str, ...]:
    import time

    from ...adjust.steps import shown

    def when(moment: float) -> str:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))

    texts = (shown(text, difference.file.unit) for text in (difference.desired, difference.written))
    cause = "its cgroup was made anew" if difference.cause == "made anew" else "another program changed it"
    if difference.systemd:
        cause = f"{'= and '.join(difference.systemd)}= was changed in systemd"
    if difference.changed_at is not None:
        cause += f", {when(difference.changed_at)}"
    return (name, f"{difference.limit} {difference.device}".strip(), *texts, when(difference.set_at), cause)
