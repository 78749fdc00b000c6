"""Takes finished adjustments back."""
