"""Every interleaving of the store calls of two or three actors, and what has to hold after each."""
