"""What takes time: rolling changes, ramps, limits that last over a boot, timed limits, the service that keeps them."""
