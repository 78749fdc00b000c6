"""What this host can do for rctl, what it lacks, and how to mend it. Reads only: nothing is written or mounted."""

from .check import Check, usable
from .diagnose import diagnose

__all__ = ["Check", "diagnose", "usable"]
