"""Benchmarks: what rctl costs, as ratios to the bare work measured in the same run."""
