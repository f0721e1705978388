"""The use cases, in the order in which they happen to a run."""
