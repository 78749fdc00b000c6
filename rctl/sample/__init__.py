"""From kernel files to one frozen reading of a VE, and what follows from it. Nothing here writes."""

from .reading import Sample, read

__all__ = ["Sample", "read"]
