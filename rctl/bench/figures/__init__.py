"""What was found, in numbers: one shape for every benchmark, intervals, texts, and two runs compared. Pure."""
