"""Use cases that tell receivers of runs: put their events into a queue, and deliver them."""
