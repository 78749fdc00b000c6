"""What every verb is made of: shared flags, its class, the table that loads it, its Session, its output."""
