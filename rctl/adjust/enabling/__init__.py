"""Enables controllers for the limits that need them, and disables them again."""
