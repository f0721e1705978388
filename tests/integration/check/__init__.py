"""`agentrun check` on projects that are broken."""
