"""Puts old values back: after a failure in the same process, or after a crash in the next one."""
