"""Finds the VEs for the words of people: names, patterns and labels so far."""
