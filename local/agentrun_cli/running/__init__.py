"""Runs from their start to their end: followed, cancelled, decided."""
