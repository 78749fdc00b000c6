"""Common parts of all verbs: shared flags, their class, the table that loads them, their Session, their output."""
