"""The engine of live adjustments: lock, read, plan, journal, write and read back, roll back, recover after a crash."""
