"""A clock that wakes a process at a moment of the wall clock: timerfd_create(2). Python has it only since 3.13."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_REALTIME = 0
_ABSTIME, _CANCEL_ON_SET = 1, 2
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
_ITIMERSPEC = struct.Struct("llll")  # interval and value, each in seconds and nanoseconds


class Alarm:
    """Its descriptor becomes readable at the moment, and when the clock is set, also after the host slept."""

    def __init__(self) -> None:
        """Raises OSError if no descriptor is free."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.timerfd_create(_REALTIME, _FLAGS))

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def at(self, moment: float | None) -> None:
        """Set the moment, in seconds since 1970; ``None``: never."""
        seconds, rest = divmod(max(0.000000001, moment), 1.0) if moment is not None else (0.0, 0.0)
        spec = ctypes.create_string_buffer(_ITIMERSPEC.pack(0, 0, int(seconds), int(rest * 1e9)))
        self._checked(self._libc.timerfd_settime(self._fd, _ABSTIME | _CANCEL_ON_SET, spec, None))

    def heard(self) -> None:
        """Take the event, so that the descriptor waits for the next one."""
        try:
            os.read(self._fd, 8)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECANCELED):  # the last: the clock was set
                raise

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
