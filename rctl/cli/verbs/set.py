"""``rctl set``: change limits of running VEs, all or nothing."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ...console.flags import DeadlineText, DryRun, Force, Json, asked, is_ve, seconds, takes_limits
from ...console.verb import Changes, shaped


class SetVerb(Changes):
    """``set``. Its help ends with every key."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Print the keys, from the declarations of the limits."""
        from ...limits import keys

        below = {"hugetlb": "hugetlb.2MB hugetlb.2MB.rsvd", "files": "files.NAME"}
        formatter.write_paragraph()
        with formatter.section("Keys"):
            formatter.write_text(" ".join(below.get(key, key) for key in keys()))


@shaped(SetVerb)
@takes_limits
def set_(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="VE... [KEY=VALUE...]",
            help="Names, /paths or patterns, then limits: memory.max=2G cpu.max=1.5",
        ),
    ],
    dry_run: DryRun = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
    force: Force = False,
    lasting: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="Put the old values back after this time: 10m, 2h. See rctl timers"),
    ] = None,
    flags: Any = None,
) -> None:
    """Change limits of running VEs, all or nothing.

    Write a limit as KEY=VALUE with the kernel's name (memory.max=2G, cpu.max=1.5, "io.max=vda wbps=20MB/s"), or as an
    option. If the VE uses more memory than its new limit, rctl frees memory first. The kernel may kill only with
    --force.

    Example: rctl set web1 memory.max=2G cpu.max=1.5
    """
    from ...console.output import report
    from ...console.session import session
    from ...errors import UsageError
    from ...limits import keys

    names = [word for word in words if is_ve(word)]
    wanted = asked([word for word in words if not is_ve(word)], flags)
    if not names:
        raise UsageError("set: no VE given. Write: rctl set NAME memory.max=2G")
    if not wanted and (key := next((name for name in names if name in keys()), "")):
        raise UsageError(f"set: {key}: its value is missing. Write: {key}=VALUE, in one word")
    if not wanted:
        raise UsageError("set: no limit given. Write: rctl set NAME memory.max=2G")
    limits = dict.fromkeys(names, wanted)
    back = None if lasting is None else seconds(lasting, "--for")
    with session() as s:
        account = s.adjust(limits, deadline=seconds(deadline), force=force, dry_run=dry_run, lasting=back)
    report(account, json=json)
