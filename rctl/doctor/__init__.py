"""Checks the abilities of this host, what it lacks, and the remedies. It changes no limit and mounts nothing. It makes
one empty cgroup for a moment, to try whether a process may enter it."""

from .check import Check, usable
from .diagnose import diagnose

__all__ = ["Check", "diagnose", "usable"]
