"""`agentrun webhooks`: a receiver for this machine."""
