"""`agentrun login`: tokens by OAuth 2.0's device flow (RFC 8628), stored and refreshed."""
