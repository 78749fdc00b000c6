"""Values that the kernel takes and does not follow."""
