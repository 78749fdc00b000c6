"""Unit tests give the same answer every time: hypothesis draws from a fixed seed and no test is timed."""

import signal

from hypothesis import settings

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background commands with SIGINT ignored
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

from tests.unit.shell import shell  # noqa: E402, F401 (a fixture for all)
