"""Measurements; they print tables and never pass or fail."""
