"""Agentrun's core: what a run is, what can be done with it, and where it is kept."""
