"""Benchmarks: the cost of rctl, as ratios to the bare work measured in the same run."""
