"""Each peer's server, run with packages of its own; nothing here imports the project."""
