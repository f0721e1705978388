"""The commands: options, what is asked of the API, and what is printed."""
