"""Stand-ins for the ports, simple enough to be believed."""
