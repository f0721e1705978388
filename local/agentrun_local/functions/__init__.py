"""Functions as Lambda runs them: processes, their Runtime API, and who gets the next event."""
