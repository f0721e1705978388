"""Starting and continuing runs: checks, the session's queue, slots, media."""
