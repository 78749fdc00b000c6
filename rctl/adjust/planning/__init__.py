"""What an adjustment will do: read what is there, check it, and order the writes. Nothing here changes a limit."""
