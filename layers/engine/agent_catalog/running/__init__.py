"""Running an agent: from its file and a task to events and an end."""
