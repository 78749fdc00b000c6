"""Results: one shape for every benchmark, intervals, texts, and the comparison of two runs. Pure."""
