"""Runs whose executors are killed or run out of time, on the local stack's real processes."""
