"""The agents' tools: plain functions, whose docstrings and type hints are what a model sees."""
