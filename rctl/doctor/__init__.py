"""What this host can do for rctl, what it lacks, and how to mend it. It changes no limit and mounts nothing;
one empty cgroup is made for a moment, to try whether a process may enter it."""

from .check import Check, usable
from .diagnose import diagnose

__all__ = ["Check", "diagnose", "usable"]
