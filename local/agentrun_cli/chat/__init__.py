"""`agentrun chat`: a conversation at the terminal."""
