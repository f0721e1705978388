"""The playground: a page to chat with agents, as files, and what serves it locally."""
