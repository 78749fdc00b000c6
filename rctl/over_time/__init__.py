"""What takes time: limits that last over a boot, timed limits, and the service that keeps them."""
