"""Reading runs and sessions: status, replay, results."""
