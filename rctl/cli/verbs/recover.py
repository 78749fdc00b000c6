"""``rctl recover``: settle what a crash left half done."""

from __future__ import annotations

from ...console.declare import changes
from ...console.flags import DeadlineText, Json, seconds


@changes
def recover(json: Json = False, deadline: DeadlineText = "10s") -> None:
    """Complete or put back adjustments that a crash left open.

    An adjustment is completed if every value had been written; otherwise it is put back. recover prints which. It also
    ends timed adjustments whose time is over; see rctl timers.
    """
    from ...console.output import as_json, done
    from ...console.session import session
    from ...errors import RctlError

    with session() as s:
        try:
            told = s.recover(deadline=seconds(deadline))
        except RctlError as error:
            if error.settled or json:
                done(*([as_json(error.settled)] if json else error.settled))
            raise
    done(*([as_json(told)] if json else told or ["nothing to recover"]))
