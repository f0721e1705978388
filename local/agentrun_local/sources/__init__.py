"""Lambda's event source mappings: what queues and streams hold becomes events of functions."""
