"""Plans an adjustment: reads the present state, checks it, and orders the writes. Nothing here changes a limit."""
