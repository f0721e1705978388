"""`agentrun redrive`: dead letters go back to where they came from."""
