"""The stage of a benchmark: places, a worker in them, the machine, and the removal of everything that was made."""
