"""Executing a run: its events, its recorder, its bounds, its end."""
