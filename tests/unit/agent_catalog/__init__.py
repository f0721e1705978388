"""The agents, their tools and their engine."""
