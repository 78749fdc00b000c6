"""Turns kernel files into one frozen reading of a VE, and computes its bounds and rates. It writes nothing."""

from .reading import Sample, read

__all__ = ["Sample", "read"]
