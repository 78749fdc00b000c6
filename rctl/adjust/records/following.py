"""The desired limits as the history grows: read once, then each new adjustment alone."""

from __future__ import annotations

from ...errors import RctlError
from ..state_folder import State
from .checkpoint import desired_limits
from .desired_limits import DesiredLimits
from .follow import Follower
from .record_format import NewerRecordError, Record, decode


class Following:
    """The desired limits. ``close()`` it.

    ``limits``: as of the last ``refresh``.
    """

    def __init__(self, state: State) -> None:
        """Raises as ``desired_limits``."""
        self._path = state.history
        self._history = Follower(state, state.history)  # first, so that no line is missed
        try:
            self.limits = desired_limits(state)
        except BaseException:
            self._history.close()
            raise
        self._behind = self.limits.last

    def refresh(self) -> list[Record]:
        """Take new adjustments into account, and return them. Raises RctlError for one of a newer rctl."""
        records = []
        for line in self._history.lines():
            try:
                records.append(decode(line))
            except NewerRecordError as error:
                raise RctlError(f"{self._path}: an adjustment {error}. Use that rctl") from None
            except ValueError:
                continue
        if self._behind and (known := [at for at, record in enumerate(records) if record.id == self._behind]):
            records = records[known[0] + 1 :]  # they came while all was read
        for record in records:
            self._behind = ""
            self.limits.take(record)
        return records

    def close(self) -> None:
        """Close the history."""
        self._history.close()


def followed(state: State) -> DesiredLimits:
    """What is desired now. The state keeps it, so that the next look reads new adjustments alone.

    Raises RctlError, and OSError for a disk that fails.
    """
    if (known := state.followed) is None:
        state.followed = known = Following(state)
    assert isinstance(known, Following)
    try:
        known.refresh()
    except BaseException:  # some lines may be lost, so all is read again the next time
        state.followed = None
        known.close()
        raise
    return known.limits
