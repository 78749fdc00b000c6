"""Ways to change an entry."""
