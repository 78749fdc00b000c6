"""Where a benchmark takes place: places, a worker in them, the machine, and that nothing of it is left behind."""
