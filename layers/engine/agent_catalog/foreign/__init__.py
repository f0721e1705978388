"""Agents that are not described by their file: objects in Python, graphs, and other services."""
