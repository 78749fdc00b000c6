"""Files that outlive a process: journals of adjustments under way, the history of finished ones, and their readers."""
