"""Finished adjustments taken back."""
