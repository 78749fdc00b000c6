"""What the kernel accepts and does not follow."""
