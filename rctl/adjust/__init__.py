"""The live-adjust engine: read, plan, lock, journal, write and read back, roll back exactly, recover after a crash."""
