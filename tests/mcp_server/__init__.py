"""MCP servers on this machine: the protocol's reference implementation, and one that misbehaves."""
