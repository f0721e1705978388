"""An agent with the tools of MCP servers: real connections, a scripted model."""
