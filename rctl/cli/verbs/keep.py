"""``rctl keep``: a service that gives desired limits back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from ...console.declare import Exit, Option
from ...console.flags import DeadlineText, Json, seconds

if TYPE_CHECKING:
    from ...over_time.keeping import KeepEvent


def keep(
    enforce: Annotated[
        bool, Option("--enforce", help="Also put back limits that another program changed on a living cgroup")
    ] = False,
    json: Json = False,
    deadline: DeadlineText = "10s",
) -> None:
    """Give cgroups that are made anew their desired limits; a service.

    When a container, a unit or another cgroup with desired limits starts again, it gets them back within a second. A
    limit that another program changes is reported, and left alone without --enforce. It also ends timers. It sleeps
    until the kernel reports a change. With --json, each event is one line.
    """
    from ...console.output import as_json, say
    from ...console.session import session

    def show(event: KeepEvent) -> None:
        say(as_json(event, one_line=True) if json else event.text)
        sys.stdout.flush()

    with session() as s:
        try:
            s.keep(enforce=enforce, deadline=seconds(deadline), each=show)
        except KeyboardInterrupt:
            raise Exit from None
