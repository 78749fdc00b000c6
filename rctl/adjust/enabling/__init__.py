"""Controllers: enabled for the limits that need them, and disabled again."""
