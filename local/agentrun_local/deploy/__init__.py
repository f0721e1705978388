"""`agentrun deploy`: from a project's folder to a stack, by SAM."""
