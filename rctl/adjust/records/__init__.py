"""What outlives a process: journals of adjustments under way, the history of finished ones, and its readers."""
