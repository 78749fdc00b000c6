"""Tests that promtool runs, one file a subject, and what tells which metrics and labels there are."""
