"""Play every interleaving of the store calls of two or three actors, and check promises."""
