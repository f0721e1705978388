"""Agents that their file does not describe."""
