"""The items that bound how much happens at once: runs under way, readers, tokens of a day."""
