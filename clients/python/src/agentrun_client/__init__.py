"""The client of an Agentrun deployment."""
