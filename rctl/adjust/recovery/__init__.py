"""Putting back what was there: after a failure in the same process, or after a crash by the next one."""
